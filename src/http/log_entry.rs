//! The log's line for a request.

use std::net::IpAddr;
use std::time::Instant;

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

    /// Notes method and path. They are quoted, because they can contain anything. The query is left out,
    /// because it may contain secrets.
    pub fn name(&mut self, method_and_path: &[u8]) {
        self.request = quoted(&String::from_utf8_lossy(method_and_path));
    }
}

impl Drop for LogEntry {
    fn drop(&mut self) {
        let (ms, ip) = (self.started.elapsed().as_millis(), self.sender);
        log::info!("{} {} {ms} ms {ip}", self.request, self.status);
    }
}
