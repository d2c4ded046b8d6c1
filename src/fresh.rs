//! A value that is computed at most once a second, however many threads need it.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long a value is used before it is computed again.
const FRESH: Duration = Duration::from_secs(1);

/// The last value that was computed, and when its computation began.
pub(crate) struct Fresh<T> {
    last: Mutex<Option<(Instant, T)>>,
    /// Counts the computations that have finished.
    computations: AtomicU32,
}

impl<T> Default for Fresh<T> {
    fn default() -> Self {
        Fresh { last: Mutex::default(), computations: AtomicU32::new(0) }
    }
}

impl<T: Clone> Fresh<T> {
    /// The value, if its computation began less than a second ago; otherwise the result of `compute`. While
    /// one thread computes, the others wait, and take its result.
    pub fn get(&self, compute: impl FnOnce() -> T) -> T {
        let computations = self.computations.load(SeqCst);
        let mut last = self.last.lock();
        if let Some((begun, value)) = &*last
            && (begun.elapsed() < FRESH || self.computations.load(SeqCst) != computations)
        {
            return value.clone();
        }
        // The value's age counts from the start of its computation: it may lack what changed since then.
        let begun = Instant::now();
        let value = compute();
        *last = Some((begun, value.clone()));
        self.computations.fetch_add(1, SeqCst);
        value
    }

    /// Forgets the value, so that the next who needs it has it computed.
    pub fn expire(&self) {
        *self.last.lock() = None;
    }

    /// Whether nobody has needed a new value for that long.
    pub fn is_unused_for(&self, time: Duration) -> bool {
        let Some(last) = self.last.try_lock() else { return false };
        last.as_ref().is_none_or(|(begun, _)| begun.elapsed() >= time)
    }
}
