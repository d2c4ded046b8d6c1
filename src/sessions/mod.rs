//! Sessions: the map that requests read, the table behind it that outlives the process, and the
//! flash messages.
//!
//! A session that was checked against the table less than a second ago costs no query; any other live
//! one costs one, however many requests ask at once. So a session ended anywhere is dead everywhere
//! within a second, a flood on one session costs one query a second, and a restart logs nobody out.
//!
//! A session begins with a login, a registration or a new password. It ends with a logout, "End", the
//! next login of its browser, a new password, or its user, and otherwise when its time is up.

mod flash;
mod flight;
mod id;
mod lists;
mod table;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

pub use self::flash::Flash;
use self::flash::Strangers;
use self::flight::{Flight, Flights};
pub use self::id::{IdHash, SessionId};
pub use self::lists::List;
use self::lists::Lists;
use self::table::Table;
pub use self::table::{Login, Session, SessionSummary, Which};
use crate::accounts::passwords::PasswordHash;
use crate::accounts::users::User;
use crate::config::Config;
use crate::database::Database;
use crate::error::Error;

/// How long what the table said is taken for true.
const FRESH: Duration = Duration::from_secs(1);

/// How long the map keeps a session that nobody uses, and its messages. The table finds it again.
const KEPT: Duration = Duration::from_mins(10);

/// The map is cut into pieces, each with its own lock, so that no lock is held for long or often.
const SHARDS: usize = 64;

/// Every session this process knows of, and the way to those it does not.
pub struct Sessions {
    table: Table,
    shards: [Mutex<Shard>; SHARDS],
    strangers: Mutex<Strangers>,
    lists: Lists,
}

/// A piece of the map. No lock of one is held during a query.
#[derive(Default)]
struct Shard {
    entries: HashMap<IdHash, Entry>,
    flights: Flights<IdHash, Option<Session>>,
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
            shards: std::array::from_fn(|_| Mutex::default()),
            strangers: Mutex::new(Strangers::new()),
            lists: Lists::new(),
        }
    }

    /// The login that an id belongs to. `None` if it expired, ended or never was one.
    ///
    /// # Errors
    /// [`Error::is_outage`] if the table must be asked and does not answer: then nobody knows
    /// whether the visitor is logged in.
    pub fn find(&self, id: &IdHash) -> Result<Option<Session>, Error> {
        let mut shard = self.shard(id);
        if let Some(entry) = shard.entries.get(id).filter(|entry| entry.checked.elapsed() < FRESH) {
            return Ok(Some(entry.session.clone()));
        }
        let flight = shard.flights.join(*id);
        drop(shard);
        flight.answer(|| self.check(id, &flight))
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
        let flight = self.shard(&id_hash).flights.join(id_hash);
        let inserted = self.table.insert(&id_hash, replaced, user.uid, hash, login);
        let is_current = self.shard(&id_hash).flights.land(&id_hash, &flight);
        let Some(number) = inserted? else { return Ok(None) };
        if let Some(replaced) = replaced {
            self.strangers.lock().end(replaced);
        }
        self.forget(user.uid, replaced.map_or(&[], std::slice::from_ref));
        // If its user has ended it already, the map must not say that it is alive.
        if is_current {
            let session = Session::new(number, login.remember, user);
            let entry = Entry { session, checked, flashes: Vec::new() };
            self.shard(&id_hash).entries.insert(id_hash, entry);
        }
        Ok(Some(id))
    }

    /// Ends sessions of a user: whoever brings their ids is a stranger from now on, here, and within a
    /// second in every other process. How many there were.
    pub fn end(&self, uid: i64, which: Which) -> Result<usize, Error> {
        let ended = self.table.delete(uid, which)?;
        self.forget(uid, &ended);
        Ok(ended.len())
    }

    /// Changes a password and ends all the user's sessions, both or neither. How many there were; `None`
    /// if the password is not the old one any more.
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

    /// Drops from memory sessions of a user that have ended in the table.
    fn forget(&self, uid: i64, ended: &[IdHash]) {
        self.lists.forget(uid);
        for id in ended {
            let mut shard = self.shard(id);
            shard.entries.remove(id);
            shard.flights.outdate(id);
        }
    }

    /// A user's sessions, the latest used first, as the table had them at most a second ago.
    pub fn list(&self, uid: i64) -> Result<List, Error> {
        self.lists.get(uid, || self.table.list(uid))
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
    pub fn begin_stranger(&self, ip: IpAddr, flash: Flash) -> Result<SessionId, Error> {
        let id = SessionId::random()?;
        self.strangers.lock().begin(id.hash(), ip, flash);
        Ok(id)
    }

    /// Drops what has expired, from the table and from memory. How many rows of the table.
    pub fn sweep(&self) -> Result<u64, Error> {
        self.strangers.lock().sweep();
        for shard in &self.shards {
            let entries = &mut shard.lock().entries;
            entries.retain(|_, entry| entry.checked.elapsed() < KEPT);
            let room = entries.len() * 2;
            entries.shrink_to(room);
        }
        self.table.sweep()
    }

    /// Asks the table for a session, and puts the answer into the map.
    fn check(
        &self,
        id: &IdHash,
        flight: &Arc<Flight<Option<Session>>>,
    ) -> Result<Option<Session>, Error> {
        let checked = Instant::now();
        // A stranger's id is known to be no login, which saves the query.
        let is_stranger = self.strangers.lock().messages(id).is_some();
        let answer = if is_stranger { Ok(None) } else { self.table.check(id) };
        let mut shard = self.shard(id);
        let is_current = shard.flights.land(id, flight);
        let found = answer?.filter(|_| is_current);
        // What is left here of an entry that has ended are its messages, which are of no use.
        let flashes = shard.entries.remove(id).map(|entry| entry.flashes).unwrap_or_default();
        if let Some(session) = found.clone() {
            shard.entries.insert(*id, Entry { session, checked, flashes });
        }
        Ok(found)
    }

    fn with_flashes<T>(&self, id: &IdHash, change: impl FnOnce(&mut Vec<Flash>) -> T) -> Option<T> {
        if let Some(entry) = self.shard(id).entries.get_mut(id) {
            return Some(change(&mut entry.flashes));
        }
        self.strangers.lock().messages(id).map(change)
    }

    fn shard(&self, id: &IdHash) -> MutexGuard<'_, Shard> {
        self.shards[id.shard() % SHARDS].lock()
    }
}
