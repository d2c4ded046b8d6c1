//! Limits how often a network can try to log in, to register, or to send a form.
//!
//! Logins are counted for each pair of email and network, and for each network, but never for an email
//! alone. So nobody can lock a user out from another network.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;
use parking_lot::Mutex;

use super::email;
use crate::error::Error;
use crate::network::network;

/// The most keys that each limit remembers, about 100 bytes each. A new one then replaces the least
/// recently used.
const MAX_KEYS: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();

/// The limits on what visitors may try.
pub struct Throttle {
    /// 10 failed logins per 15 minutes for an email from a network.
    by_email: Limit,
    /// 50 failed logins per 15 minutes for a network.
    by_network: Limit,
    /// 20 registrations per hour for a network.
    registrations: Limit,
    /// 60 refused forms per hour for a network.
    forms: Limit,
    /// 3 links for a new password per hour for an email, from everywhere together: each is a mail to its owner.
    links_by_email: Limit,
    /// 10 links for a new password per hour for a network.
    links_by_network: Limit,
    /// 5 wrong codes of a second factor per 15 minutes for a user.
    codes: Limit,
}

/// What time it is.
type Clock<'a> = &'a dyn Fn() -> Instant;

impl Default for Throttle {
    fn default() -> Throttle {
        let (quarter, hour) = (Duration::from_mins(15), Duration::from_hours(1));
        Throttle {
            by_email: Limit::new(10, quarter),
            by_network: Limit::new(50, quarter),
            registrations: Limit::new(20, hour),
            forms: Limit::new(60, hour),
            links_by_email: Limit::new(3, hour),
            links_by_network: Limit::new(10, hour),
            codes: Limit::new(5, quarter),
        }
    }
}

impl Throttle {
    /// Counts a login before its password is compared, so that simultaneous guesses count, too.
    ///
    /// # Errors
    /// [`Error::Throttled`] if this network has too many failed logins, for this email or in all.
    pub fn login(&self, email: &str, ip: IpAddr) -> Result<(), Error> {
        self.login_by(&Instant::now, email, ip)
    }

    fn login_by(&self, clock: Clock, email: &str, ip: IpAddr) -> Result<(), Error> {
        // The network is counted first: a login that it refuses takes no memory in `by_email`.
        self.by_network.count(&network(ip), clock)?;
        let counted = self.by_email.count(&(email::fold(email), network(ip)), clock);
        counted.inspect_err(|_| self.by_network.give_back(&network(ip)))
    }

    /// Call this after a successful login. It takes the count back, and clears the failed logins for this
    /// email from this network.
    pub fn forgive(&self, email: &str, ip: IpAddr) {
        self.by_email.clear(&(email::fold(email), network(ip)));
        self.by_network.give_back(&network(ip));
    }

    /// Call this if the password could not be compared. It takes the count back.
    pub fn give_back(&self, email: &str, ip: IpAddr) {
        self.by_email.give_back(&(email::fold(email), network(ip)));
        self.by_network.give_back(&network(ip));
    }

    /// Counts a registration, even if it fails later.
    ///
    /// # Errors
    /// [`Error::Throttled`] if there were too many from this network.
    pub fn registration(&self, ip: IpAddr) -> Result<(), Error> {
        self.registrations.count(&network(ip), &Instant::now)
    }

    /// Counts a request for a link for a new password, whether or not the email has an account.
    ///
    /// # Errors
    /// [`Error::Throttled`] if there were too many for this email, or from this network.
    pub fn link(&self, email: &str, ip: IpAddr) -> Result<(), Error> {
        self.links_by_network.count(&network(ip), &Instant::now)?;
        self.links_by_email.count(&email::fold(email), &Instant::now)
    }

    /// Counts a form as refused before its password is judged, because judging takes long.
    ///
    /// # Errors
    /// [`Error::Throttled`] if this network has sent too many refused forms.
    pub fn form(&self, ip: IpAddr) -> Result<(), Error> {
        self.forms.count(&network(ip), &Instant::now)
    }

    /// Call this if the form was accepted. It takes the count back.
    pub fn accept_form(&self, ip: IpAddr) {
        self.forms.give_back(&network(ip));
    }

    /// Counts a code before it is compared.
    ///
    /// # Errors
    /// [`Error::Throttled`] after too many wrong codes for this user.
    pub fn code(&self, uid: i64) -> Result<(), Error> {
        self.codes.count(&uid, &Instant::now)
    }

    /// Call this if the code was right. It takes the count back.
    pub fn give_back_code(&self, uid: i64) {
        self.codes.give_back(&uid);
    }
}

/// A leaky bucket for each key. Each try adds to the bucket, which drains at a constant rate; a try
/// that would overflow it is refused.
struct Limit {
    /// For the hash of each key, so that a long one takes no more memory than a short one: when its bucket
    /// will be empty.
    empty_at: Mutex<LruCache<u64, Instant>>,
    hasher: RandomState,
    /// How long one try takes to drain.
    drain_time: Duration,
    /// How long a full bucket takes to drain.
    capacity: Duration,
}

