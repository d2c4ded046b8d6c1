//! Logs the beginning and the end of an outage of the database, instead of a line for each request that
//! fails meanwhile.

use std::time::{Duration, Instant};

use humantime::format_duration;
use parking_lot::Mutex;

/// Whether the database is away.
pub struct Outage {
    /// The database's host or socket, for the log.
    place: String,
    current: Mutex<Option<Current>>,
}

/// The outage that is going on.
struct Current {
    since: Instant,
    failed_requests: u64,
}

impl Outage {
    /// Watches the database at that host or socket.
    pub fn new(place: String) -> Outage {
        Outage { place, current: Mutex::new(None) }
    }

    /// Counts a request that failed. `false` if the database is not known to be away.
    pub fn counts_failure(&self) -> bool {
        let mut current = self.current.lock();
        let Some(outage) = &mut *current else { return false };
        outage.failed_requests += 1;
        true
    }

    /// Records that the database did not answer.
    pub fn begin(&self, cause: &str) {
        let mut current = self.current.lock();
        if current.is_none() {
            *current = Some(Current { since: Instant::now(), failed_requests: 0 });
            log::error!("database at {}: no answer: {cause}", self.place);
        }
    }

    /// Records that the database has answered.
    pub fn end(&self) {
        let Some(outage) = self.current.lock().take() else { return };
        let (place, failed_requests) = (&self.place, outage.failed_requests);
        let time = format_duration(Duration::from_secs(outage.since.elapsed().as_secs()));
        log::warn!(
            "database at {place}: answers again, after {time} and {failed_requests} failed requests"
        );
    }
}
