//! The head of a request: what RFC 9112 lets it look like, and what it says.
//!
//! Two servers that disagree on where a request ends can be played against each other (request
//! smuggling). So whatever could be read in two ways is refused, and its connection closed.

use std::net::SocketAddr;

use http::uri::{Authority, Uri};
use httparse::{Error, Status};
use ipnet::IpNet;
use rouille::Request;

use super::write::Framing;
use crate::config::{Limits, MOST_HEADERS};

/// Names and values in the order received; a name may come more than once.
type Headers = [(String, String)];

/// A request without its body.
pub struct Head {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    /// What it asks of the answer.
    pub framing: Framing,
    /// Its own length.
    pub bytes: usize,
    /// The length of the body that follows.
    pub body_bytes: usize,
    /// The client waits to hear that it may send the body.
    pub expects_continue: bool,
}

impl Head {
    /// Reads the head that `buffer` begins with; `None` while it is incomplete.
    ///
    /// # Errors
    /// The status to refuse the request with.
    pub fn parse(buffer: &[u8], limits: &Limits) -> Result<Option<Head>, u16> {
        let mut lines = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut head = httparse::Request::new(&mut lines[..limits.max_headers.min(MOST_HEADERS)]);
        let bytes = match head.parse(buffer) {
            Ok(Status::Complete(bytes)) if bytes <= limits.max_head_bytes => bytes,
            Ok(Status::Partial) if buffer.len() < limits.max_head_bytes => return Ok(None),
            Ok(_) if !buffer[..limits.max_head_bytes].contains(&b'\n') => return Err(414),
            Ok(_) | Err(Error::TooManyHeaders) => return Err(431),
            Err(Error::Version) if word(buffer, 2).starts_with(b"HTTP/") => return Err(505),
            Err(_) => return Err(400),
        };
        // httparse takes a bare LF for a line end, which the next server may not.
        let mut ended_lines = buffer[..bytes].split(|byte| *byte == b'\n').rev().skip(1);
        if !ended_lines.all(|line| line.ends_with(b"\r")) {
            return Err(400);
        }
        let lines = head.headers.iter();
        let headers: Vec<_> = lines.map(|line| (line.name.to_owned(), text(line.value))).collect();
        let (method, is_1_0) = (head.method.unwrap_or_default(), head.version == Some(0));
        let closes = members(&headers, "connection").any(|m| m.eq_ignore_ascii_case("close"));
        Ok(Some(Head {
            method: method.to_owned(),
            target: path(method, head.path.unwrap_or_default(), host(&headers, is_1_0)?)?,
            framing: Framing { head_only: method == "HEAD", is_1_0, close: closes || is_1_0 },
            bytes,
            body_bytes: body_bytes(&headers, limits.max_body_bytes)?,
            expects_continue: !is_1_0 && expects_continue(&headers)?,
            headers,
        }))
    }

    /// The request that handlers see: with address and scheme of its sender, as far as they can be
    /// trusted.
    pub fn into_request(mut self, body: Vec<u8>, peer: SocketAddr, proxies: &[IpNet]) -> Request {
        let sender = self.sender(peer, proxies);
        let scheme = members(&self.headers, "x-forwarded-proto").next_back();
        let says_https = scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
        // Nobody above shall be fooled by what anybody can write into these.
        let is_spent = |name: &str| name == "x-forwarded-for" || name == "x-forwarded-proto";
        self.headers.retain(|(name, _)| !is_spent(&name.to_ascii_lowercase()));
        let build = if says_https && is_trusted(peer, proxies) {
            Request::fake_https_from
        } else {
            Request::fake_http_from
        };
        build(sender, self.method, self.target, self.headers, body)
    }

    /// A trusted proxy vouches for the address before it. So `X-Forwarded-For` is read from its
    /// end, up to the first address that is no trusted proxy: what stands before may be made up.
    fn sender(&self, peer: SocketAddr, proxies: &[IpNet]) -> SocketAddr {
        let mut hops = members(&self.headers, "x-forwarded-for").rev().map(address);
        let mut sender = peer;
        while is_trusted(sender, proxies)
            && let Some(Some(hop)) = hops.next()
        {
            sender = hop;
        }
        sender
    }
}

/// Whether this is the address of a proxy named in the settings.
pub fn is_trusted(address: SocketAddr, proxies: &[IpNet]) -> bool {
    proxies.iter().any(|network| network.contains(&address.ip()))
}

/// The `n`th word of the first line: method, target, version.
pub fn word(buffer: &[u8], n: usize) -> &[u8] {
    buffer.split(|byte| b" \r\n".contains(byte)).nth(n).unwrap_or_default()
}

/// `Host`: exactly once, except in HTTP/1.0, and never empty, as no http URI has an empty host
/// (RFC 9112 §3.2, RFC 9110 §4.2.1).
fn host(headers: &Headers, is_1_0: bool) -> Result<&str, u16> {
    match values(headers, "host")[..] {
        [] if is_1_0 => Ok(""),
        [host] if host.parse::<Authority>().is_ok() && !host.contains('@') => Ok(host),
        _ => Err(400),
    }
}

/// Path and query of the target, or the `*` of `OPTIONS *`. A host in it must be `host`.
fn path(method: &str, target: &str, host: &str) -> Result<String, u16> {
    let uri: Uri = target.parse().map_err(|_| 400_u16)?;
    let is_elsewhere = uri.authority().is_some_and(|a| !a.as_str().eq_ignore_ascii_case(host));
    if is_elsewhere || !target.is_ascii() || (target == "*" && method != "OPTIONS") {
        return Err(400);
    }
    uri.path_and_query().map(ToString::to_string).ok_or(400)
}

/// `Content-Length`: digits, at most once, and no other framing beside it (RFC 9112 §6.3).
fn body_bytes(headers: &Headers, max: usize) -> Result<usize, u16> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match values(headers, "content-length")[..] {
        _ if !values(headers, "transfer-encoding").is_empty() => Err(501),
        [] => Ok(0),
        [length] if is_number(length) => length.parse().ok().filter(|n| *n <= max).ok_or(413),
        _ => Err(400),
    }
}

fn expects_continue(headers: &Headers) -> Result<bool, u16> {
    match values(headers, "expect")[..] {
        [] => Ok(false),
        [expected] if expected.eq_ignore_ascii_case("100-continue") => Ok(true),
        _ => Err(417),
    }
}

fn values<'a>(headers: &'a Headers, name: &str) -> Vec<&'a str> {
    let lines = headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    lines.map(|(_, value)| value.as_str()).collect()
}

/// The members of a list, parted by commas or by lines.
fn members<'a>(headers: &'a Headers, name: &str) -> impl DoubleEndedIterator<Item = &'a str> {
    let lines = values(headers, name).into_iter();
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// UTF-8 or else Latin-1, so that no byte is lost.
fn text(bytes: &[u8]) -> String {
    let latin_1 = || bytes.iter().copied().map(char::from).collect();
    str::from_utf8(bytes).map_or_else(|_| latin_1(), str::to_owned)
}

/// An address with or without port and brackets; an IPv4-mapped one becomes IPv4.
fn address(text: &str) -> Option<SocketAddr> {
    let portless = || text.trim_matches(['[', ']']).parse().map(|ip| SocketAddr::new(ip, 0));
    let address = text.parse().or_else(|_| portless()).ok()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}
