//! Reads requests from a socket, within limits of size and time, strictly as RFC 9112 says.
//!
//! If a proxy and this server disagree on where a request ends, a client can hide one request inside
//! another (request smuggling). So a request that could be read in two ways is refused, and its
//! connection is closed.

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use http::uri::{Authority, Uri};
use httparse::{Error, Status};

use super::write::Framing;
use crate::config::{Limits, MOST_HEADERS};

/// The size of one read: nearly always more than a whole request.
const READ_BYTES: usize = 4096;

/// The receiving side of one connection.
pub struct Incoming<'a> {
    stream: BufReader<&'a TcpStream>,
    limits: &'a Limits,
    timeout: Duration,
    /// The current request, even if it was refused, and the bytes that arrived after it.
    pub buffer: Vec<u8>,
    /// The length of the current request in the buffer, in bytes.
    request_bytes: usize,
}

/// A request line and headers. A header may appear more than once.
pub struct Head {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub framing: Framing,
}

impl<'a> Incoming<'a> {
    pub fn new(stream: &'a TcpStream, limits: &'a Limits) -> Self {
        let stream = BufReader::with_capacity(READ_BYTES, stream);
        Incoming { stream, limits, timeout: Duration::ZERO, buffer: Vec::new(), request_bytes: 0 }
    }

    /// Waits for the first byte of the next request. `false` if the connection ends, or stays idle for
    /// the whole idle timeout.
    pub fn wait(&mut self) -> bool {
        self.buffer.drain(..self.request_bytes);
        self.buffer.shrink_to(READ_BYTES);
        self.request_bytes = 0;
        !self.buffer.is_empty() || matches!(self.read(self.limits.idle_timeout), Ok(1..))
    }

    /// Reads the rest of a request whose first byte has arrived: head and body.
    ///
    /// # Errors
    /// The status to refuse the request with, if it breaks a rule or a limit; `None` if the client is
    /// gone.
    pub fn request(&mut self) -> Result<(Head, Vec<u8>), Option<u16>> {
        let deadline = Instant::now() + self.limits.head_timeout;
        let (head, bytes) = loop {
            match Head::parse(&self.buffer, self.limits)? {
                Some(parsed) => break parsed,
                None => self.read_before(deadline)?,
            }
        };
        let deadline = Instant::now() + self.limits.body_timeout;
        self.request_bytes = bytes + head.body_bytes(self.limits.max_body_bytes)?;
        if head.expects_continue()? && self.buffer.len() < self.request_bytes {
            // If this write fails, the following read fails, too.
            let _ = self.stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        while self.buffer.len() < self.request_bytes {
            self.read_before(deadline)?;
        }
        Ok((head, self.buffer[bytes..self.request_bytes].to_vec()))
    }

    fn read_before(&mut self, deadline: Instant) -> Result<(), Option<u16>> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.read(left).map_err(|error| error.kind()) {
            _ if left.is_zero() => Err(Some(408)),
            Err(ErrorKind::WouldBlock) => Err(Some(408)),
            Ok(1..) | Err(ErrorKind::Interrupted) => Ok(()),
            _ => Err(None),
        }
    }

    fn read(&mut self, timeout: Duration) -> io::Result<usize> {
        // To set a timeout is a system call, which most reads can save.
        if self.timeout != timeout {
            self.stream.get_ref().set_read_timeout(Some(timeout))?;
            self.timeout = timeout;
        }
        let received = self.stream.fill_buf()?;
        self.buffer.extend_from_slice(received);
        let bytes = received.len();
        self.stream.consume(bytes);
        Ok(bytes)
    }
}