impl Limit {
    fn new(tries: u32, time: Duration) -> Limit {
        let (empty_at, hasher) = (Mutex::new(LruCache::new(MAX_KEYS)), RandomState::new());
        Limit { empty_at, hasher, drain_time: time / tries, capacity: time }
    }

    fn count(&self, key: &impl Hash, clock: Clock) -> Result<(), Error> {
        let key = self.hasher.hash_one(key);
        // The clock is read while the lock is held. Otherwise a thread could count with an earlier time
        // than the thread before it, and refuse the last allowed of simultaneous tries.
        let mut empty_at = self.empty_at.lock();
        let now = clock();
        let known = empty_at.get(&key).copied().unwrap_or(now);
        let counted = known.max(now) + self.drain_time;
        let wait = (counted - now).saturating_sub(self.capacity);
        if !wait.is_zero() {
            return Err(Error::Throttled(wait));
        }
        empty_at.put(key, counted);
        Ok(())
    }

    fn give_back(&self, key: &impl Hash) {
        if let Some(empty_at) = self.empty_at.lock().peek_mut(&self.hasher.hash_one(key)) {
            *empty_at = empty_at.checked_sub(self.drain_time).unwrap_or(*empty_at);
        }
    }

    fn clear(&self, key: &impl Hash) {
        self.empty_at.lock().pop(&self.hasher.hash_one(key));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ADA: &str = "ada@example.org";
    const EVE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
    const SECOND: Duration = Duration::from_secs(1);

    /// How many logins are counted at that time, each with the next of the emails, before one is refused.
    fn allowed<'a>(
        throttle: &Throttle,
        now: Instant,
        mut emails: impl Iterator<Item = &'a str>,
    ) -> usize {
        let is_counted = |email| throttle.login_by(&|| now, email, EVE).is_ok();
        emails.by_ref().take_while(|email| is_counted(email)).count()
    }

    fn allowed_for_ada(throttle: &Throttle, now: Instant) -> usize {
        allowed(throttle, now, std::iter::repeat(ADA))
    }

    #[test]
    fn ninety_seconds_forgive_one_wrong_login_of_an_email_and_fifteen_minutes_all_ten() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        assert_eq!(allowed_for_ada(&throttle, start), 10);
        let refused = throttle.login_by(&|| start + 30 * SECOND, ADA, EVE).err();
        assert!(matches!(refused, Some(Error::Throttled(wait)) if wait == 60 * SECOND));
        assert_eq!(allowed_for_ada(&throttle, start + 89 * SECOND), 0);
        let later = start + 90 * SECOND;
        assert_eq!(allowed_for_ada(&throttle, later), 1);
        assert_eq!(allowed_for_ada(&throttle, later + 15 * 60 * SECOND), 10);
        assert_eq!(allowed_for_ada(&throttle, later + 24 * 3600 * SECOND), 10, "never more");
    }

    #[test]
    fn eighteen_seconds_forgive_one_wrong_login_of_a_network_and_fifteen_minutes_all_fifty() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        let emails: Vec<String> = (0..200).map(|n| format!("{n}@example.org")).collect();
        let mut emails = emails.iter().map(String::as_str);
        for (seconds, count) in [(0, 50), (17, 0), (18, 1), (18 + 15 * 60, 50)] {
            let now = start + seconds * SECOND;
            assert_eq!(allowed(&throttle, now, &mut emails), count, "after {seconds} s");
        }
    }

    #[test]
    fn a_right_login_forgives_all_wrong_ones_and_a_failure_of_the_server_counts_as_none() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        assert_eq!(allowed_for_ada(&throttle, now), 10);
        throttle.give_back(ADA, EVE);
        assert_eq!(allowed_for_ada(&throttle, now), 1);
        throttle.forgive(ADA, EVE);
        assert_eq!(allowed_for_ada(&throttle, now), 10);
    }

    fn keys(throttle: &Throttle) -> usize {
        let Throttle { by_email, by_network, registrations, forms, .. } = throttle;
        [by_email, by_network, registrations, forms].map(|it| it.empty_at.lock().len()).iter().sum()
    }

    #[test]
    fn a_flood_of_addresses_is_forgotten_beyond_a_hundred_thousand() {
        let throttle = Throttle::default();
        for n in 0..250_000_u32 {
            let ip = IpAddr::from(Ipv4Addr::from(n));
            assert!(throttle.login("ada@example.org", ip).is_ok());
            assert!(throttle.registration(ip).is_ok());
        }
        assert_eq!(keys(&throttle), 300_000);
    }

    #[test]
    fn a_network_that_is_refused_pushes_no_count_out() {
        let throttle = Throttle::default();
        let (flood, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for n in 0..50 {
            assert!(throttle.login(&format!("{n}@example.org"), flood).is_ok());
        }
        for _ in 0..10 {
            assert!(throttle.login("ada@example.org", other).is_ok());
        }
        let before = keys(&throttle);
        for n in 0..200_000 {
            assert!(throttle.login(&format!("flood-{n}@example.org"), flood).is_err());
        }
        assert_eq!(keys(&throttle), before);
        assert!(throttle.login("ada@example.org", other).is_err(), "ten guesses stay ten");
    }
}
