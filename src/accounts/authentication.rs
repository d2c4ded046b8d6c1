//! Checks an email and a password: first the throttle, then the users table, then the password's hash.
//!
//! What a million wrong logins can make the server do is bounded in this order:
//!
//! 1. The listener takes 128 connections of a network, 8,192 in all, and forms of 64 KiB.
//! 2. A cookie that looks like a session's costs a query, whatever path is requested. The queries of a network
//!    wait in a line in which networks take turns.
//! 3. The throttle lets 50 failed logins of a network through at once, and 10 for one email; then one more each
//!    18 s, and each 90 s. It refuses the others before they are compared. It remembers 100,000 networks and as
//!    many pairs of email and network, so its memory is bounded.
//! 4. A login that is let through costs two queries and one comparison of a hash: also for an unknown email,
//!    which must not be told from a wrong password by the time it takes.
//! 5. Comparisons wait in a line, one for each core at a time. Networks take turns in it, so another network's
//!    login waits for one of each network before it, and not for all. After 10 s in line, the answer is 503.
//!
//! The answer does not tell whether the email or the password was wrong. Hashing takes long, and the
//! password can change meanwhile. So the answer contains the hash, and the caller's change takes effect
//! only if the user still has that hash.

use std::net::IpAddr;
use std::sync::Arc;

use super::passwords::{Password, PasswordHash, Passwords};
use super::throttle::Throttle;
use super::users::{self, User};
use crate::config::Config;
use crate::database::Database;
use crate::error::{Error, StartError};
use crate::events::event;

/// The user, with the hash that the password matched. `None` if the email or the password is wrong.
type Answer = Result<Option<(User, PasswordHash)>, Error>;

/// What a check of an email and a password needs.
pub struct Authentication {
    /// Hashes, compares and judges passwords, in a line.
    pub passwords: Passwords,
    /// Counts logins and forms.
    pub throttle: Throttle,
    database: Arc<Database>,
}

impl Authentication {
    /// Authentication for the users of that database. New passwords are as the settings say.
    ///
    /// # Errors
    /// As [`Passwords::new`].
    pub fn new(database: Arc<Database>, config: &Config) -> Result<Authentication, StartError> {
        let passwords = Passwords::new(config.bcrypt_cost, config.password_min)?;
        let throttle = Throttle::default();
        Ok(Authentication { passwords, throttle, database })
    }

    /// The user with that email and password.
    ///
    /// # Errors
    /// [`Error::Throttled`] after too many failed logins; [`Error::Busy`] if the turn of this visitor's
    /// network did not come within 10 s.
    pub fn authenticate(&self, email: &str, password: &Password, ip: IpAddr) -> Answer {
        let counted = self.throttle.login(email, ip);
        counted.inspect_err(|_| event("login-throttled", ip, &[("email", email)]))?;
        let answer = self.compare_and_upgrade(email, password, ip);
        match &answer {
            Ok(Some(_)) => self.throttle.forgive(email, ip),
            Ok(None) => event("login-failed", ip, &[("email", email)]),
            Err(_) => self.throttle.give_back(email, ip),
        }
        answer
    }

    /// Compares the password. If the stored hash has another cost than new ones, also replaces it, for
    /// which the request waits in line a second time.
    fn compare_and_upgrade(&self, email: &str, password: &Password, ip: IpAddr) -> Answer {
        let Some((user, hash)) = self.compare(email, password, ip)? else { return Ok(None) };
        if !self.passwords.is_outdated(&hash) {
            return Ok(Some((user, hash)));
        }
        let new = self.passwords.hash(ip, password)?;
        if users::upgrade_hash(&self.database, user.uid, &hash, &new)? {
            return Ok(Some((user, new)));
        }
        // Another request has replaced the hash in the meantime: compare with the new one.
        self.compare(email, password, ip)
    }

    fn compare(&self, email: &str, password: &Password, ip: IpAddr) -> Answer {
        let found = users::find(&self.database, email)?.filter(|found| found.disabled.is_none());
        let highest_cost = users::highest_cost(&self.database)?;
        let hash = found.as_ref().map(|found| &found.hash);
        let is_right = self.passwords.verify(ip, password, hash, highest_cost)?;
        Ok(found.filter(|_| is_right).map(|found| (found.user, found.hash)))
    }
}
