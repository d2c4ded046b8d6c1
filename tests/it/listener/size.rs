//! How large a request may be.

use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::thread;

use super::get;
use crate::support::client::{Client, SHORT};
use crate::support::echo::start;
use crate::support::server::HELLO;
use crate::support::until;

#[test]
fn one_hundred_headers_and_a_body_of_64_kib_are_not_too_many() {
    let server = start();
    assert_eq!(server.ask(get(&"X-Y: z\r\n".repeat(99))).status, 200);
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\n");
    client.send("b".repeat(65536));
    assert!(client.answer().text().ends_with(&"b".repeat(65536)));
    client.send(HELLO);
    assert_eq!(client.answer().status, 200);
}

#[test]
fn a_head_of_16_kib_and_a_byte_is_refused_however_it_is_cut() {
    let server = start();
    for (bytes, status) in [(16 * 1024, 200), (16 * 1024 + 1, 431)] {
        let head = get(&format!("X: {}\r\n", "a".repeat(bytes - get("X: \r\n").len())));
        for cut in [0, 1, 5000, bytes - 1] {
            let mut client = server.connect();
            client.send(&head[..cut]);
            thread::sleep(SHORT / 10);
            client.send(&head[cut..]);
            assert_eq!(client.answer().status, status, "{bytes} bytes cut at {cut}");
        }
    }
}

#[test]
fn a_request_line_of_200_mb_is_refused_while_it_is_sent() {
    let server = start();
    let mut client = server.connect();
    let mut writer = client.stream().try_clone().unwrap();
    let writing = thread::spawn(move || {
        let megabyte = vec![b'a'; 1_000_000];
        let _ = writer.write_all(b"GET /");
        for _ in 0..200 {
            if writer.write_all(&megabyte).is_err() {
                break;
            }
        }
    });
    assert_eq!(client.answer().status, 414);
    server.assert_still_answers();
    let _ = client.stream().shutdown(Shutdown::Both);
    writing.join().unwrap();
}

#[test]
fn a_body_too_large_is_refused_before_it_is_read_and_the_client_learns_it() {
    let server = start();
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n");
    // Where bytes are left unread, a close is a reset, and with some clients that eats the answer.
    client.stream().write_all(&vec![b'b'; 5_000_000]).expect("no reset");
    assert_eq!(client.answer().status, 413);
    assert!(client.is_closed());
    server.assert_still_answers();
}

#[test]
fn a_refusal_is_a_page_of_the_site_with_a_way_home() {
    let server = start();
    for (request, status, words) in [
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n", 413, "That is too large"),
        ("GET / HTTP/1.1\r\n\r\n", 400, "We could not read that"),
    ] {
        let answer = server.ask(request);
        assert_eq!(answer.status, status);
        let page = answer.text();
        assert!(page.contains(words) && page.contains("href=\"/\""), "{page}");
        assert!(page.contains("<link rel=\"stylesheet\" href=\"/assets/style-"), "{page}");
    }
}

#[test]
fn of_large_bodies_that_never_end_the_oldest_go_when_they_fill_16_mib() {
    let server = start();
    let begin = |bytes: usize| {
        let mut client = server.connect();
        client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\n");
        client.send("b".repeat(bytes));
        client
    };
    let mut small = begin(1_000);
    let mut large: Vec<_> = (0..300).map(|_| begin(65_535)).collect();
    let is_over = |client: &Client| {
        client.stream().set_nonblocking(true).unwrap();
        let peeked = client.stream().peek(&mut [0]);
        client.stream().set_nonblocking(false).unwrap();
        peeked.map_or_else(|error| error.kind() == ErrorKind::ConnectionReset, |bytes| bytes == 0)
    };
    // 300 are more than 16 MiB by 45.
    until(|| large.iter().take(100).filter(|client| is_over(client)).count() >= 40);
    assert!(large.iter().skip(150).all(|client| !is_over(client)));
    for (client, left) in [(&mut small, 64_536), (large.last_mut().unwrap(), 1)] {
        client.send("b".repeat(left));
        assert_eq!(client.answer().status, 200);
    }
    server.assert_still_answers();
}
