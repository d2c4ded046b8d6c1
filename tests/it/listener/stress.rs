//! Thousands of connections at once, whose requests come in pieces, several in one piece, and with pauses, and
//! whose clients close their half early or read late: each request gets its answer, in order.
//!
//! An event that was lost would leave its connection waiting until the test gives up.

use std::io::Write;
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use doorward::config::Limits;
use doorward::process::raise_open_files_limit;
use rand::RngExt;
use rand::rngs::ThreadRng;
use rand::seq::IndexedRandom;
use rouille::{Request, Response};

use crate::support::client::Client;
use crate::support::echo::limits;
use crate::support::server::Server;

const CLIENTS: usize = 8;
const CONNECTIONS: usize = 3_000;
/// Bytes of a body. The longest is more than the system takes at once.
const LENGTHS: [usize; 5] = [0, 100, 3_000, 30_000, 1_000_000];

/// A connection, what is still to be sent on it, and what must come back.
struct Conversation {
    client: Client,
    unsent: Vec<u8>,
    expected: Vec<(String, usize)>,
    is_half_closed: bool,
}

/// Answers `/name/length/milliseconds` with name and body of the request, filled up to the length, after a while.
fn serve() -> Server {
    let handle = |request: &Request| {
        let path = request.url();
        let parts: Vec<&str> = path.split('/').collect();
        let length: usize = parts[2].parse().unwrap();
        let pause = parts[3].parse().unwrap();
        thread::sleep(Duration::from_millis(pause));
        let mut body = parts[1].as_bytes().to_vec();
        std::io::copy(&mut request.data().unwrap(), &mut body).unwrap();
        body.resize(body.len() + length, b'.');
        Response::from_data("text/plain", body)
    };
    let all = CONNECTIONS + CLIENTS;
    let limits = Limits { max_connections: 2 * all, max_connections_per_address: all, ..limits() };
    Server::start(limits, &[], handle)
}

impl Conversation {
    /// Some requests, a few of them for a long answer, or for one that takes time.
    fn begin(server: &Server, name: usize, random: &mut ThreadRng) -> Conversation {
        let (mut unsent, mut expected) = (Vec::new(), Vec::new());
        for number in 0..random.random_range(1..8) {
            let (name, body) =
                (format!("{name}-{number}"), "b".repeat(random.random_range(0..2_000)));
            let few = if random.random_bool(0.05) { LENGTHS.len() } else { 3 };
            let length = *LENGTHS[..few].choose(random).unwrap();
            let pause = if random.random_bool(0.2) { random.random_range(1..50) } else { 0 };
            let bytes = body.len();
            write!(unsent, "POST /{name}/{length}/{pause} HTTP/1.1\r\nHost: x\r\n").unwrap();
            write!(unsent, "Content-Length: {bytes}\r\n\r\n{body}").unwrap();
            expected.push((name + &body, length));
        }
        let is_half_closed = random.random_bool(0.3);
        Conversation { client: server.connect(), unsent, expected, is_half_closed }
    }

    /// Sends the next piece. Whether there is more to send.
    fn go_on(&mut self, random: &mut ThreadRng) -> bool {
        let most = if random.random_bool(0.3) { 40 } else { 4_000 };
        let bytes = random.random_range(1..=most).min(self.unsent.len());
        let rest = self.unsent.split_off(bytes);
        self.client.stream().write_all(&self.unsent).unwrap();
        self.unsent = rest;
        if self.unsent.is_empty() && self.is_half_closed {
            self.client.stream().shutdown(Shutdown::Write).unwrap();
        }
        !self.unsent.is_empty()
    }

    /// Reads all answers. How many there were.
    fn finish(mut self) -> usize {
        for (beginning, length) in &self.expected {
            let answer = self.client.answer();
            assert_eq!(answer.status, 200);
            assert_eq!(answer.body.len(), beginning.len() + length, "{beginning:.20}");
            assert!(answer.body.starts_with(beginning.as_bytes()), "{beginning:.20}");
        }
        if self.is_half_closed {
            assert!(self.client.is_closed());
        }
        self.expected.len()
    }
}

/// Has many conversations at once, each going on at random. How many answers came.
fn converse(server: &Server, client: usize, connections: usize) -> usize {
    let mut random = rand::rng();
    let begin = |n| Conversation::begin(server, client * connections + n, &mut random);
    let mut going: Vec<Conversation> = (0..connections).map(begin).collect();
    let (asked, mut answered) = (going.iter().map(|one| one.expected.len()).sum::<usize>(), 0);
    let mut unread = Vec::new();
    while !going.is_empty() {
        let one = random.random_range(0..going.len());
        if !going[one].go_on(&mut random) {
            unread.push(going.swap_remove(one));
        }
        if random.random_bool(0.01) {
            thread::sleep(Duration::from_millis(random.random_range(0..5)));
        }
        // Some read soon, some much later.
        if unread.len() > connections / 4 {
            let one: Conversation = unread.swap_remove(random.random_range(0..unread.len()));
            answered += one.finish();
        }
    }
    answered += unread.into_iter().map(Conversation::finish).sum::<usize>();
    assert_eq!(answered, asked);
    answered
}

#[test]
fn every_request_of_thousands_of_connections_is_answered_however_its_bytes_come() {
    // Both ends are in this process.
    let files = raise_open_files_limit(&limits()).unwrap_or(1024);
    let files = usize::try_from(files).unwrap();
    let connections = CONNECTIONS.min(files / 4) / CLIENTS;
    let server = serve();
    let answered: usize = thread::scope(|scope| {
        let server = &server;
        let all = (0..CLIENTS).map(|n| scope.spawn(move || converse(server, n, connections)));
        let all: Vec<_> = all.collect();
        all.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert!(answered > 2 * CLIENTS * connections, "{answered}");
}
