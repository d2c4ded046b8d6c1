//! Clients that do not read their answer.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use doorward::config::Limits;
use rouille::{Request, Response};

use crate::support::client::{Client, SHORT};
use crate::support::echo::{limits, sized};
use crate::support::server::{HELLO, Server};
use crate::support::{PATIENCE, until};

/// A server whose answer to GET never ends, until its reader is given up: then `dropped` is true.
fn serve_endless(limits: Limits, dropped: &'static AtomicBool) -> Server {
    struct Endless(&'static AtomicBool);
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            Ok(buffer.len())
        }
    }
    impl Drop for Endless {
        fn drop(&mut self) {
            self.0.store(true, SeqCst);
        }
    }
    let handle = move |request: &Request| match request.method() {
        "GET" => sized(Endless(dropped), usize::MAX),
        _ => Response::text("hello"),
    };
    Server::start(limits, &[], handle)
}

#[test]
fn a_reader_that_takes_nothing_is_given_up_and_holds_up_nobody() {
    static DROPPED: AtomicBool = AtomicBool::new(false);
    let limits = Limits { write_timeout: SHORT, ..limits() };
    let server = serve_endless(limits, &DROPPED);
    let mut slow = server.connect();
    slow.send(HELLO);
    until(|| {
        assert_eq!(server.ask(HELLO.replace("GET", "PUT")).status, 200);
        DROPPED.load(SeqCst)
    });
}

#[test]
fn a_slow_reader_is_served_as_long_as_it_takes_something_within_each_timeout() {
    static DROPPED: AtomicBool = AtomicBool::new(false);
    let write_timeout = Duration::from_secs(2);
    let server = serve_endless(Limits { write_timeout, ..limits() }, &DROPPED);
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    // The more the client's own system takes for it, the less the server sees of its pace.
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], server.port)).into()).unwrap();
    let mut client = Client::on(socket.into());
    client.send(HELLO);
    let started = Instant::now();
    while started.elapsed() < 5 * write_timeout {
        client.stream().read_exact(&mut [0; 4000]).expect("an answer that goes on");
        thread::sleep(write_timeout / 20);
    }
    // More than was on its way already, in case the server has given up.
    client.stream().read_exact(&mut vec![0; 2 << 20]).expect("an answer that goes on");
}

#[test]
fn when_connections_run_short_a_reader_that_takes_nothing_goes_like_an_idle_connection() {
    static DROPPED: AtomicBool = AtomicBool::new(false);
    let patient = Limits { max_connections: 16, write_timeout: 10 * PATIENCE, ..limits() };
    let server = serve_endless(patient, &DROPPED);
    let mut stalled = server.connect();
    stalled.send(HELLO);
    // It may be a while until the systems on both sides hold as much as they can.
    until(|| {
        let mut idle: Vec<Client> = (0..13).map(|_| server.connect()).collect();
        for client in &mut idle {
            client.send(HELLO.replace("GET", "PUT"));
            client.answer();
        }
        thread::sleep(SHORT);
        let mut newcomer = server.connect();
        newcomer.send(HELLO.replace("GET", "PUT"));
        assert_eq!(newcomer.answer().status, 200);
        DROPPED.load(SeqCst)
    });
}
