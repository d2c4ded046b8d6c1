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
    /// An entry for the request at the start of `bytes`, which may be malformed.
    pub fn new(bytes: &[u8], started: Instant, sender: IpAddr) -> LogEntry {
        let is_logged = log::log_enabled!(log::Level::Info);
        let request = if is_logged { method_and_path(bytes) } else { String::new() };
        LogEntry { request, status: 500, started, sender }
    }
}

impl Drop for LogEntry {
    fn drop(&mut self) {
        let LogEntry { request, status, started, sender } = self;
        log::info!("{request} {status} {} ms {sender}", started.elapsed().as_millis());
    }
}

/// The method and the path of a request, quoted, because they can contain anything. The query is left
/// out, because it may contain secrets.
fn method_and_path(bytes: &[u8]) -> String {
    let mut parts = bytes.trim_ascii_start().split(|byte| b"?\r\n".contains(byte));
    let line = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let end = line.match_indices(' ').nth(1).map_or(line.len(), |(end, _)| end);
    quoted(&line[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_named_as_far_as_it_has_a_name() {
        for (bytes, name) in [
            ("GET /a?b HTTP/1.1\r\n\r\n", "GET /a"),
            ("\r\nGET /a b HTTP/1.1\r\n\r\n", "GET /a"),
            ("GET\r\n", "GET"),
            ("nonsense", "nonsense"),
            ("", ""),
        ] {
            assert_eq!(method_and_path(bytes.as_bytes()), quoted(name));
        }
    }
}
