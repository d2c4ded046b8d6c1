//! Queries under way. Whoever asks the same meanwhile waits for the answer, instead of asking again.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use crate::error::Error;

/// The queries under way, by what they ask for.
pub(super) struct Flights<K, T>(HashMap<K, Arc<Flight<T>>>);

/// One of them.
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
    /// The query for `key` that is under way, or a new one.
    pub fn join(&mut self, key: K) -> Arc<Flight<T>> {
        let new = || Flight { answer: OnceLock::new(), is_outdated: AtomicBool::new(false) };
        self.0.entry(key).or_insert_with(|| Arc::new(new())).clone()
    }

    /// Ends a query. Whether its answer may be kept, because nothing came in between.
    pub fn land(&mut self, key: &K, flight: &Arc<Flight<T>>) -> bool {
        if self.0.get(key).is_some_and(|known| Arc::ptr_eq(known, flight)) {
            self.0.remove(key);
        }
        !flight.is_outdated.load(Relaxed)
    }

    /// What the query for `key` asks for has just changed: nobody else joins it, and what it finds is
    /// not kept.
    pub fn outdate(&mut self, key: &K) {
        if let Some(flight) = self.0.remove(key) {
            flight.is_outdated.store(true, Relaxed);
        }
    }
}

impl<T: Clone> Flight<T> {
    /// The answer: the first who comes here asks, all others wait for it.
    pub fn answer(&self, ask: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        self.answer.get_or_init(ask).clone()
    }
}
