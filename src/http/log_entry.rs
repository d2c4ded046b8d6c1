//! The log's line for a request.

use std::net::IpAddr;
use std::time::Instant;

use log::Level;

use crate::events::quoted;

/// A request, logged when this is dropped: when its answer is sent or given up.
pub struct LogEntry {
    request: String,
    pub status: u16,
    started: Instant,
    pub sender: IpAddr,
}

impl LogEntry {
    pub fn new(started: Instant, sender: IpAddr) -> LogEntry {
        LogEntry { request: String::new(), status: 500, started, sender }
    }

    /// Notes method and path, if they are going to be logged. They are quoted, because they can contain
    /// anything. The query is left out, because it may contain secrets.
    pub fn name(&mut self, method_and_path: impl FnOnce() -> String) {
        if log::log_enabled!(Level::Info) {
            self.request = quoted(&method_and_path());
        }
    }
}

impl Drop for LogEntry {
    fn drop(&mut self) {
        let LogEntry { request, status, started, sender } = self;
        log::info!("{request} {status} {} ms {sender}", started.elapsed().as_millis());
    }
}
