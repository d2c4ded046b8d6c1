//! When a connection stays, and when it ends.

use std::net::{Shutdown, TcpStream};
use std::thread;

use super::{get, post};
use crate::support::client::{Client, SHORT};
use crate::support::echo::start;
use crate::support::server::HELLO;
use crate::support::until;

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = start();
    let mut client = server.connect();
    client.send(format!(
        "{}{}{}",
        post("Content-Length: 5\r\n"),
        HELLO.replace("hello", "slow"),
        HELLO
    ));
    for seen in ["POST /\n", "GET /slow\n", "GET /hello\n"] {
        assert!(client.answer().text().starts_with(seen));
    }
    assert!(client.is_open());
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let server = start();
    for headers in ["", "Connection: keep-alive\r\n", "Host: x\r\n", "Expect: anything\r\n"] {
        let mut client = server.connect();
        client.send(format!("GET /old HTTP/1.0\r\n{headers}\r\n"));
        let answer = client.answer();
        assert_eq!(answer.status, 200);
        assert!(answer.text().starts_with("GET /old\n"));
        assert!(answer.closes() && client.is_closed());
    }
}

#[test]
fn a_client_that_asks_for_close_gets_it() {
    let server = start();
    for value in ["close", "CLOSE", "keep-alive, Close", "x\r\nConnection: close"] {
        let mut client = server.connect();
        client.send(get(&format!("Connection: {value}\r\n")));
        assert!(client.answer().closes() && client.is_closed(), "{value}");
    }
}

#[test]
fn a_client_that_waits_for_100_continue_gets_it_before_it_sends_the_body() {
    let server = start();
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\n");
    assert_eq!(client.answer().status, 100);
    client.send("body!");
    assert!(client.answer().text().ends_with("body!"));
    client.send(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\nExpect: 100-continue\r\n\r\n",
    );
    assert_eq!(client.answer().status, 413, "no invitation to a body that will be refused");
    assert!(client.is_closed());
}

#[test]
fn a_client_that_half_closes_still_gets_its_answer() {
    let server = start();
    let mut client = server.connect();
    client.send(HELLO.replace("hello", "slow"));
    client.stream().shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.answer().status, 200);
    assert!(client.is_closed());
}

#[test]
fn a_client_that_vanishes_harms_nobody() {
    let server = start();
    for part in ["", "GET", "GET / HTTP/1.1\r\nHost: x\r\n", &post("Content-Length: 50\r\n"), HELLO]
    {
        drop(server.connect());
        let mut client = server.connect();
        client.send(part);
        drop(client);
        server.assert_still_answers();
    }
    let mut client = server.connect();
    client.send(HELLO.replace("hello", "endless"));
    drop(client);
    server.assert_still_answers();
}

#[test]
fn a_panic_ends_its_own_connection_only() {
    let server = start();
    let mut other = server.connect();
    other.send(HELLO);
    other.answer();
    let mut client = server.connect();
    client.send(get("").replace("/ ", "/panic "));
    assert!(client.is_closed());
    other.send(HELLO);
    assert_eq!(other.answer().status, 200);
    server.assert_still_answers();
}

#[test]
fn a_stop_answers_what_runs_and_refuses_what_is_new() {
    let mut server = start();
    let mut idle = server.connect();
    idle.send(HELLO);
    idle.answer();
    let mut clients: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(HELLO.replace("hello", "slow"));
    }
    thread::sleep(SHORT / 2);
    server.request_stop();
    until(|| TcpStream::connect(("127.0.0.1", server.port)).is_err());
    for client in &mut clients {
        let answer = client.answer();
        assert!(answer.status == 200 && answer.closes());
    }
    assert!(idle.is_closed());
    drop(clients);
    server.join().unwrap();
}
