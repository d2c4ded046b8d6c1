//! Sessions: the map that requests read, the table behind it that outlives the process, and the
//! flash messages.
//!
//! In: session ids and users. Out: who a visitor is, and what to tell them. A session that was
//! checked against the table less than a second ago costs no query; any other live one costs one,
//! however many requests ask at once. So a session ended anywhere is dead everywhere within a second, a
//! flood on one session costs one query a second, and a restart logs nobody out.
//!
//! A session begins with a login, a registration or a new password. It ends with a logout, "End", the
//! next login of its browser, a new password, or its user, and otherwise when its time is up.

mod flash;
mod id;
mod table;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lru::LruCache;
use parking_lot::{Mutex, MutexGuard, RwLock};

pub use self::flash::Flash;
use self::flash::Strangers;
pub use self::id::{IdHash, SessionId};
use self::table::Table;
pub use self::table::{Listed, Login, Session, Which};
use crate::config::Config;
use crate::database::Database;
use crate::error::Error;
use crate::passwords::PasswordHash;
use crate::users::User;

/// How long what the table said is taken for true.
const FRESH: Duration = Duration::from_secs(1);

/// How long the map keeps a session that nobody uses, and its messages. The table finds it again.
const KEPT: Duration = Duration::from_mins(10);

/// How long a request waits for its turn to ask the table.
const PATIENCE: Duration = Duration::from_secs(2);

/// The map is cut into pieces, each with its own lock, so that no lock is held for long or often.
const SHARDS: usize = 64;

/// Lists of sessions kept at once; of more users than this, the one not seen for longest costs a query.
const MAX_LISTS: NonZeroUsize = NonZeroUsize::new(1_000).unwrap();

/// A user's sessions, the latest used first.
pub type List = Arc<[Listed]>;

/// Every session this process knows of, and the way to those it does not.
pub struct Sessions {
    table: Table,
    shards: [Shard; SHARDS],
    strangers: Mutex<Strangers>,
    /// Lists by user, with the time at which the table gave them.
    lists: Mutex<LruCache<i64, (Instant, List)>>,
}

#[derive(Default)]
struct Shard {
    entries: Mutex<HashMap<IdHash, Entry>>,
    /// Written while asking the table, so that of many requests for one session only one asks, and
    /// read by those who wait for the answer. Lists share it, by the user's uid.
    asking: RwLock<()>,
}

struct Entry {
    session: Session,
    checked: Instant,
    flashes: Vec<Flash>,
}

impl Sessions {
    /// An empty map in front of that database's table.
    pub fn new(database: Arc<Database>, config: &Config) -> Sessions {
        Sessions {
            table: Table::new(database, config),
            shards: std::array::from_fn(|_| Shard::default()),
            strangers: Mutex::new(Strangers::new()),
            lists: Mutex::new(LruCache::new(MAX_LISTS)),
        }
    }

    /// The login that an id belongs to. `None` if it expired, ended or never was one.
    ///
    /// # Errors
    /// [`Error::Database`] if the table must be asked and does not answer: then nobody knows
    /// whether the visitor is logged in.
    pub fn find(&self, id: &IdHash) -> Result<Option<Session>, Error> {
        let in_map = || {
            let shard = self.entries(id);
            shard.get(id).map(|entry| (entry.checked, Some(entry.session.clone())))
        };
        // A stranger's id is known to be no login, which saves the query.
        let stranger = || self.strangers.lock().messages(id).map(|_| (Instant::now(), None));
        self.known_or_asked(id.shard(), || in_map().or_else(stranger), || self.check(id))
    }

    /// Logs a user in under a new id, and ends the session that the visitor had (OWASP ASVS 5.0,
    /// 7.2.4). `None` if the user is gone or has another password by now.
    pub fn begin(
        &self,
        user: User,
        hash: &PasswordHash,
        login: Login,
        replaced: Option<&IdHash>,
    ) -> Result<Option<SessionId>, Error> {
        let id = SessionId::random()?;
        let (id_hash, checked) = (id.hash(), Instant::now());
        let Some(number) = self.table.insert(&id_hash, replaced, user.uid, hash, login)? else {
            return Ok(None);
        };
        if let Some(replaced) = replaced {
            self.strangers.lock().end(replaced);
        }
        self.forget(user.uid, replaced.map_or(&[], std::slice::from_ref));
        let session = Session { number, remembered: login.remember, user: Arc::new(user) };
        self.entries(&id_hash).insert(id_hash, Entry { session, checked, flashes: Vec::new() });
        Ok(Some(id))
    }

