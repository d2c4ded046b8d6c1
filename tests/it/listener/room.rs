//! What happens when connections run short.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use doorward::config::Limits;
use rouille::{Request, Response};

use super::alone::Alone;
use super::{get, post};
use crate::support::client::{Client, SHORT};
use crate::support::echo::{limits, start_with};
use crate::support::server::{HELLO, Server};
use crate::support::until;

#[test]
fn one_connection_too_many_gets_503_and_there_is_room_again_after() {
    static IS_HELD: AtomicBool = AtomicBool::new(true);
    let handle = |request: &Request| {
        while request.raw_url() == "/hello" && IS_HELD.load(SeqCst) {
            thread::sleep(SHORT / 10);
        }
        Response::text("hello")
    };
    let limits = Limits { max_connections: 8, ..limits() };
    let server = Server::start(limits, &[], handle);
    let ask = |request: &str| {
        let mut client = server.connect();
        // Sent first, so that bytes lie unread when the connection is turned away.
        client.send(request);
        client
    };
    // Who waits for the server is never ended to make room.
    let mut answering: Vec<Client> = Vec::new();
    until(|| {
        answering.push(ask(HELLO));
        let mut client = ask(&get(""));
        client.answer_to("GET").is_some_and(|answer| answer.status == 503 && answer.closes())
            && client.is_closed()
    });
    IS_HELD.store(false, SeqCst);
    assert_eq!(answering[0].answer().status, 200);
    drop(answering);
    until(|| ask(HELLO).answer().status == 200);
}

#[test]
fn one_address_cannot_take_all_connections_unless_it_is_a_trusted_proxy() {
    let limits = Limits { max_connections_per_address: 4, ..limits() };
    let server = start_with(limits.clone(), &["127.0.0.3/32"]);
    let half_sent = |ip: [u8; 4]| {
        let mut client = server.connect_from(ip.into());
        client.send("GET / HTTP/1.1\r\n");
        client
    };
    let _held: Vec<Client> = (0..4).map(|_| half_sent([127, 0, 0, 2])).collect();
    let mut fifth = server.connect_from([127, 0, 0, 2].into());
    assert_eq!(fifth.answer().status, 503);
    assert!(fifth.is_closed());
    server.assert_still_answers();
    let _proxied: Vec<Client> = (0..4).map(|_| half_sent([127, 0, 0, 3])).collect();
    let mut fifth = server.connect_from([127, 0, 0, 3].into());
    fifth.send(HELLO);
    assert_eq!(fifth.answer().status, 200);
}

#[test]
fn when_connections_run_short_the_idlest_goes_first_and_answers_close() {
    let server = start_with(Limits { max_connections: 16, ..limits() }, &[]);
    let mut clients: Vec<Client> = (0..14).map(|_| server.connect()).collect();
    for client in clients.iter_mut().rev() {
        client.send(HELLO);
        assert!(!client.answer().closes());
        thread::sleep(Duration::from_millis(2));
    }
    thread::sleep(SHORT);
    let mut newcomer = server.connect();
    newcomer.send(HELLO);
    assert!(newcomer.answer().closes(), "seven eighths are taken");
    assert!(clients.last_mut().unwrap().is_closed(), "it has been idle the longest");
    assert!(clients[0].is_open());
    clients[0].send(HELLO);
    assert_eq!(clients[0].answer().status, 200);
}

#[test]
fn as_long_as_connections_run_short_every_answer_says_close() {
    let server = start_with(Limits { max_connections: 128, ..limits() }, &[]);
    let _idle: Vec<Client> = (0..112).map(|_| server.connect()).collect();
    thread::sleep(SHORT);
    for n in 1..5 {
        let mut newcomer = server.connect();
        newcomer.send(HELLO);
        assert!(newcomer.answer().closes(), "newcomer {n}");
    }
}

#[test]
fn when_connections_run_short_an_unfinished_request_goes_like_an_idle_connection() {
    let beginnings = ["G", "GET / HTTP/1.1\r\nHost: x\r\n", &post("Content-Length: 50\r\n")];
    for beginning in beginnings {
        let server = start_with(Limits { max_connections: 16, ..limits() }, &[]);
        let mut half_sent = server.connect();
        half_sent.send(beginning);
        thread::sleep(SHORT / 10);
        let mut idle: Vec<Client> = (0..13).map(|_| server.connect()).collect();
        for client in &mut idle {
            client.send(HELLO);
            client.answer();
        }
        thread::sleep(SHORT);
        half_sent.send("a");
        thread::sleep(SHORT / 10);
        assert_eq!(server.ask(HELLO).status, 200);
        assert!(half_sent.is_closed(), "another byte is no reprieve: {beginning}");
        assert!(idle[0].is_open());
    }
}

#[test]
fn nine_networks_that_send_one_byte_and_connect_again_keep_nobody_out() {
    let limits = Limits { max_connections: 32, max_connections_per_address: 4, ..limits() };
    let server = start_with(limits, &[]);
    let (is_over, connected) = (AtomicBool::new(false), AtomicUsize::new(0));
    let attack = |last: u8| {
        while !is_over.load(SeqCst) {
            let mut client = server.connect_from([127, 0, 9, last].into());
            client.send("G");
            connected.fetch_add(1, SeqCst);
            // 503, or the end after a while.
            let mut is_open = true;
            while is_open && !is_over.load(SeqCst) {
                is_open = client.is_open();
            }
            thread::sleep(Duration::from_millis(1));
        }
    };
    let welcome = thread::scope(|scope| {
        for number in 0..36 {
            scope.spawn(move || attack(1 + number % 9));
        }
        until(|| connected.load(SeqCst) > 200);
        let welcome = (1..=40).filter(|last| {
            let mut visitor = server.connect_from([127, 0, 1, *last].into());
            visitor.send(HELLO);
            visitor.answer_to("GET").is_some_and(|answer| answer.status == 200)
        });
        let welcome = welcome.count();
        is_over.store(true, SeqCst);
        welcome
    });
    // One of them may lose its place if this machine keeps it from sending for a while.
    assert!(welcome >= 36, "{welcome} of 40");
}

#[test]
fn two_hundred_connections_are_served_at_once() {
    let server = start_with(
        Limits { max_connections: 2000, max_connections_per_address: 2000, ..limits() },
        &[],
    );
    let mut clients: Vec<Client> = (0..200).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(HELLO);
    }
    for client in &mut clients {
        assert_eq!(client.answer().status, 200);
    }
}

#[test]
fn out_of_files_the_longest_waiting_makes_room_and_the_listener_goes_on() {
    let server = Alone::start(64);
    let mut half_sent = Vec::new();
    for _ in 0..100 {
        let mut client = Client::connect(server.port);
        client.send("GET / HTTP/1.1\r\n");
        half_sent.push(client);
    }
    let mut waiting = Client::connect(server.port);
    waiting.send(HELLO);
    assert_eq!(waiting.answer().status, 200, "it was only waiting its turn");
    assert!(half_sent.iter_mut().any(|client| !client.is_open()));
    drop((waiting, half_sent));
    server.end();
}
