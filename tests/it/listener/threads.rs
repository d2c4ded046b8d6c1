//! Which connections have a thread: those whose request is being answered, and no others.

use super::alone::Alone;
use super::post;
use crate::support::client::Client;
use crate::support::server::HELLO;
use crate::support::until;

const MANY: usize = 200;

fn clients(server: &Alone, bytes: &str) -> Vec<Client> {
    let client = |_| {
        let mut client = Client::connect(server.port);
        client.send(bytes);
        client
    };
    (0..MANY).map(client).collect()
}

fn assert_answers(server: &Alone) {
    let mut client = Client::connect(server.port);
    client.send(HELLO);
    assert_eq!(client.answer().status, 200);
}

#[test]
fn whoever_sends_half_a_request_or_does_not_read_takes_no_thread() {
    let server = Alone::start(2_000);
    assert_answers(&server);
    let few = server.threads() + MANY / 10;
    for sent in [
        "",
        "G",
        "GET / HTTP/1.1\r\nHost: x\r\n",
        &post("Content-Length: 50\r\n"),
        &HELLO.replace("hello", "endless"),
    ] {
        let waiting = clients(&server, sent);
        assert_answers(&server);
        // Some may have been held up for a moment.
        until(|| server.threads() <= few);
        drop(waiting);
    }
    server.end();
}

#[test]
fn a_request_that_waits_has_a_thread_of_its_own_as_long_as_it_waits() {
    let server = Alone::start(2_000);
    assert_answers(&server);
    let few = server.threads() + MANY / 10;
    let mut waiting = clients(&server, &HELLO.replace("hello", "held"));
    until(|| server.threads() >= MANY);
    assert_answers(&server);
    let mut release = Client::connect(server.port);
    release.send(HELLO.replace("hello", "release"));
    assert_eq!(release.answer().status, 200);
    for client in &mut waiting {
        assert_eq!(client.answer().status, 200);
    }
    until(|| server.threads() <= few);
    assert_answers(&server);
    server.end();
}
