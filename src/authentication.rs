//! Are you who you say? The throttle, the users table and the passwords, asked in that order.
//!
//! In: an email and a password as they were typed. Out: the user, with the hash that the password
//! matched, or `None` for a wrong pair; never which half was wrong. To look and to hash takes a while,
//! so whatever is done with the outcome is done only if the hash still is the user's.

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
    let outcome = verify(app, email, password);
    match &outcome {
        Ok(Some(_)) => app.throttle.forgive(&attempt),
        Ok(None) => event("login-failed", ip, &[("email", email)]),
        Err(_) => app.throttle.give_back(&attempt),
    }
    outcome
}

/// Whose email and password these are. A hash of lower cost than new ones is replaced on the way,
/// which takes a second turn in line.
fn verify(
    app: &App,
    email: &str,
    password: &Password,
) -> Result<Option<(User, PasswordHash)>, Error> {
    let found = users::find(&app.database, email)?;
    let is_right = app.passwords.verify(password, found.as_ref().map(|(_, hash)| hash))?;
    let Some((user, mut hash)) = found.filter(|_| is_right) else { return Ok(None) };
    if app.passwords.is_outdated(&hash) {
        let new = app.passwords.hash(password)?;
        users::upgrade_hash(&app.database, user.uid, &hash, &new)?;
        hash = new;
    }
    Ok(Some((user, hash)))
}
