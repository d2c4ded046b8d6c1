//! Writes responses, framed as RFC 9112 says, without waiting for the client. A file of any size takes no
//! more memory than a page.

use std::io::{self, ErrorKind, Read, Take, Write};
use std::time::SystemTime;

use http::StatusCode;
use httpdate::HttpDate;
use rouille::Response;

use super::log_entry::LogEntry;

/// Headers that describe the connection. This file writes them, and drops those of a handler.
const CONNECTION_HEADERS: [&str; 5] =
    ["connection", "content-length", "date", "transfer-encoding", "upgrade"];
/// How much of a response is in memory at once. Head and page are sent together.
const BUFFER_BYTES: usize = 16 * 1024;

/// How the request wants its response framed. Unreadable requests use the default.
#[derive(Clone, Copy, Default)]
pub struct Framing {
    /// The response has no body, because the method is HEAD.
    pub head_only: bool,
    /// The connection stays open for further requests.
    pub keep_alive: bool,
}

/// A response on its way to the client.
pub struct Answer {
    /// The next bytes to send.
    buffer: Vec<u8>,
    /// The part of the body that is not in the buffer yet.
    body: Take<Box<dyn Read + Send>>,
    /// Whether the connection stays open when everything is sent.
    pub keep_alive: bool,
    /// Logged when the answer is sent or given up.
    _entry: LogEntry,
}

impl Answer {
    /// A body of unknown length ends with its connection.
    ///
    /// # Errors
    /// If the beginning of the body cannot be read.
    pub fn new(response: Response, framing: Framing, entry: LogEntry) -> io::Result<Answer> {
        let has_body = !matches!(response.status_code, 204 | 304);
        let status = StatusCode::from_u16(response.status_code).map_err(io::Error::other)?;
        let (reader, bytes) = response.data.into_reader_and_size();
        let keep_alive = framing.keep_alive && (bytes.is_some() || !has_body);
        let mut buffer = Vec::with_capacity(1024 + bytes.unwrap_or(0).min(BUFFER_BYTES));
        write!(buffer, "HTTP/1.1 {status}\r\nDate: {}\r\n", HttpDate::from(SystemTime::now()))?;
        for (name, value) in &response.headers {
            if CONNECTION_HEADERS.iter().all(|own| !name.eq_ignore_ascii_case(own)) {
                // Not `write!`, which would be slower than everything else in this file.
                buffer.extend_from_slice(name.as_bytes());
                buffer.extend_from_slice(b": ");
                buffer.extend(value.bytes().map(without_control));
                buffer.extend_from_slice(b"\r\n");
            }
        }
        if let Some(bytes) = bytes.filter(|_| has_body) {
            write!(buffer, "Content-Length: {bytes}\r\n")?;
        }
        buffer.extend(if keep_alive { &b"\r\n"[..] } else { b"Connection: close\r\n\r\n" });
        let is_cut = framing.head_only || !has_body;
        let body = reader.take(if is_cut { 0 } else { bytes.map_or(u64::MAX, |it| it as u64) });
        let mut answer = Answer { buffer, body, keep_alive, _entry: entry };
        answer.refill()?;
        Ok(answer)
    }

    /// Sends what the client's side takes now, up to so many buffers. Returns the number of bytes.
    ///
    /// # Errors
    /// If the client is gone, or the body cannot be read. The connection is then unusable.
    pub fn send(&mut self, mut out: impl Write, buffers: usize) -> io::Result<usize> {
        let mut bytes = 0;
        for _ in 0..buffers {
            if self.buffer.is_empty() {
                self.refill()?;
            }
            while !self.buffer.is_empty() {
                match out.write(&self.buffer) {
                    Ok(taken) => bytes += self.buffer.drain(..taken).len(),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(bytes),
                    Err(error) => return Err(error),
                }
            }
            if self.is_sent() {
                break;
            }
        }
        Ok(bytes)
    }

    /// Whether everything is sent.
    pub fn is_sent(&self) -> bool {
        self.buffer.is_empty() && self.body.limit() == 0
    }

    /// Adds the next part of the body to the buffer. If the body ends before its length is reached, its
    /// connection ends with it, so that nobody takes it for the whole.
    fn refill(&mut self) -> io::Result<()> {
        let room = BUFFER_BYTES.saturating_sub(self.buffer.len()) as u64;
        let wanted = room.min(self.body.limit());
        let read = self.body.by_ref().take(wanted).read_to_end(&mut self.buffer)?;
        if (read as u64) < wanted {
            self.body.set_limit(0);
            self.keep_alive = false;
        }
        Ok(())
    }
}

/// A byte of a header's value. Control characters become blanks, because a line break would start another
/// header.
fn without_control(byte: u8) -> u8 {
    if byte.is_ascii_control() { b' ' } else { byte }
}
