//! Sessions: a table in the database, a cache of it in memory (the map), and the flash messages.
//!
//! A request uses the cached answer if the table was queried less than a second ago. Otherwise it queries the
//! table; requests for the same session at the same moment share one query, and its failure. So a session
//! that one process ends is invalid in every process within a second, a flood of requests for one
//! session costs one query a second, and a restart logs nobody out.
//!
//! A session begins with a login, a registration or a password change. It ends with a logout, the button
//! "Log out" in the list, the next login in the same browser, a password change, a second factor that is
//! turned on in another browser, when its user is disabled or deleted, or when it expires. Expired rows are
//! deleted by a sweep each minute.
//!
//! "Remember me" changes two things, and stores nothing else: the row's column `remembered` gives the session
//! 30 days from the login, however seldom it is used, instead of 2 hours from the last use and 12 in all; and
//! the browser keeps the cookie for those 30 days instead of until it is closed (`Max-Age`). All times are
//! settings. Everything that ends a session ends a remembered one.

mod carried;
mod id;
mod session;
mod strangers;
mod table;

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;
use postgres::Transaction;

pub use self::carried::{Carried, Flash, MESSAGE_LIFETIME};
pub use self::id::{IdHash, SessionId};
pub use self::session::{LoginDetails, Proof, Session, SessionSummary, Which};
use self::strangers::Strangers;
use self::table::Table;
use crate::accounts::passwords::PasswordHash;
use crate::config::Config;
use crate::database::{Database, count_time};
use crate::error::Error;
use crate::fresh::Fresh;

/// How long the map keeps an unused session, and what it carries. The table keeps the session for longer.
const KEEP_UNUSED: Duration = Duration::from_hours(1);

/// The most users whose lists of sessions are cached. A new one then replaces the least recently used.
const MAX_LISTS: NonZeroUsize = NonZeroUsize::new(1_000).unwrap();

/// A user's sessions, the most recently used first.
pub type List = Arc<[SessionSummary]>;

/// All sessions: those in this process's memory, and the table with the rest.
pub struct Sessions {
    table: Table,
    /// The map. Its lock is never held during a query.
    entries: Mutex<HashMap<IdHash, Arc<Entry>>>,
    strangers: Mutex<Strangers>,
    /// The lists of users' sessions, by user id.
    lists: Mutex<LruCache<i64, Arc<Answer<List>>>>,
}

/// What the table last answered.
type Answer<T> = Fresh<Result<T, Error>>;

/// What the map knows of a session id.
#[derive(Default)]
struct Entry {
    session: Answer<Option<Session>>,
    /// `None` until the table has confirmed that there is such a session.
    carried: Mutex<Option<Carried>>,
}

impl Sessions {
    /// The sessions in that database, with nothing cached yet.
    pub fn new(database: Arc<Database>, config: &Config) -> Sessions {
        Sessions {
            table: Table::new(database, config),
            entries: Mutex::default(),
            strangers: Mutex::new(Strangers::new()),
            lists: Mutex::new(LruCache::new(MAX_LISTS)),
        }
    }

    /// The login session with that id. `None` if it has expired, was ended, or does not exist.
    ///
    /// # Errors
    /// An outage ([`Error::is_outage`]) if the table must be queried and does not answer. Then it is
    /// unknown whether the visitor is logged in.
    pub fn find(&self, id: &IdHash) -> Result<Option<Session>, Error> {
        let entry = Arc::clone(self.entries.lock().entry(*id).or_default());
        count_time(|| entry.session.get(|| self.check(id, &entry)))
    }

    /// Logs a user in with a new session id, and ends the visitor's previous session `replaced` (OWASP
    /// ASVS 5.0, 7.2.4). `None` if the user was deleted or disabled, the password changed, or a second factor
    /// was turned on, in the meantime.
    pub fn begin(
        &self,
        uid: i64,
        hash: &PasswordHash,
        login: LoginDetails,
        replaced: Option<&IdHash>,
    ) -> Result<Option<SessionId>, Error> {
        let id = SessionId::random()?;
        let (id_hash, entry) = (id.hash(), Arc::new(Entry::default()));
        // The map gets the session first. So a request that ends it as soon as it is in the table finds it in both.
        self.entries.lock().insert(id_hash, Arc::clone(&entry));
        let begun = entry.session.get(|| self.table.insert(&id_hash, replaced, uid, hash, login));
        if !matches!(begun, Ok(Some(_))) {
            self.entries.lock().remove(&id_hash);
            return begun.map(|_| None);
        }
        *entry.carried.lock() = Some(Carried::default());
        if let Some(replaced) = replaced {
            self.strangers.lock().end(replaced);
        }
        self.forget(uid, replaced.map_or(&[], std::slice::from_ref));
        Ok(Some(id))
    }

