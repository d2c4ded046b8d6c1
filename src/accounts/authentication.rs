//! Are you who you say? The throttle, the users table and the passwords, asked in that order.
//!
//! The answer never tells which half of a pair was wrong. To look and to hash takes a while, so
//! whatever is done with the answer is done only if the hash still is the user's.

use std::net::IpAddr;
use std::sync::Arc;

use super::passwords::{Password, PasswordHash, Passwords};
use super::throttle::Throttle;
use super::users::{self, User};
use crate::database::Database;
use crate::error::{Error, StartError};
use crate::events::event;

/// Whoever is right, with the hash that the password matched. `None` if either half is wrong.
type Answer = Result<Option<(User, PasswordHash)>, Error>;

/// What it takes to tell.
pub struct Authentication {
    /// The line in which passwords are hashed, compared and judged.
    pub passwords: Passwords,
    /// Who has tried too often.
    pub throttle: Throttle,
    database: Arc<Database>,
}

impl Authentication {
    /// For the users of that database. New hashes get that bcrypt cost.
    ///
    /// # Errors
    /// As [`Passwords::new`].
    pub fn new(database: Arc<Database>, cost: u32) -> Result<Authentication, StartError> {
        let (passwords, throttle) = (Passwords::new(cost)?, Throttle::new());
        Ok(Authentication { passwords, throttle, database })
    }

    /// The user with that email and password.
    ///
    /// # Errors
    /// [`Error::Throttled`] after too many wrong tries, [`Error::Busy`] if too many are ahead in line.
    pub fn authenticate(&self, email: &str, password: &Password, ip: IpAddr) -> Answer {
        let attempt = self.throttle.login(email, ip).inspect_err(|_| {
            event("login-throttled", ip, &[("email", email)]);
        })?;
        let answer = self.compare_and_upgrade(email, password, ip);
        match &answer {
            Ok(Some(_)) => self.throttle.forgive(&attempt),
            Ok(None) => event("login-failed", ip, &[("email", email)]),
            Err(_) => self.throttle.give_back(&attempt),
        }
        answer
    }

    /// Replaces a hash of another cost than new ones on the way, which takes a second turn in line.
    fn compare_and_upgrade(&self, email: &str, password: &Password, ip: IpAddr) -> Answer {
        let Some((user, hash)) = self.compare(email, password, ip)? else { return Ok(None) };
        if !self.passwords.is_outdated(&hash) {
            return Ok(Some((user, hash)));
        }
        let new = self.passwords.hash(ip, password)?;
        if users::upgrade_hash(&self.database, user.uid, &hash, &new)? {
            return Ok(Some((user, new)));
        }
        // Another login has just done so, or the password was changed: what counts is what it is now.
        self.compare(email, password, ip)
    }

    fn compare(&self, email: &str, password: &Password, ip: IpAddr) -> Answer {
        let found = users::find(&self.database, email)?;
        let highest_cost = users::highest_cost(&self.database)?;
        let hash = found.as_ref().map(|(_, hash)| hash);
        let is_right = self.passwords.verify(ip, password, hash, highest_cost)?;
        Ok(found.filter(|_| is_right))
    }
}