    /// Ends sessions of a user: whoever brings their ids is a stranger from now on, here, and within a
    /// second in every other process. How many there were.
    pub fn end(&self, uid: i64, which: Which) -> Result<usize, Error> {
        let ended = self.table.delete(uid, which)?;
        self.forget(uid, &ended);
        Ok(ended.len())
    }

    /// Drops from memory sessions of a user that have ended in the table.
    pub fn forget(&self, uid: i64, ended: &[IdHash]) {
        self.lists.lock().pop(&uid);
        for id in ended {
            self.entries(id).remove(id);
        }
    }

    /// A user's sessions, the latest used first, as the table had them at most a second ago.
    pub fn list(&self, uid: i64) -> Result<List, Error> {
        let known = || self.lists.lock().get(&uid).cloned();
        self.known_or_asked(usize::try_from(uid).unwrap_or_default(), known, || {
            let checked = Instant::now();
            let list = List::from(self.table.list(uid)?);
            self.lists.lock().put(uid, (checked, list.clone()));
            Ok(list)
        })
    }

    /// Leaves a message in a session, once however often it is left. `false` if there is no such
    /// session in this process.
    pub fn flash(&self, id: &IdHash, flash: Flash) -> bool {
        self.with_flashes(id, |waiting| {
            if !waiting.contains(&flash) {
                waiting.push(flash);
            }
        })
        .is_some()
    }

    /// Takes the messages of a session, which are then gone.
    pub fn take_flashes(&self, id: &IdHash) -> Vec<Flash> {
        self.with_flashes(id, std::mem::take).unwrap_or_default()
    }

    /// Begins a stranger's session with a message in it, and nothing else.
    pub fn begin_stranger(&self, flash: Flash) -> Result<SessionId, Error> {
        let id = SessionId::random()?;
        self.strangers.lock().begin(id.hash(), flash);
        Ok(id)
    }

    /// Drops what has expired, from the table and from memory. How many rows of the table.
    pub fn sweep(&self) -> Result<u64, Error> {
        self.strangers.lock().sweep();
        for shard in &self.shards {
            // What is being asked about must not seem to have been logged out meanwhile.
            let Some(_turn) = shard.asking.try_write() else { continue };
            let mut entries = shard.entries.lock();
            entries.retain(|_, entry| entry.checked.elapsed() < KEPT);
            let room = entries.len() * 2;
            entries.shrink_to(room);
        }
        self.table.sweep()
    }

    /// What the table said less than a second ago, or what `ask` brings. While somebody asks, the others
    /// wait together: a thousand who took turns to look at the answer would wait for each other. If it
    /// was no answer to theirs, they do take turns, and ask.
    fn known_or_asked<T>(
        &self,
        shard: usize,
        known: impl Fn() -> Option<(Instant, T)>,
        ask: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let is_fresh = |(checked, _): &(Instant, T)| checked.elapsed() < FRESH;
        let fresh = || known().filter(is_fresh).map(|(_, value)| value);
        if let Some(value) = fresh() {
            return Ok(value);
        }
        let asking = &self.shards[shard % SHARDS].asking;
        let deadline = Instant::now() + PATIENCE;
        let mut turn = asking.try_write();
        if turn.is_none() {
            drop(asking.try_read_until(deadline));
            if let Some(value) = fresh() {
                return Ok(value);
            }
            turn = asking.try_write_until(deadline);
        }
        let _turn = turn.ok_or(Error::Busy("turn to ask the database"))?;
        // Somebody may have asked between the look and the turn.
        fresh().map_or_else(ask, Ok)
    }

    /// Asks the table for a session, and puts the answer into the map.
    fn check(&self, id: &IdHash) -> Result<Option<Session>, Error> {
        let (checked, was_known) = (Instant::now(), self.entries(id).contains_key(id));
        let found = self.table.check(id)?;
        let mut shard = self.entries(id);
        let Some(session) = found else {
            shard.remove(id);
            return Ok(None);
        };
        let flashes = match shard.remove(id) {
            // A logout came in between.
            None if was_known => return Ok(None),
            entry => entry.map(|entry| entry.flashes).unwrap_or_default(),
        };
        shard.insert(*id, Entry { session: session.clone(), checked, flashes });
        Ok(Some(session))
    }

    fn with_flashes<T>(&self, id: &IdHash, change: impl FnOnce(&mut Vec<Flash>) -> T) -> Option<T> {
        if let Some(entry) = self.entries(id).get_mut(id) {
            return Some(change(&mut entry.flashes));
        }
        self.strangers.lock().messages(id).map(change)
    }

    fn entries(&self, id: &IdHash) -> MutexGuard<'_, HashMap<IdHash, Entry>> {
        self.shards[id.shard() % SHARDS].entries.lock()
    }
}
