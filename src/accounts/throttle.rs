//! Who has tried too often.
//!
//! Tries are counted for a pair of email and network, and for a network, never for an email alone:
//! nobody can lock a visitor out from another network.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;
use parking_lot::Mutex;

use super::email;
use crate::error::Error;
use crate::network::network;

/// Keys remembered for each limit; at about 100 bytes a key, a few megabytes. Beyond it, the one
/// not seen for longest is forgotten.
const MAX_KEYS: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();

/// The limits of the whole server.
pub struct Throttle {
    /// 10 failed logins per 15 minutes for an email from a network.
    by_email: Limit,
    /// 50 failed logins per 15 minutes for a network.
    by_network: Limit,
    /// 20 registrations per hour for a network.
    registrations: Limit,
    /// 60 refused forms per hour for a network.
    forms: Limit,
    /// Keys are kept as hashes, so that a long email takes no more memory than a short one.
    hasher: RandomState,
}

/// A login that has been counted, until [`Throttle::forgive`] or [`Throttle::give_back`] undo it.
pub struct Attempt {
    email: u64,
    network: u64,
}

impl Throttle {
    /// Nobody has tried anything yet.
    pub fn new() -> Throttle {
        let (quarter, hour) = (Duration::from_mins(15), Duration::from_hours(1));
        Throttle {
            by_email: Limit::new(10, quarter),
            by_network: Limit::new(50, quarter),
            registrations: Limit::new(20, hour),
            forms: Limit::new(60, hour),
            hasher: RandomState::new(),
        }
    }

    /// Counts a login before its password is looked at, so that simultaneous guesses count too.
    ///
    /// # Errors
    /// [`Error::Throttled`] if there were too many for this email or in all from this network.
    pub fn login(&self, email: &str, ip: IpAddr) -> Result<Attempt, Error> {
        let network = network(ip);
        let attempt = Attempt {
            email: self.hasher.hash_one((email::fold(email), network)),
            network: self.hasher.hash_one(network),
        };
        // The network first: what it refuses takes no room among the emails, and pushes none out.
        self.by_network.count(attempt.network)?;
        self.by_email
            .count(attempt.email)
            .inspect_err(|_| self.by_network.give_back(attempt.network))?;
        Ok(attempt)
    }

    /// The login was right: it does not count, and neither do the failures before it.
    pub fn forgive(&self, attempt: &Attempt) {
        self.by_email.clear(attempt.email);
        self.by_network.give_back(attempt.network);
    }

    /// The server could not tell right from wrong: the login does not count.
    pub fn give_back(&self, attempt: &Attempt) {
        self.by_email.give_back(attempt.email);
        self.by_network.give_back(attempt.network);
    }

    /// Counts a try to register, whatever becomes of it.
    ///
    /// # Errors
    /// [`Error::Throttled`] if there were too many from this network.
    pub fn registration(&self, ip: IpAddr) -> Result<(), Error> {
        self.registrations.count(self.hasher.hash_one(network(ip)))
    }

    /// Counts a form as refused before it is judged, because judging a password takes long.
    ///
    /// # Errors
    /// [`Error::Throttled`] if too many from this network were refused.
    pub fn form(&self, ip: IpAddr) -> Result<(), Error> {
        self.forms.count(self.hasher.hash_one(network(ip)))
    }

    /// The form was not refused: it does not count.
    pub fn accept_form(&self, ip: IpAddr) {
        self.forms.give_back(self.hasher.hash_one(network(ip)));
    }

    /// How many keys are remembered in all, at most 400,000.
    pub fn keys(&self) -> usize {
        let limits = [&self.by_email, &self.by_network, &self.registrations, &self.forms];
        limits.map(|limit| limit.forgotten_at.lock().len()).iter().sum()
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

/// A number of tries in a time, for each key: a leaky bucket, known by the moment at which it will
/// be empty.
struct Limit {
    forgotten_at: Mutex<LruCache<u64, Instant>>,
    /// How long one try takes to be forgotten.
    each: Duration,
    /// How long as many tries as are allowed take.
    all: Duration,
}

impl Limit {
    fn new(tries: u32, time: Duration) -> Limit {
        let forgotten_at = Mutex::new(LruCache::new(MAX_KEYS));
        Limit { forgotten_at, each: time / tries, all: time }
    }

    fn count(&self, key: u64) -> Result<(), Error> {
        // The clock is read under the lock: whoever counts later must not have an earlier time, or
        // the last of simultaneous tries is refused.
        let mut forgotten_at = self.forgotten_at.lock();
        let now = Instant::now();
        let known = forgotten_at.get(&key).copied().unwrap_or(now);
        let counted = known.max(now) + self.each;
        let wait = (counted - now).saturating_sub(self.all);
        if !wait.is_zero() {
            return Err(Error::Throttled(wait));
        }
        forgotten_at.put(key, counted);
        Ok(())
    }

    fn give_back(&self, key: u64) {
        if let Some(forgotten_at) = self.forgotten_at.lock().peek_mut(&key) {
            *forgotten_at = forgotten_at.checked_sub(self.each).unwrap_or(*forgotten_at);
        }
    }

    fn clear(&self, key: u64) {
        self.forgotten_at.lock().pop(&key);
    }
}
