//! Flash messages, and the sessions of strangers that exist only to carry them. They live in memory
//! alone: a restart loses no more than a message.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lru::LruCache;

use super::IdHash;

/// How long a stranger's message waits to be shown.
const LIFETIME: Duration = Duration::from_mins(10);

/// Strangers with a message at once. They are cheap to make, so a flood of them must end somewhere;
/// at this many they take a few megabytes, and each newcomer takes the place of the oldest.
const MAX_STRANGERS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// A message for the next page that its visitor sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flash {
    /// Something went well; shown in a `role="status"` box.
    Notice(String),
    /// Something needs attention; shown in a `role="alert"` box.
    Alert(String),
}

/// The messages of visitors who are not logged in, by session.
pub(super) struct Strangers(LruCache<IdHash, (Instant, Vec<Flash>)>);

impl Strangers {
    pub(super) fn new() -> Strangers {
        Strangers(LruCache::new(MAX_STRANGERS))
    }

    /// Begins a session with its first message. Nothing else is ever put first in the cache, so
    /// that the last in it is always the oldest.
    pub(super) fn begin(&mut self, session: IdHash, flash: Flash) {
        self.0.put(session, (Instant::now(), vec![flash]));
    }

    /// The messages that wait in a session. `None` if it expired or never was.
    pub(super) fn messages(&mut self, session: &IdHash) -> Option<&mut Vec<Flash>> {
        let (begun, messages) = self.0.peek_mut(session)?;
        (begun.elapsed() < LIFETIME).then_some(messages)
    }

    pub(super) fn end(&mut self, session: &IdHash) {
        self.0.pop(session);
    }

    pub(super) fn sweep(&mut self) {
        while self.0.peek_lru().is_some_and(|(_, (begun, _))| begun.elapsed() >= LIFETIME) {
            self.0.pop_lru();
        }
    }
}
