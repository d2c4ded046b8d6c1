//! A cache of the lists of users' sessions: each user's list costs at most one query a second.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use lru::LruCache;
use parking_lot::Mutex;

use super::FRESH;
use super::flight::Flights;
use crate::error::Error;

/// The most lists in the cache. A new one then replaces the least recently used.
const MAX_LISTS: NonZeroUsize = NonZeroUsize::new(1_000).unwrap();

/// A session as its user sees it in the list.
#[derive(Clone, Debug)]
pub struct SessionSummary {
    /// The session's public number.
    pub number: i64,
    /// When it began.
    pub created_at: SystemTime,
    /// When it was last used, to the minute.
    pub last_seen_at: SystemTime,
    /// The browser's `User-Agent` header at login.
    pub user_agent: String,
    /// The visitor's address at login.
    pub ip: IpAddr,
}

/// A user's sessions, the latest used first.
pub type List = Arc<[SessionSummary]>;

/// The cached lists by user id, each with the moment at which its query began.
pub(super) struct Lists(Mutex<State>);

struct State {
    entries: LruCache<i64, (Instant, List)>,
    flights: Flights<i64, List>,
}

impl Lists {
    pub fn new() -> Lists {
        let state = State { entries: LruCache::new(MAX_LISTS), flights: Flights::default() };
        Lists(Mutex::new(state))
    }

    /// A user's list: from the cache if it is less than a second old, otherwise from `query`.
    pub fn get(
        &self,
        uid: i64,
        query: impl FnOnce() -> Result<Vec<SessionSummary>, Error>,
    ) -> Result<List, Error> {
        let mut state = self.0.lock();
        if let Some((_, list)) = state.entries.get(&uid).filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(list.clone());
        }
        let flight = state.flights.join_or_start(uid);
        drop(state);
        flight.answer(|| {
            let begun = Instant::now();
            let answer = query().map(List::from);
            let mut state = self.0.lock();
            let is_current = state.flights.finish(&uid, &flight);
            if let Some(list) = answer.as_ref().ok().filter(|_| is_current) {
                state.entries.put(uid, (begun, list.clone()));
            }
            answer
        })
    }

    /// Removes a user's list from the cache, because a session began or ended.
    pub fn forget(&self, uid: i64) {
        let mut state = self.0.lock();
        state.entries.pop(&uid);
        state.flights.invalidate(&uid);
    }
}
