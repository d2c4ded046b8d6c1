//! Reads requests from the bytes of a connection, within limits of size, strictly as RFC 9112 says.
//!
//! If a proxy and this server disagree on where a request ends, a client can hide one request inside
//! another (request smuggling). So a request that could be read in two ways is refused, and its
//! connection is closed.
//!
//! Nothing here waits, or knows of sockets and time.

use std::mem::{self, MaybeUninit};
use std::ops::Range;

use http::uri::{Authority, Uri};
use httparse::{Error, Status};

use super::write::Framing;
use crate::config::{Limits, MOST_HEADERS};

/// What a connection has received and not yet answered.
#[derive(Default)]
pub struct Incoming {
    bytes: Vec<u8>,
    /// The head at the start of the bytes, if it is complete and its body is not.
    head: Option<Box<ParsedHead>>,
}

struct ParsedHead {
    head: Head,
    /// Where the body begins and ends among the bytes.
    body: Range<usize>,
    expects_continue: bool,
}

/// What the received bytes are.
pub enum Received {
    Nothing,
    /// The beginning of a head.
    PartOfHead,
    /// A head, and not all of its body.
    PartOfBody {
        /// The client waits for `100 Continue` before it sends the body.
        expects_continue: bool,
    },
    /// A request with its body, which is taken from the bytes.
    Request(Head, Vec<u8>),
}

/// A request line and headers. A header may appear more than once.
pub struct Head {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub framing: Framing,
}

impl Incoming {
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Gives back memory that is not in use.
    pub fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// Takes the first request, if it is complete.
    ///
    /// # Errors
    /// The status to refuse the request with, if it breaks a rule or a limit.
    pub fn next(&mut self, limits: &Limits) -> Result<Received, u16> {
        if self.bytes.is_empty() {
            return Ok(Received::Nothing);
        }
        let parsed = match self.head.take() {
            Some(parsed) => parsed,
            None => match Head::parse(&self.bytes, limits)? {
                Some(parsed) => Box::new(parsed),
                None => return Ok(Received::PartOfHead),
            },
        };
        if self.bytes.len() < parsed.body.end {
            let expects_continue = parsed.expects_continue;
            self.head = Some(parsed);
            return Ok(Received::PartOfBody { expects_continue });
        }
        let rest = self.bytes.split_off(parsed.body.end);
        let body = mem::replace(&mut self.bytes, rest).split_off(parsed.body.start);
        Ok(Received::Request(parsed.head, body))
    }

    /// The method and the path, without query, of the first request, which may be malformed.
    pub fn method_and_path(&self) -> String {
        let line = self.bytes.trim_ascii_start();
        let mut blanks = 0;
        let end = line.iter().position(|byte| {
            blanks += usize::from(*byte == b' ');
            blanks > 1 || b"?\r\n".contains(byte)
        });
        String::from_utf8_lossy(&line[..end.unwrap_or(line.len())]).into_owned()
    }
}

impl Head {
    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The head at the start of `buffer`; `None` while it is incomplete.
    fn parse(buffer: &[u8], limits: &Limits) -> Result<Option<ParsedHead>, u16> {
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
        let body = bytes..bytes + head.body_bytes(limits.max_body_bytes)?;
        let expects_continue = head.expects_continue()?;
        Ok(Some(ParsedHead { head, body, expects_continue }))
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

/// The HTTP version in the request line, such as `HTTP/1.1`.
fn version(buffer: &[u8]) -> &[u8] {
    buffer.split(|byte| b" \r\n".contains(byte)).nth(2).unwrap_or_default()
}

/// Decodes a header's value as UTF-8, or as Latin-1 if it is not UTF-8, so that no byte is lost.
fn text(bytes: &[u8]) -> String {
    let latin_1 = || bytes.iter().copied().map(char::from).collect();
    str::from_utf8(bytes).map_or_else(|_| latin_1(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POST: &[u8] = b"POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nbody!";
    const GET: &[u8] = b"GET /c HTTP/1.1\r\nHost: x\r\n\r\n";

    fn next(incoming: &mut Incoming) -> Result<String, u16> {
        let limits = crate::Config::new("").limits;
        Ok(match incoming.next(&limits)? {
            Received::Nothing => "nothing".to_owned(),
            Received::PartOfHead => "part of a head".to_owned(),
            Received::PartOfBody { expects_continue: false } => "part of a body".to_owned(),
            Received::PartOfBody { expects_continue: true } => "an expectation".to_owned(),
            Received::Request(head, body) => {
                format!("{} {} {}", head.method, head.target, String::from_utf8(body).unwrap())
            }
        })
    }

    fn all(bytes: &[u8]) -> Result<String, u16> {
        let mut incoming = Incoming::default();
        incoming.push(bytes);
        next(&mut incoming)
    }

    #[test]
    fn a_request_is_complete_with_its_last_byte() {
        let head_bytes = POST.len() - 5;
        let mut incoming = Incoming::default();
        assert_eq!(next(&mut incoming).unwrap(), "nothing");
        for (n, byte) in POST.iter().enumerate() {
            incoming.push(&[*byte]);
            let expected = match n + 1 {
                n if n < head_bytes => "part of a head",
                n if n < POST.len() => "part of a body",
                _ => "POST /a?b body!",
            };
            assert_eq!(next(&mut incoming).unwrap(), expected, "{n}");
        }
        assert!(incoming.is_empty());
    }

    #[test]
    fn requests_that_come_in_one_piece_are_taken_one_by_one() {
        let mut incoming = Incoming::default();
        incoming.push(&[POST, GET, &POST[..9]].concat());
        for expected in ["POST /a?b body!", "GET /c ", "part of a head"] {
            assert_eq!(next(&mut incoming).unwrap(), expected);
        }
        incoming.push(&POST[9..]);
        assert_eq!(next(&mut incoming).unwrap(), "POST /a?b body!");
        assert_eq!(next(&mut incoming).unwrap(), "nothing");
    }

    #[test]
    fn a_client_may_wait_for_an_invitation_but_not_for_a_body_that_is_there() {
        let head =
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\n";
        assert_eq!(all(head.as_bytes()).unwrap(), "an expectation");
        assert_eq!(all(format!("{head}body!").as_bytes()).unwrap(), "POST / body!");
        assert_eq!(all(head.replace('5', "65537").as_bytes()), Err(413));
        assert_eq!(all(head.replace("100-C", "200-C").as_bytes()), Err(417));
    }

    #[test]
    fn a_request_that_is_refused_is_named_as_far_as_it_has_a_name() {
        for (bytes, name) in [
            ("GET /a?b HTTP/1.1\r\n\r\n", "GET /a"),
            ("\r\nGET /a b HTTP/1.1\r\n\r\n", "GET /a"),
            ("GET\r\n", "GET"),
            ("nonsense", "nonsense"),
            ("", ""),
        ] {
            let mut incoming = Incoming::default();
            incoming.push(bytes.as_bytes());
            assert_eq!(incoming.method_and_path(), name);
        }
    }
}
