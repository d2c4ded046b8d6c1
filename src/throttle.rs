//! Who has tried too often.
//!
//! In: emails and addresses. Out: go on, or [`Error::Throttled`] with the time to wait. Counts are
//! kept for a pair of email and network and for a network, never for an email alone: nobody can
//! lock out a visitor from another network.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};
use lru::LruCache;
use parking_lot::Mutex;

use crate::error::Error;

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
    /// Keys are kept as hashes, so that a long email takes no more memory than a short one.
    hasher: RandomState,
}

/// A try that has been counted, until [`Throttle::forgive`] or [`Throttle::give_back`] undo it.
pub struct Attempt {
    email: u64,
    network: u64,
}

impl Throttle {
    /// Nobody has tried anything yet.
    pub fn new() -> Throttle {
        let quarter = Duration::from_mins(15);
        Throttle {
            by_email: Limit::new(10, quarter),
            by_network: Limit::new(50, quarter),
            registrations: Limit::new(20, Duration::from_hours(1)),
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
            email: self.hasher.hash_one((email.to_lowercase(), network)),
            network: self.hasher.hash_one(network),
        };
        self.by_email.count(attempt.email)?;
        if let Err(error) = self.by_network.count(attempt.network) {
            self.by_email.give_back(attempt.email);
            return Err(error);
        }
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

    /// How many keys are remembered in all, at most 300,000.
    pub fn keys(&self) -> usize {
        [&self.by_email, &self.by_network, &self.registrations]
            .map(|limit| limit.counts.0.lock().len())
            .iter()
            .sum()
    }

    /// Counts a try to register, whatever becomes of it.
    ///
    /// # Errors
    /// [`Error::Throttled`] if there were too many from this network.
    pub fn registration(&self, ip: IpAddr) -> Result<(), Error> {
        self.registrations.count(self.hasher.hash_one(network(ip)))
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

/// A number of tries in a time, for each key.
struct Limit {
    /// Locked while it looks at its clock and counts: whoever counts later must not have an
    /// earlier time, or the last of simultaneous tries is refused.
    limiter: Mutex<RateLimiter<u64, Counts, MonotonicClock>>,
    counts: Counts,
    /// How long one try takes to be forgotten.
    each: Duration,
}

/// governor's state of each key: the moment at which it will have forgotten everything.
#[derive(Clone)]
struct Counts(Arc<Mutex<LruCache<u64, Nanos>>>);

impl Limit {
    fn new(tries: u32, time: Duration) -> Limit {
        let counts = Counts(Arc::new(Mutex::new(LruCache::new(MAX_KEYS))));
        let tries = NonZeroU32::new(tries).unwrap_or(NonZeroU32::MIN);
        let each = time / tries.get();
        let quota = Quota::with_period(each).unwrap_or(Quota::per_hour(tries)).allow_burst(tries);
        let limiter = Mutex::new(RateLimiter::new(quota, counts.clone(), MonotonicClock));
        Limit { limiter, counts, each }
    }

    fn count(&self, key: u64) -> Result<(), Error> {
        let now = MonotonicClock.now();
        let counted = self.limiter.lock().check_key(&key);
        counted.map_err(|no| Error::Throttled(no.wait_time_from(now)))
    }

    fn give_back(&self, key: u64) {
        if let Some(state) = self.counts.0.lock().peek_mut(&key) {
            *state = state.saturating_sub(self.each.into());
        }
    }

    fn clear(&self, key: u64) {
        self.counts.0.lock().pop(&key);
    }
}

impl StateStore for Counts {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut counts = self.0.lock();
        let (outcome, state) = measure(counts.get(key).copied())?;
        counts.put(*key, state);
        Ok(outcome)
    }
}

/// What counts as one visitor: an IPv4 address, or the /64 that an IPv6 visitor has to itself.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}
