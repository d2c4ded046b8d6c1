//! The lists of users' sessions, which cost no more than a query a second each.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use lru::LruCache;
use parking_lot::Mutex;

use super::FRESH;
use super::flight::Flights;
use super::table::SessionSummary;
use crate::error::Error;

/// Lists kept at once; of more users than this, the one not seen for longest costs a query.
const MAX_LISTS: NonZeroUsize = NonZeroUsize::new(1_000).unwrap();

/// A user's sessions, the latest used first.
pub type List = Arc<[SessionSummary]>;

/// Lists by user, each with the time at which the table was asked for it.
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

    /// A user's list: the one of less than a second ago, or what `ask` brings.
    pub fn get(
        &self,
        uid: i64,
        ask: impl FnOnce() -> Result<Vec<SessionSummary>, Error>,
    ) -> Result<List, Error> {
        let mut state = self.0.lock();
        if let Some((_, list)) = state.entries.get(&uid).filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(list.clone());
        }
        let flight = state.flights.join(uid);
        drop(state);
        flight.answer(|| {
            let asked = Instant::now();
            let answer = ask().map(List::from);
            let mut state = self.0.lock();
            let is_current = state.flights.land(&uid, &flight);
            if let Some(list) = answer.as_ref().ok().filter(|_| is_current) {
                state.entries.put(uid, (asked, list.clone()));
            }
            answer
        })
    }

    /// Drops a user's list, because a session began or ended.
    pub fn forget(&self, uid: i64) {
        let mut state = self.0.lock();
        state.entries.pop(&uid);
        state.flights.outdate(&uid);
    }
}
