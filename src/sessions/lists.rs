//! Lists of users' sessions, kept for a second: who reloads the secret page costs no query.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use lru::LruCache;
use parking_lot::Mutex;

use super::{FRESH, Listed};

/// Lists kept at once; of more users than this, the one not seen for longest costs a query.
const MAX_LISTS: NonZeroUsize = NonZeroUsize::new(1_000).unwrap();

/// A user's sessions, the latest used first.
pub type List = Arc<[Listed]>;

/// Lists by user, with the time at which the table gave them.
pub(super) struct Lists(Mutex<LruCache<i64, (Instant, List)>>);

impl Lists {
    pub(super) fn new() -> Lists {
        Lists(Mutex::new(LruCache::new(MAX_LISTS)))
    }

    pub(super) fn fresh(&self, uid: i64) -> Option<List> {
        let mut lists = self.0.lock();
        let (checked, list) = lists.get(&uid)?;
        (checked.elapsed() < FRESH).then(|| list.clone())
    }

    pub(super) fn put(&self, uid: i64, checked: Instant, list: &List) {
        self.0.lock().put(uid, (checked, list.clone()));
    }

    pub(super) fn forget(&self, uid: i64) {
        self.0.lock().pop(&uid);
    }
}
