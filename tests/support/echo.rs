//! A handler that answers with what it saw, for tests of the listener.

use std::fmt::Write as _;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use doorward::config::Limits;
use rouille::{Request, Response, ResponseBody};

use super::client::SHORT;
use super::server::Server;
use super::{PATIENCE, until};

/// Room for every test. No time runs out while a test waits, so nothing that it waits for is a timeout.
pub fn limits() -> Limits {
    Limits {
        max_connections: 1024,
        max_connections_per_address: 1024,
        max_head_bytes: 16 * 1024,
        max_headers: 100,
        max_body_bytes: 64 * 1024,
        head_timeout: 2 * PATIENCE,
        body_timeout: 2 * PATIENCE,
        idle_timeout: 2 * PATIENCE,
        write_timeout: 2 * PATIENCE,
        shutdown_timeout: PATIENCE,
    }
}

pub fn start() -> Server {
    start_with(limits(), &[])
}

pub fn start_with(limits: Limits, trusted_proxies: &[&str]) -> Server {
    Server::start(limits, trusted_proxies, echo)
}

/// Whether `/held` may answer: see [`echo`].
static IS_RELEASED: AtomicBool = AtomicBool::new(false);

/// Answers with what it saw; a few paths answer in a way of their own.
fn echo(request: &Request) -> Response {
    match request.url().as_str() {
        "/slow" => thread::sleep(SHORT),
        "/held" => until(|| IS_RELEASED.load(SeqCst)),
        "/release" => IS_RELEASED.store(true, SeqCst),
        "/panic" => panic!("as the test asked"),
        "/no-content" => return Response::empty_204(),
        "/not-modified" => return Response::text("").with_status_code(304),
        "/endless" => {
            return Response {
                data: ResponseBody::from_reader(io::repeat(b'.')),
                ..Response::text("")
            };
        }
        "/mebibyte" => return sized(io::repeat(b'.').take(1 << 20), 1 << 20),
        "/short" => return sized(&b"only this"[..], 1000),
        "/unknown-length" => {
            let data = ResponseBody::from_reader(io::repeat(b'.').take(100_000));
            return Response { data, ..Response::text("") };
        }
        "/headers" => return meddle(),
        _ => {}
    }
    let mut seen = String::new();
    writeln!(seen, "{} {}", request.method(), request.raw_url()).unwrap();
    writeln!(seen, "from {} {}", request.remote_addr(), request.is_secure()).unwrap();
    for (name, value) in request.headers() {
        writeln!(seen, "{name}: {value}").unwrap();
    }
    let mut seen = seen.into_bytes();
    request.data().unwrap().read_to_end(&mut seen).unwrap();
    Response::from_data("text/plain", seen)
}

pub fn sized(data: impl Read + Send + 'static, bytes: usize) -> Response {
    Response { data: ResponseBody::from_reader_and_size(data, bytes), ..Response::text("") }
}

/// A handler that says what is not its to say, and lets a line break into a value.
fn meddle() -> Response {
    Response::text("five\n")
        .with_additional_header("Content-Length", "999")
        .with_additional_header("Transfer-Encoding", "chunked")
        .with_additional_header("Connection", "keep-alive")
        .with_additional_header("Date", "yesterday")
        .with_additional_header("X-Split", "a\r\nX-Injected: b\0")
        .with_additional_header("X-Accent", "é")
}
