//! What a session carries from page to page: flash messages, and what handlers keep for later requests.
//! It is kept in memory only: a visitor can repeat whatever a restart loses.
//!
//! The way of a flash message: a handler calls `Visit::redirect`, and the message waits here, with the
//! member's session or with the stranger's; a stranger who has none gets one, and its cookie, for this. The
//! visitor's next page, `layout::page`, takes it out and shows it. One that nobody fetches is gone after
//! 10 minutes; a stranger's also if 500 newer strangers' sessions of the same network push it out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Extensions;

use super::{IdHash, Sessions};

/// How long a message waits for the visitor's next page.
pub const MESSAGE_LIFETIME: Duration = Duration::from_mins(10);

/// A message that the visitor's next page shows once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flash {
    /// Something went well; shown in a `role="status"` box.
    Notice(String),
    /// Something needs attention; shown in a `role="alert"` box.
    Alert(String),
}

/// What a session carries: at most one value of each type, each until its time is over.
#[derive(Default)]
pub struct Carried(Extensions);

#[derive(Clone)]
struct Kept<T> {
    value: T,
    until: Instant,
}

impl Carried {
    /// Keeps a value for that time. It replaces an earlier one of the same type.
    pub fn keep<T: Clone + Send + Sync + 'static>(&mut self, value: T, lasts: Duration) {
        self.0.insert(Kept { value, until: Instant::now() + lasts });
    }

    /// A copy of the value of that type. `None` if there is none, or its time is over.
    pub fn kept<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        let kept = self.0.get::<Kept<T>>()?;
        (Instant::now() < kept.until).then(|| kept.value.clone())
    }

    /// Takes the value of that type out.
    pub fn take<T: Clone + Send + Sync + 'static>(&mut self) -> Option<T> {
        let value = self.kept();
        self.0.remove::<Kept<T>>();
        value
    }

    /// Adds a message for the visitor's next page, unless the same message waits already.
    pub fn flash(&mut self, flash: Flash) {
        let mut flashes: Vec<Flash> = self.take().unwrap_or_default();
        if !flashes.contains(&flash) {
            flashes.push(flash);
        }
        self.keep(flashes, MESSAGE_LIFETIME);
    }
}

impl Sessions {
    /// Looks at what a session carries, or changes it. Simultaneous requests take turns. `None` if this process
    /// does not have the session in memory.
    pub fn carried<T>(&self, id: &IdHash, look: impl FnOnce(&mut Carried) -> T) -> Option<T> {
        let entry = self.entries.lock().get(id).map(Arc::clone);
        if let Some(entry) = entry
            && let Some(carried) = &mut *entry.carried.lock()
        {
            return Some(look(carried));
        }
        self.strangers.lock().carried(id).map(look)
    }
}