    /// Ends sessions of a user: at once in this process, and within a second in every other. Returns how
    /// many it ended.
    pub fn end(&self, uid: i64, which: Which) -> Result<usize, Error> {
        let ended = self.table.delete(uid, which)?;
        self.forget(uid, &ended);
        Ok(ended.len())
    }

    /// The same together with a change of the user's row, in one transaction. `None`, with nothing changed,
    /// if `change` returns `false`.
    pub(crate) fn end_with(
        &self,
        uid: i64,
        which: Which,
        change: impl FnOnce(&mut Transaction) -> Result<bool, postgres::Error> + Send + 'static,
    ) -> Result<Option<usize>, Error> {
        let ended = self.table.delete_with(uid, which, change)?;
        Ok(ended.map(|ended| {
            self.forget(uid, &ended);
            ended.len()
        }))
    }

    /// Begins a stranger's session that lasts for that time. It takes over what the stranger's session
    /// `replaced` carried.
    pub fn begin_stranger(
        &self,
        ip: IpAddr,
        replaced: Option<&IdHash>,
        lasts: Duration,
    ) -> Result<SessionId, Error> {
        let id = SessionId::random()?;
        let mut strangers = self.strangers.lock();
        let carried = replaced.and_then(|replaced| strangers.end(replaced)).unwrap_or_default();
        strangers.begin(id.hash(), ip, carried, lasts);
        Ok(id)
    }

    /// Whether this process knows a stranger's session with that id.
    pub fn is_stranger(&self, id: &IdHash) -> bool {
        self.strangers.lock().carried(id).is_some()
    }

    /// Call this after a change of what a session knows of its user. The next request queries the table.
    pub fn expire(&self, id: &IdHash) {
        let entry = self.entries.lock().get(id).cloned();
        if let Some(entry) = entry {
            entry.session.expire();
        }
    }

    /// Removes sessions from memory that were ended in the table. Requests that already wait for a query may
    /// still get an ended session; later requests do not.
    fn forget(&self, uid: i64, ended: &[IdHash]) {
        self.lists.lock().pop(&uid);
        for id in ended {
            self.entries.lock().remove(id);
        }
    }

    /// A user's sessions, the most recently used first. They are at most a second out of date.
    pub fn list(&self, uid: i64) -> Result<List, Error> {
        let list = Arc::clone(self.lists.lock().get_or_insert(uid, Arc::default));
        count_time(|| list.get(|| self.table.list(uid).map(List::from)))
    }

    /// Deletes expired sessions from the table, and removes unused ones from memory. Returns the number of
    /// deleted rows.
    pub fn sweep(&self) -> Result<u64, Error> {
        self.strangers.lock().sweep();
        let mut entries = self.entries.lock();
        // Another reference is a request's, which is about to use the entry.
        entries.retain(|_, entry| {
            Arc::strong_count(entry) > 1 || !entry.session.is_unused_for(KEEP_UNUSED)
        });
        let room = entries.len() * 2;
        entries.shrink_to(room);
        drop(entries); // before a query
        self.table.sweep()
    }

    /// Queries the table for a session. Removes its entry from the map if there is no such session.
    fn check(&self, id: &IdHash, entry: &Entry) -> Result<Option<Session>, Error> {
        // The id of a stranger's session is never in the table.
        let answer = if self.is_stranger(id) { Ok(None) } else { self.table.check(id) };
        let mut carried = entry.carried.lock();
        if matches!(answer, Ok(Some(_))) {
            carried.get_or_insert_default();
        }
        // What a session carries stays while the table cannot answer.
        let stays = carried.is_some() && !matches!(answer, Ok(None));
        drop(carried); // before another lock
        if !stays {
            self.entries.lock().remove(id);
        }
        answer
    }
}
