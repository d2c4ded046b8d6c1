//! A value that is computed at most once a second, however many threads need it.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long a value is used before it is computed again.
const FRESH: Duration = Duration::from_secs(1);

/// The last value that was computed.
pub(crate) struct Fresh<T>(Mutex<Option<Computed<T>>>);

struct Computed<T> {
    begun: Instant,
    finished: Instant,
    value: T,
}

impl<T> Default for Fresh<T> {
    fn default() -> Self {
        Fresh(Mutex::new(None))
    }
}

impl<T: Clone> Fresh<T> {
    /// The value, if its computation began less than a second ago; otherwise the result of `compute`. While
    /// one thread computes, the others wait, and take its result.
    pub fn get(&self, compute: impl FnOnce() -> T) -> T {
        let asked = Instant::now();
        let mut last = self.0.lock();
        if let Some(last) = &*last
            && (last.begun.elapsed() < FRESH || last.finished >= asked)
        {
            return last.value.clone();
        }
        // The value's age counts from the start of its computation: it may lack what changed since then.
        let begun = Instant::now();
        let value = compute();
        *last = Some(Computed { begun, finished: Instant::now(), value: value.clone() });
        value
    }

    /// Forgets the value, so that the next who needs it has it computed.
    pub fn expire(&self) {
        *self.0.lock() = None;
    }

    /// Whether nobody has needed a new value for that long.
    pub fn is_unused_for(&self, time: Duration) -> bool {
        let Some(last) = self.0.try_lock() else { return false };
        last.as_ref().is_none_or(|last| last.finished.elapsed() >= time)
    }
}
