//! Logs the beginning and the end of an outage of the database, instead of a line for each request that
//! fails meanwhile.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// Whether the database is away.
pub struct Outage {
    /// The database's host or socket, for the log.
    place: String,
    is_away: AtomicBool,
}

impl Outage {
    /// Watches the database at that host or socket.
    pub fn new(place: String) -> Outage {
        Outage { place, is_away: AtomicBool::new(false) }
    }

    /// Whether the database is known to be away.
    pub fn is_away(&self) -> bool {
        self.is_away.load(SeqCst)
    }

    /// Records that the database did not answer.
    pub fn begin(&self, cause: &str) {
        if !self.is_away.swap(true, SeqCst) {
            log::error!("database at {}: no answer: {cause}", self.place);
        }
    }

    /// Records that the database has answered.
    pub fn end(&self) {
        if self.is_away() && self.is_away.swap(false, SeqCst) {
            log::warn!("database at {}: answers again", self.place);
        }
    }
}