impl Head {
    /// The head at the start of `buffer`, and its length in bytes; `None` while it is incomplete.
    fn parse(buffer: &[u8], limits: &Limits) -> Result<Option<(Head, usize)>, u16> {
        // Left uninitialized, because initializing would write four kilobytes for each request.
        let mut room = [const { MaybeUninit::uninit() }; MOST_HEADERS];
        let room = &mut room[..limits.max_headers.min(MOST_HEADERS)];
        let mut parsed = httparse::Request::new(&mut []);
        let bytes = match parsed.parse_with_uninit_headers(buffer, room) {
            Ok(Status::Complete(bytes)) if bytes <= limits.max_head_bytes => bytes,
            Ok(Status::Partial) if buffer.len() < limits.max_head_bytes => return Ok(None),
            Ok(_) if !buffer[..limits.max_head_bytes].contains(&b'\n') => return Err(414),
            Ok(_) | Err(Error::TooManyHeaders) => return Err(431),
            Err(Error::Version) if version(buffer).starts_with(b"HTTP/") => return Err(505),
            Err(_) => return Err(400),
        };
        // httparse accepts a bare LF as a line end; other servers may not.
        if !buffer[..bytes - 1].split(|byte| *byte == b'\n').all(|line| line.ends_with(b"\r")) {
            return Err(400);
        }
        let (method, is_1_0) = (parsed.method.unwrap_or_default(), parsed.version == Some(0));
        let mut head = Head {
            method: method.to_owned(),
            target: parsed.path.unwrap_or_default().to_owned(),
            headers: parsed.headers.iter().map(|h| (h.name.to_owned(), text(h.value))).collect(),
            framing: Framing { head_only: method == "HEAD", is_1_0, keep_alive: false },
        };
        let closes = |line: &str| line.split(',').any(|o| o.trim().eq_ignore_ascii_case("close"));
        head.framing.keep_alive = !is_1_0 && !head.values("connection").any(closes);
        head.target = head.path_and_query()?;
        Ok(Some((head, bytes)))
    }

    /// Path and query of the target, or the `*` of `OPTIONS *`. If the target contains a host, it must
    /// equal `Host`. `Host` is required except in HTTP/1.0, appears once, and is not empty (RFC 9112
    /// §3.2, RFC 9110 §4.2.1).
    fn path_and_query(&self) -> Result<String, u16> {
        let host = match self.only("host")? {
            None if self.framing.is_1_0 => "",
            Some(host) if host.parse::<Authority>().is_ok() && !host.contains('@') => host,
            _ => return Err(400),
        };
        let uri: Uri = self.target.parse().map_err(|_| 400_u16)?;
        let is_elsewhere = uri.authority().is_some_and(|a| !a.as_str().eq_ignore_ascii_case(host));
        let is_odd = !self.target.is_ascii() || (self.target == "*" && self.method != "OPTIONS");
        let path = uri.path_and_query().filter(|_| !is_elsewhere && !is_odd);
        path.map(ToString::to_string).ok_or(400)
    }

    /// The value of `Content-Length`: digits, at most one such header, and no `Transfer-Encoding`
    /// beside it (RFC 9112 §6.3).
    fn body_bytes(&self, max: usize) -> Result<usize, u16> {
        if self.values("transfer-encoding").next().is_some() {
            return Err(501);
        }
        let length = self.only("content-length")?.unwrap_or("0");
        if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(400);
        }
        length.parse().ok().filter(|bytes| *bytes <= max).ok_or(413)
    }

    fn expects_continue(&self) -> Result<bool, u16> {
        match self.only("expect")? {
            Some(_) if self.framing.is_1_0 => Ok(false),
            Some(it) if !it.eq_ignore_ascii_case("100-continue") => Err(417),
            expected => Ok(expected.is_some()),
        }
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        let lines = self.headers.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name));
        lines.map(|(_, value)| value.as_str())
    }

    /// The value of a header that may appear at most once.
    fn only(&self, name: &str) -> Result<Option<&str>, u16> {
        let mut values = self.values(name);
        let first = values.next();
        if values.next().is_none() { Ok(first) } else { Err(400) }
    }
}

/// The method and the path, without query, from the bytes of a request that may be malformed.
pub fn method_and_path(buffer: &[u8]) -> &[u8] {
    let line = buffer.trim_ascii_start();
    let mut blanks = 0;
    let end = line.iter().position(|byte| {
        blanks += usize::from(*byte == b' ');
        blanks > 1 || b"?\r\n".contains(byte)
    });
    &line[..end.unwrap_or(line.len())]
}

/// The HTTP version in the request line, such as `HTTP/1.1`.
fn version(buffer: &[u8]) -> &[u8] {
    buffer.split(|byte| b" \r\n".contains(byte)).nth(2).unwrap_or_default()
}

/// Decodes a header's value as UTF-8, or as Latin-1 if it is not UTF-8, so that no byte is lost.
fn text(bytes: &[u8]) -> String {
    let latin_1 = || bytes.iter().copied().map(char::from).collect();
    str::from_utf8(bytes).map_or_else(|_| latin_1(), str::to_owned)
}
