//! What a session carries from page to page: flash messages, and what handlers keep for later requests.
//! It is in memory alone, because a restart then loses nothing that a visitor cannot repeat.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Extensions;

use super::{IdHash, SessionId, Sessions};
use crate::error::Error;

/// How long a stranger's session with a message is kept.
pub const MESSAGE_LIFETIME: Duration = Duration::from_mins(10);

/// A message that the visitor's next page shows once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flash {
    /// Something went well; shown in a `role="status"` box.
    Notice(String),
    /// Something needs attention; shown in a `role="alert"` box.
    Alert(String),
}

/// What a session carries.
#[derive(Default)]
pub(super) struct Carried {
    /// The messages for the visitor's next page.
    pub flashes: Vec<Flash>,
    /// What handlers keep for later requests: at most one value of each type.
    kept: Extensions,
}

/// A value that is kept until that moment.
#[derive(Clone)]
struct Kept<T> {
    value: T,
    until: Instant,
}

impl Carried {
    /// Keeps a value for that time. It replaces an earlier one of the same type.
    pub fn keep<T: Clone + Send + Sync + 'static>(&mut self, value: T, lasts: Duration) {
        self.kept.insert(Kept { value, until: Instant::now() + lasts });
    }

    /// Takes the kept value of that type. `None` if there is none, or its time is over.
    pub fn take<T: Clone + Send + Sync + 'static>(&mut self) -> Option<T> {
        let kept = self.kept.remove::<Kept<T>>()?;
        (Instant::now() < kept.until).then_some(kept.value)
    }

    /// A copy of the kept value of that type.
    pub fn kept<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        let kept = self.kept.get::<Kept<T>>()?;
        (Instant::now() < kept.until).then(|| kept.value.clone())
    }

    /// Whether nothing is kept.
    pub fn keeps_nothing(&self) -> bool {
        self.kept.is_empty()
    }
}

impl Sessions {
    /// Adds a message to a session, unless the same message waits there already. `false` if this process
    /// does not have the session in memory.
    pub fn flash(&self, id: &IdHash, flash: Flash) -> bool {
        self.with_carried(id, |Carried { flashes, .. }| {
            if !flashes.contains(&flash) {
                flashes.push(flash);
            }
        })
        .is_some()
    }

    /// Takes the messages out of a session.
    pub fn take_flashes(&self, id: &IdHash) -> Vec<Flash> {
        self.with_carried(id, |carried| std::mem::take(&mut carried.flashes)).unwrap_or_default()
    }

    /// Keeps a value with a session for that time, an hour at most. It replaces an earlier one of the same
    /// type. `false` if this process does not have the session in memory.
    pub fn keep<T>(&self, id: &IdHash, value: T, lasts: Duration) -> bool
    where
        T: Clone + Send + Sync + 'static,
    {
        self.with_carried(id, |carried| carried.keep(value, lasts)).is_some()
    }

    /// A copy of the value of that type that a session keeps.
    pub fn kept<T: Clone + Send + Sync + 'static>(&self, id: &IdHash) -> Option<T> {
        self.with_carried(id, |carried| carried.kept())?
    }

    /// Takes the value of that type out of a session. Of requests at the same moment, one gets it.
    pub fn take_kept<T: Clone + Send + Sync + 'static>(&self, id: &IdHash) -> Option<T> {
        self.with_carried(id, Carried::take)?
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

    fn with_carried<T>(&self, id: &IdHash, change: impl FnOnce(&mut Carried) -> T) -> Option<T> {
        let entry = self.shard(id).get(id).map(Arc::clone);
        if let Some(entry) = entry
            && let Some(carried) = &mut *entry.carried.lock()
        {
            return Some(change(carried));
        }
        self.strangers.lock().carried(id).map(change)
    }
}
