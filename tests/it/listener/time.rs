//! How long each part of a request, and the end of the server, may take.

use std::io::Write;
use std::net::Shutdown;
use std::thread;
use std::time::Instant;

use doorward::config::Limits;

use super::post;
use crate::support::PATIENCE;
use crate::support::client::SHORT;
use crate::support::echo::{limits, start_with};
use crate::support::server::{HELLO, Server};

#[test]
fn a_head_must_be_complete_in_time_however_it_trickles() {
    let server = start_with(Limits { head_timeout: SHORT, ..limits() }, &[]);
    assert_gets_408_while_trickling(&server, "GET / HTTP/1.1\r\nX: ");
}

#[test]
fn a_body_must_be_complete_in_time_however_it_trickles() {
    let server = start_with(Limits { body_timeout: SHORT, ..limits() }, &[]);
    assert_gets_408_while_trickling(&server, &post("Content-Length: 60000\r\n"));
}

fn assert_gets_408_while_trickling(server: &Server, beginning: &str) {
    let mut client = server.connect();
    client.send(beginning);
    let mut trickle = client.stream().try_clone().unwrap();
    let trickling = thread::spawn(move || {
        while trickle.write_all(b"a").is_ok() {
            thread::sleep(SHORT / 20);
        }
    });
    assert_eq!(client.answer().status, 408);
    assert!(client.is_closed());
    server.assert_still_answers();
    let _ = client.stream().shutdown(Shutdown::Both);
    trickling.join().unwrap();
}

#[test]
fn a_body_that_never_comes_is_given_up() {
    let server = start_with(Limits { body_timeout: SHORT, ..limits() }, &[]);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.answer().status, 408);
    assert!(client.is_closed());
    server.assert_still_answers();
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let server = start_with(Limits { idle_timeout: SHORT, ..limits() }, &[]);
    assert!(server.connect().is_closed(), "before the first request");
    let mut client = server.connect();
    client.send(HELLO);
    client.answer();
    assert!(client.is_closed(), "after it");
    server.assert_still_answers();
}

#[test]
fn timeouts_of_one_request_do_not_shorten_the_next() {
    let server = start_with(Limits { head_timeout: SHORT, body_timeout: SHORT, ..limits() }, &[]);
    let mut client = server.connect();
    for _ in 0..2 {
        for part in ["POST / HTTP/1.1\r\nHost: x\r\n", "Content-Length: 5\r\n\r\n", "body!"] {
            client.send(part);
            thread::sleep(SHORT / 10);
        }
        assert_eq!(client.answer().status, 200);
        thread::sleep(2 * SHORT);
    }
}

#[test]
fn a_stop_waits_no_longer_than_the_shutdown_timeout() {
    let mut server = start_with(Limits { shutdown_timeout: SHORT, ..limits() }, &[]);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\n");
    thread::sleep(SHORT / 2);
    let started = Instant::now();
    server.request_stop();
    server.join().unwrap();
    assert!(started.elapsed() >= SHORT && started.elapsed() < PATIENCE);
}
