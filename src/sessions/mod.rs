//! Sessions: a table in the database, a cache of it in memory (the map), and the flash messages.
//!
//! A request uses the cached session if that was read from the table less than a second ago. Otherwise
//! it queries the table; requests for the same session at the same moment share one query. So a session
//! that one process ends is invalid in every process within a second, a flood of requests for one
//! session costs one query a second, and a restart logs nobody out.
//!
//! A session begins with a login, a registration or a password change. It ends with a logout, the
//! button "End", the next login in the same browser, a password change, the deletion of its user, or
//! when it expires.

mod carried;
mod flight;
mod id;
mod lists;
mod session;
mod strangers;
mod table;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use self::carried::Carried;
pub use self::carried::{Flash, MESSAGE_LIFETIME};
use self::flight::{Flight, Flights};
pub use self::id::{IdHash, SessionId};
use self::lists::Lists;
pub use self::lists::{List, SessionSummary};
pub use self::session::{Login, Session, Which};
use self::strangers::Strangers;
use self::table::Table;
use crate::accounts::passwords::PasswordHash;
use crate::accounts::users::User;
use crate::config::Config;
use crate::database::Database;
use crate::error::Error;

/// How long an answer of the table is used before it is queried again.
const FRESH: Duration = Duration::from_secs(1);

/// How long the map keeps an unused session and its messages. The table keeps the session for longer.
const KEEP_UNUSED: Duration = Duration::from_mins(10);

/// The same for a session that keeps something for a handler: nothing is kept for longer.
const KEEP_CARRIED: Duration = Duration::from_hours(1);

/// The map is split into shards with a lock each, so that requests seldom wait for a lock.
const SHARDS: usize = 64;

/// All sessions: those in this process's memory, and the table with the rest.
pub struct Sessions {
    table: Table,
    shards: [Mutex<Shard>; SHARDS],
    strangers: Mutex<Strangers>,
    lists: Lists,
}

/// A shard of the map. Its lock is never held during a query.
#[derive(Default)]
struct Shard {
    entries: HashMap<IdHash, Entry>,
    flights: Flights<IdHash, Option<Session>>,
}

struct Entry {
    session: Session,
    checked: Instant,
    carried: Carried,
}

impl Entry {
    fn is_worth_its_place(&self) -> bool {
        let kept = if self.carried.keeps_nothing() { KEEP_UNUSED } else { KEEP_CARRIED };
        self.checked.elapsed() < kept
    }
}

impl Sessions {
    /// The sessions in that database, with nothing cached yet.
    pub fn new(database: Arc<Database>, config: &Config) -> Sessions {
        Sessions {
            table: Table::new(database, config),
            shards: std::array::from_fn(|_| Mutex::default()),
            strangers: Mutex::new(Strangers::new()),
            lists: Lists::new(),
        }
    }

    /// The login session with that id. `None` if it has expired, was ended, or does not exist.
    ///
    /// # Errors
    /// An outage ([`Error::is_outage`]) if the table must be queried and does not answer. Then it is
    /// unknown whether the visitor is logged in.
    pub fn find(&self, id: &IdHash) -> Result<Option<Session>, Error> {
        let mut shard = self.shard(id);
        if let Some(entry) = shard.entries.get(id).filter(|entry| entry.checked.elapsed() < FRESH) {
            return Ok(Some(entry.session.clone()));
        }
        let flight = shard.flights.join_or_start(*id);
        drop(shard);
        flight.answer(|| self.check(id, &flight))
    }

    /// Logs a user in with a new session id, and ends the visitor's previous session `replaced` (OWASP
    /// ASVS 5.0, 7.2.4). `None` if the user was deleted, or the password changed, in the meantime.
    pub fn begin(
        &self,
        user: User,
        hash: &PasswordHash,
        login: Login,
        replaced: Option<&IdHash>,
    ) -> Result<Option<SessionId>, Error> {
        let id = SessionId::random()?;
        let (id_hash, checked) = (id.hash(), Instant::now());
        let flight = self.shard(&id_hash).flights.join_or_start(id_hash);
        let inserted = self.table.insert(&id_hash, replaced, user.uid, hash, login);
        if matches!(inserted, Ok(Some(_))) {
            if let Some(replaced) = replaced {
                self.strangers.lock().end(replaced);
            }
            self.forget(user.uid, replaced.map_or(&[], std::slice::from_ref));
        }
        let mut shard = self.shard(&id_hash);
        let is_current = shard.flights.finish(&id_hash, &flight);
        let Some(number) = inserted? else { return Ok(None) };
        // If the session was ended in the meantime, the map must not show it as live.
        if is_current {
            let session = Session::new(number, Duration::ZERO, login.remember, user);
            shard.entries.insert(id_hash, Entry { session, checked, carried: Carried::default() });
        }
        Ok(Some(id))
    }

    /// Ends sessions of a user: at once in this process, and within a second in every other. Returns how
    /// many it ended.
    pub fn end(&self, uid: i64, which: Which) -> Result<usize, Error> {
        let ended = self.table.delete(uid, which)?;
        self.forget(uid, &ended);
        Ok(ended.len())
    }

    /// Changes a password and ends all sessions of the user, in one transaction. Returns how many it
    /// ended; `None`, with nothing changed, if `old` is no longer the user's hash.
    pub fn change_password(
        &self,
        uid: i64,
        old: &PasswordHash,
        new: &PasswordHash,
    ) -> Result<Option<usize>, Error> {
        let Some(ended) = self.table.change_password(uid, old, new)? else { return Ok(None) };
        self.forget(uid, &ended);
        Ok(Some(ended.len()))
    }

    /// Removes sessions from memory that were ended in the table.
    fn forget(&self, uid: i64, ended: &[IdHash]) {
        self.lists.forget(uid);
        for id in ended {
            let mut shard = self.shard(id);
            shard.entries.remove(id);
            shard.flights.invalidate(id);
        }
    }

    /// A user's sessions, the most recently used first. They are at most a second out of date.
    pub fn list(&self, uid: i64) -> Result<List, Error> {
        self.lists.get(uid, || self.table.list(uid))
    }

    /// Deletes expired sessions from the table and from memory. Returns the number of deleted rows.
    pub fn sweep(&self) -> Result<u64, Error> {
        self.strangers.lock().sweep();
        for shard in &self.shards {
            let entries = &mut shard.lock().entries;
            entries.retain(|_, entry| entry.is_worth_its_place());
            let room = entries.len() * 2;
            entries.shrink_to(room);
        }
        self.table.sweep()
    }

    /// Queries the table for a session, and updates the map.
    fn check(
        &self,
        id: &IdHash,
        flight: &Arc<Flight<Option<Session>>>,
    ) -> Result<Option<Session>, Error> {
        let checked = Instant::now();
        // The id of a stranger's session is never in the table.
        let answer = if self.is_stranger(id) { Ok(None) } else { self.table.check(id) };
        let mut shard = self.shard(id);
        let is_current = shard.flights.finish(id, flight);
        let found = answer?.filter(|_| is_current);
        // What it carries moves to the new entry. If the session has ended, that is dropped with it.
        let carried = shard.entries.remove(id).map(|entry| entry.carried).unwrap_or_default();
        if let Some(session) = found.clone() {
            shard.entries.insert(*id, Entry { session, checked, carried });
        }
        Ok(found)
    }

    fn shard(&self, id: &IdHash) -> MutexGuard<'_, Shard> {
        self.shards[id.shard() % SHARDS].lock()
    }
}
