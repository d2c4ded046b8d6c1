//! Are you who you say? The throttle, the users table and the passwords, asked in that order.
//!
//! The answer never tells which half of a pair was wrong. To look and to hash takes a while, so
//! whatever is done with the answer is done only if the hash still is the user's.

use std::net::IpAddr;

use crate::app::App;
use crate::error::Error;
use crate::events::event;
use crate::passwords::{Password, PasswordHash};
use crate::users::{self, User};

/// The user with that email and password, and the hash. `None` if either is wrong.
///
/// # Errors
/// [`Error::Throttled`] after too many wrong tries, [`Error::Busy`] if too many are ahead in line.
pub fn authenticate(
    app: &App,
    email: &str,
    password: &Password,
    ip: IpAddr,
) -> Result<Option<(User, PasswordHash)>, Error> {
    let attempt = app.throttle.login(email, ip).inspect_err(|_| {
        event("login-throttled", ip, &[("email", email)]);
    })?;
    let outcome = verify(app, email, password, ip);
    match &outcome {
        Ok(Some(_)) => app.throttle.forgive(&attempt),
        Ok(None) => event("login-failed", ip, &[("email", email)]),
        Err(_) => app.throttle.give_back(&attempt),
    }
    outcome
}

/// Whose email and password these are. A hash of another cost than new ones is replaced on the way,
/// which takes a second turn in line.
fn verify(
    app: &App,
    email: &str,
    password: &Password,
    ip: IpAddr,
) -> Result<Option<(User, PasswordHash)>, Error> {
    let Some((user, hash)) = find_and_compare(app, email, password, ip)? else { return Ok(None) };
    if !app.passwords.is_outdated(&hash) {
        return Ok(Some((user, hash)));
    }
    let new = app.passwords.hash(ip, password)?;
    if users::upgrade_hash(&app.database, user.uid, &hash, &new)? {
        return Ok(Some((user, new)));
    }
    // Another login has just done so, or the password was changed: what counts is what it is now.
    find_and_compare(app, email, password, ip)
}

fn find_and_compare(
    app: &App,
    email: &str,
    password: &Password,
    ip: IpAddr,
) -> Result<Option<(User, PasswordHash)>, Error> {
    let found = users::find(&app.database, email)?;
    let highest_cost = users::highest_cost(&app.database)?;
    let hash = found.as_ref().map(|(_, hash)| hash);
    let is_right = app.passwords.verify(ip, password, hash, highest_cost)?;
    Ok(found.filter(|_| is_right))
}
