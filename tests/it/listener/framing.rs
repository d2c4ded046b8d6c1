//! Which requests are read, and which are refused because they can be read in two ways.

use super::{get, post};
use crate::support::echo::start;
use crate::support::server::HELLO;

#[test]
fn asvs_4_2_1_whatever_breaks_the_framing_is_refused_and_the_connection_closed() {
    let server = start();
    let long = "a".repeat(16 * 1024);
    let cases: &[(&str, String, u16)] = &[
        ("a length beyond all bounds", post("Content-Length: 9000000000000000000\r\n"), 413),
        ("a length beyond 64 bits", post("Content-Length: 99999999999999999999999\r\n"), 413),
        ("a body of 64 KiB + 1", post("Content-Length: 65537\r\n"), 413),
        ("a negative length", post("Content-Length: -1\r\n"), 400),
        ("a length with a plus", post("Content-Length: +5\r\n"), 400),
        ("a length with letters", post("Content-Length: 31abc\r\n"), 400),
        ("a hexadecimal length", post("Content-Length: 0x5\r\n"), 400),
        ("an empty length", post("Content-Length:\r\n"), 400),
        ("a list of lengths", post("Content-Length: 5, 5\r\n"), 400),
        ("two equal lengths", post("Content-Length: 5\r\nContent-Length: 5\r\n"), 400),
        ("two lengths", post("Content-Length: 5\r\ncontent-length: 6\r\n"), 400),
        ("chunks", post("Transfer-Encoding: chunked\r\n"), 501),
        ("a length and chunks", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 501),
        ("chunks and a length", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), 501),
        ("chunks in odd case", post("tRANSFER-eNCODING:\t CHUNKED \t\r\n"), 501),
        ("an unknown coding", post("Transfer-Encoding: xchunked\r\n"), 501),
        ("an empty coding", post("Transfer-Encoding:\r\n"), 501),
        ("the identity coding", post("Transfer-Encoding: identity\r\n"), 501),
        (
            "a coding in HTTP/1.0",
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
            501,
        ),
        ("a blank before the colon of a coding", post("Transfer-Encoding : chunked\r\n"), 400),
        ("a tab before the colon", get("X-Y\t: z\r\n"), 400),
        ("no Host", "GET / HTTP/1.1\r\n\r\n".into(), 400),
        ("two Hosts", get("Host: x\r\n"), 400),
        ("two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n".into(), 400),
        ("an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n".into(), 400),
        ("a Host with a blank", "GET / HTTP/1.1\r\nHost: x y\r\n\r\n".into(), 400),
        ("a Host with a path", "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n".into(), 400),
        ("a Host with a user", "GET / HTTP/1.1\r\nHost: me@x\r\n\r\n".into(), 400),
        ("a folded header", get("X-Y: z\r\n folded\r\n"), 400),
        ("a fold before the first header", "GET / HTTP/1.1\r\n Host: x\r\n\r\n".into(), 400),
        ("bare LFs", "GET / HTTP/1.1\nHost: x\n\n".into(), 400),
        ("a bare LF after the request line", "GET / HTTP/1.1\nHost: x\r\n\r\n".into(), 400),
        ("a bare LF between headers", get("X-Y: z\nX-Z: y\r\n"), 400),
        ("a bare LF at the end", "GET / HTTP/1.1\r\nHost: x\r\n\n".into(), 400),
        ("a bare LF at the start", "\nGET / HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("a bare CR", get("X-Y: a\rb\r\n"), 400),
        ("a NUL in a value", get("X-Y: a\0b\r\n"), 400),
        ("a NUL in a name", get("X\0Y: b\r\n"), 400),
        ("a NUL in the target", "GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("a control character in a value", get("X-Y: a\x01b\r\n"), 400),
        ("a header without a colon", get("X-Y\r\n"), 400),
        ("a header without a name", get(": y\r\n"), 400),
        ("a name with a blank", get("X Y: z\r\n"), 400),
        ("101 headers", get(&"X-Y: z\r\n".repeat(100)), 431),
        ("a header that does not end", get(&format!("X: {long}{long}")), 431),
        ("a request line that does not end", format!("GET /{long}"), 414),
        ("a long request line", format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"), 414),
        ("an accent in the target", "GET /é HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("a blank in the target", "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("two blanks", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("a target that is no path", "GET secret HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("a target of another host", "GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("a target with a user", "GET http://me@x/ HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("a target without a host", "GET http:///a HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("an asterisk", "GET * HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("a tunnel", "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n".into(), 400),
        ("HTTP/2 without asking", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 505),
        ("HTTP/2.0", "GET / HTTP/2.0\r\nHost: x\r\n\r\n".into(), 505),
        ("HTTP/1.2", "GET / HTTP/1.2\r\nHost: x\r\n\r\n".into(), 505),
        ("HTTP/0.9 by name", "GET / HTTP/0.9\r\n\r\n".into(), 505),
        ("HTTP/0.9", "GET /\r\n".into(), 400),
        ("another protocol", "GET / SIP/2.0\r\nHost: x\r\n\r\n".into(), 400),
        ("a protocol in lower case", "GET / http/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("a blank after the version", "GET / HTTP/1.1 \r\nHost: x\r\n\r\n".into(), 400),
        ("a blank before the method", " GET / HTTP/1.1\r\nHost: x\r\n\r\n".into(), 400),
        ("TLS", "\x16\x03\x01\x02\0\x01\0\x01\u{7c}\x03\x03".into(), 400),
        ("another expectation", post("Expect: a miracle\r\nContent-Length: 5\r\n"), 417),
    ];
    for (name, request, status) in cases {
        let mut client = server.connect();
        client.send(request);
        let answer = client.answer();
        assert_eq!(answer.status, *status, "{name}");
        assert!(answer.closes() && client.is_closed(), "{name}: the connection ends");
        server.assert_still_answers();
    }
}

#[test]
fn a_refusal_is_a_complete_and_harmless_response() {
    let answer = start().ask("GET / HTTP/1.1\r\n\r\n");
    let length = answer.text().len().to_string();
    assert!(answer.text().starts_with("<!DOCTYPE html>") && answer.text().ends_with("</html>"));
    for (name, value) in [
        ("Content-Type", "text/html; charset=utf-8"),
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", "no-store"),
        ("X-Frame-Options", "DENY"),
        ("Connection", "close"),
        ("Content-Length", &length),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    assert!(answer.header("Date").is_some());
    assert_eq!(answer.header("Server"), None);
}

#[test]
fn what_is_unusual_but_right_is_answered_and_the_connection_kept() {
    let server = start();
    let cases: &[(&str, String, &str)] = &[
        ("a length with zeros before it", post("Content-Length: 0000005\r\n"), "body!"),
        ("a length between blanks", post("Content-Length: \t 5 \t\r\n"), "body!"),
        ("no length, no body", "POST /p HTTP/1.1\r\nHost: x\r\n\r\n".into(), "POST /p\n"),
        ("an empty line before the request", format!("\r\n{HELLO}"), "GET /hello\n"),
        (
            "a target with a host",
            "GET HTTP://X/a?b HTTP/1.1\r\nHost: x\r\n\r\n".into(),
            "GET /a?b\n",
        ),
        (
            "a target with a host alone",
            "GET http://x HTTP/1.1\r\nHost: x\r\n\r\n".into(),
            "GET /\n",
        ),
        (
            "a target with a query alone",
            "GET http://x?b HTTP/1.1\r\nHost: x\r\n\r\n".into(),
            "GET /?b\n",
        ),
        ("an asterisk for OPTIONS", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n".into(), "OPTIONS *\n"),
        ("a method of its own", "BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n".into(), "BREW /pot\n"),
        (
            "two slashes",
            "GET //evil.example/a HTTP/1.1\r\nHost: x\r\n\r\n".into(),
            "GET //evil.example/a\n",
        ),
        ("an IPv6 host", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n".into(), "Host: [::1]:80\n"),
        ("UTF-8 in a value", get("X-Name: Zoë\r\n"), "X-Name: Zoë\n"),
        ("an empty value", get("X-Name:\r\n"), "X-Name: \n"),
    ];
    for (name, request, seen) in cases {
        let mut client = server.connect();
        client.send(request);
        let answer = client.answer();
        assert_eq!(answer.status, 200, "{name}");
        assert!(answer.text().contains(seen), "{name}: {}", answer.text());
        assert!(!answer.closes());
        client.send(HELLO);
        assert_eq!(client.answer().status, 200, "{name}: the connection stays");
    }
}

#[test]
fn bytes_that_are_not_utf_8_arrive_as_latin_1() {
    let answer = start().ask(b"GET / HTTP/1.1\r\nHost: x\r\nX-Name: Zo\xeb\r\n\r\n");
    assert!(answer.text().contains("X-Name: Zoë\n"), "{}", answer.text());
}

#[test]
fn a_body_never_runs_as_the_next_request() {
    let server = start();
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    for headers in
        ["Content-Length: -1\r\n", "Content-Length: 0, 0\r\n", "Transfer-Encoding: x\r\n"]
    {
        let mut client = server.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: x\r\n{headers}\r\n{smuggled}"));
        assert!(client.answer().status >= 400);
        assert!(client.is_closed(), "{headers}");
    }
}
