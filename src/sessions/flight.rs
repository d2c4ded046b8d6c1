//! Single flight: while a query is running, further requests for the same key wait for its answer
//! instead of running it again (as in Go's `golang.org/x/sync/singleflight`).

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use crate::database::count_time;
use crate::error::Error;

/// The running queries, by key.
pub(super) struct Flights<K, T>(HashMap<K, Arc<Flight<T>>>);

/// A running query, shared by all who wait for its answer.
pub(super) struct Flight<T> {
    answer: OnceLock<Result<T, Error>>,
    is_outdated: AtomicBool,
}

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Flights(HashMap::new())
    }
}

impl<K: Eq + Hash, T> Flights<K, T> {
    /// The running query for `key`, or a new one.
    pub fn join_or_start(&mut self, key: K) -> Arc<Flight<T>> {
        let new = || Flight { answer: OnceLock::new(), is_outdated: AtomicBool::new(false) };
        self.0.entry(key).or_insert_with(|| Arc::new(new())).clone()
    }

    /// Removes a finished query. Returns whether its answer may be cached: `false` if
    /// [`invalidate`](Self::invalidate) was called while it ran.
    pub fn finish(&mut self, key: &K, flight: &Arc<Flight<T>>) -> bool {
        if self.0.get(key).is_some_and(|known| Arc::ptr_eq(known, flight)) {
            self.0.remove(key);
        }
        !flight.is_outdated.load(Relaxed)
    }

    /// Call this after a change of what the query for `key` reads. Nobody else joins the running query,
    /// and its answer is not cached.
    pub fn invalidate(&mut self, key: &K) {
        if let Some(flight) = self.0.remove(key) {
            flight.is_outdated.store(true, Relaxed);
        }
    }
}

impl<T: Clone> Flight<T> {
    /// The answer. The first caller runs `query`; all others wait for its result.
    pub fn answer(&self, query: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        count_time(|| self.answer.get_or_init(query).clone())
    }
}
