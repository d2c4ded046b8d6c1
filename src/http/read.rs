//! Reads the heads of requests, within limits of size, strictly as RFC 9112 says.
//!
//! If a proxy and this server disagree on where a request ends, a client can hide one request inside
//! another (request smuggling). So a request that could be read in two ways is refused, and its
//! connection is closed.
//!
//! Nothing here waits, or knows of sockets and time.

use std::mem::MaybeUninit;
use std::ops::Range;

use http::uri::{Authority, Uri};
use httparse::{Error, Status};

use super::write::Framing;
use crate::config::{Limits, MOST_HEADERS};

/// Names and values. A name may appear more than once.
type Headers = Vec<(String, String)>;

/// A request line and headers, and where the body is.
pub struct Head {
    pub method: String,
    /// Path and query, or the `*` of `OPTIONS *`.
    pub target: String,
    pub headers: Headers,
    pub framing: Framing,
    /// Where the body begins and ends among the bytes that start with this head.
    pub body: Range<usize>,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

impl Head {
    /// The head at the start of `bytes`. `None` while it is incomplete.
    ///
    /// # Errors
    /// The status to refuse the request with, if it breaks a rule or a limit.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Option<Head>, u16> {
        // Left uninitialized, because initializing would write four kilobytes for each request.
        let mut room = [const { MaybeUninit::uninit() }; MOST_HEADERS];
        let room = &mut room[..limits.max_headers.min(MOST_HEADERS)];
        let mut parsed = httparse::Request::new(&mut []);
        let end = match parsed.parse_with_uninit_headers(bytes, room) {
            Ok(Status::Complete(end)) if end <= limits.max_head_bytes => end,
            Ok(Status::Partial) if bytes.len() < limits.max_head_bytes => return Ok(None),
            Ok(_) if !bytes[..limits.max_head_bytes].contains(&b'\n') => return Err(414),
            Ok(_) | Err(Error::TooManyHeaders) => return Err(431),
            Err(Error::Version) if version(bytes).starts_with(b"HTTP/") => return Err(505),
            Err(_) => return Err(400),
        };
        // httparse accepts a bare LF as a line end; other servers may not.
        if !bytes[..end - 1].split(|byte| *byte == b'\n').all(|line| line.ends_with(b"\r")) {
            return Err(400);
        }
        let (method, is_1_0) = (parsed.method.unwrap_or_default(), parsed.version == Some(0));
        let headers = parsed.headers.iter().map(|h| (h.name.to_owned(), text(h.value))).collect();
        let closes = |line: &str| line.split(',').any(|o| o.trim().eq_ignore_ascii_case("close"));
        let keep_alive = !is_1_0 && !values(&headers, "connection").any(closes);
        let expects_continue = match only(&headers, "expect")?.filter(|_| !is_1_0) {
            Some(it) if !it.eq_ignore_ascii_case("100-continue") => return Err(417),
            expected => expected.is_some(),
        };
        let target = path_and_query(method, parsed.path.unwrap_or_default(), &headers, is_1_0)?;
        let body = end..end + body_bytes(&headers, limits.max_body_bytes)?;
        let framing = Framing { head_only: method == "HEAD", keep_alive };
        let method = method.to_owned();
        Ok(Some(Head { method, target, headers, framing, body, expects_continue }))
    }
}

/// Path and query of the target, or the `*` of `OPTIONS *`. If the target contains a host, it must
/// equal `Host`. `Host` is required except in HTTP/1.0, appears once, and is not empty (RFC 9112
/// §3.2, RFC 9110 §4.2.1).
fn path_and_query(
    method: &str,
    target: &str,
    headers: &Headers,
    is_1_0: bool,
) -> Result<String, u16> {
    let host = match only(headers, "host")? {
        None if is_1_0 => "",
        Some(host) if host.parse::<Authority>().is_ok() && !host.contains('@') => host,
        _ => return Err(400),
    };
    let uri: Uri = target.parse().map_err(|_| 400_u16)?;
    let is_elsewhere = uri.authority().is_some_and(|a| !a.as_str().eq_ignore_ascii_case(host));
    let is_odd = !target.is_ascii() || (target == "*" && method != "OPTIONS");
    let path = uri.path_and_query().filter(|_| !is_elsewhere && !is_odd);
    path.map(ToString::to_string).ok_or(400)
}

/// The value of `Content-Length`: digits, at most one such header, and no `Transfer-Encoding`
/// beside it (RFC 9112 §6.3).
fn body_bytes(headers: &Headers, max: usize) -> Result<usize, u16> {
    if values(headers, "transfer-encoding").next().is_some() {
        return Err(501);
    }
    let length = only(headers, "content-length")?.unwrap_or("0");
    if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(400);
    }
    length.parse().ok().filter(|bytes| *bytes <= max).ok_or(413)
}

fn values<'a>(headers: &'a Headers, name: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = headers.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name));
    lines.map(|(_, value)| value.as_str())
}

/// The value of a header that may appear at most once.
fn only<'a>(headers: &'a Headers, name: &'a str) -> Result<Option<&'a str>, u16> {
    let mut values = values(headers, name);
    let first = values.next();
    if values.next().is_none() { Ok(first) } else { Err(400) }
}

/// The HTTP version in the request line, such as `HTTP/1.1`.
fn version(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| b" \r\n".contains(byte)).nth(2).unwrap_or_default()
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

    /// What the bytes begin with, and what follows it.
    fn first(bytes: &[u8]) -> Result<(String, &[u8]), u16> {
        let limits = crate::Config::new("").limits;
        Ok(match Head::parse(bytes, &limits)? {
            None => ("part of a head".to_owned(), bytes),
            Some(head) if bytes.len() < head.body.end => {
                let part = if head.expects_continue { "an expectation" } else { "part of a body" };
                (part.to_owned(), bytes)
            }
            Some(head) => {
                let body = str::from_utf8(&bytes[head.body.clone()]).unwrap();
                (format!("{} {} {body}", head.method, head.target), &bytes[head.body.end..])
            }
        })
    }

    #[test]
    fn a_request_is_complete_with_its_last_byte() {
        let head_bytes = POST.len() - 5;
        for n in 0..=POST.len() {
            let expected = match n {
                n if n < head_bytes => "part of a head",
                n if n < POST.len() => "part of a body",
                _ => "POST /a?b body!",
            };
            assert_eq!(first(&POST[..n]).unwrap().0, expected, "{n}");
        }
    }

    #[test]
    fn requests_that_come_in_one_piece_are_taken_one_by_one() {
        let all = [POST, GET, &POST[..9]].concat();
        let mut left = &all[..];
        for expected in ["POST /a?b body!", "GET /c ", "part of a head"] {
            let (taken, rest) = first(left).unwrap();
            assert_eq!(taken, expected);
            left = rest;
        }
        assert_eq!(left, &POST[..9]);
    }

    #[test]
    fn a_client_may_wait_for_an_invitation_but_not_for_a_body_that_is_there() {
        let head =
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\n";
        assert_eq!(first(head.as_bytes()).unwrap().0, "an expectation");
        assert_eq!(first(format!("{head}body!").as_bytes()).unwrap().0, "POST / body!");
        assert_eq!(first(head.replace('5', "65537").as_bytes()), Err(413));
        assert_eq!(first(head.replace("100-C", "200-C").as_bytes()), Err(417));
    }
}
