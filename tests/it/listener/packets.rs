//! What holds for any request, for any bytes, and for any cut of them into packets.

use std::fmt::Write;
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use crate::support::client::{Answer, Client};
use crate::support::echo::start;

/// Long enough for a packet to be read before the next one comes, mostly.
const BETWEEN_PACKETS: Duration = Duration::from_millis(1);

fn check<S: Strategy>(cases: u32, strategy: &S, property: impl Fn(S::Value)) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(strategy, |value| {
        property(value);
        Ok(())
    });
    result.unwrap();
}

fn valid_request() -> impl Strategy<Value = Vec<u8>> {
    let path = "/[a-z0-9/%._~-]{0,40}(\\?[a-z0-9=&%+]{0,40})?";
    let header = ("[A-Za-z0-9-]{1,20}", "[ -~é]{0,60}");
    let body = prop_oneof![Just(None), vec(any::<u8>(), 0..9000).prop_map(Some)];
    let method = prop::sample::select(vec!["GET", "POST", "PUT", "DELETE", "BREW"]);
    (method, path, vec(header, 0..20), body).prop_map(|(method, path, headers, body)| {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: example.org:8080\r\n");
        for (name, value) in headers {
            write!(request, "X-{name}: {value}\r\n").unwrap();
        }
        if let Some(body) = &body {
            write!(request, "Content-Length: {}\r\n", body.len()).unwrap();
        }
        let mut request = format!("{request}\r\n").into_bytes();
        request.extend(body.into_iter().flatten());
        request
    })
}

/// Bytes that are nearly a request: some of a valid one replaced, removed, doubled or made up.
fn nearly_a_request() -> impl Strategy<Value = Vec<u8>> {
    let telling = b"\r\n\0\t :,/?*%0123456789\x7f\x80\xffHTTP".to_vec();
    let byte = prop_oneof![any::<u8>(), prop::sample::select(telling)];
    let line = prop::sample::select(vec![
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 3\r\n",
        "Content-Length: -1\r\n",
        "Expect: 100-continue\r\n",
        "Connection: close\r\n",
        "Host: y\r\n",
        " folded\r\n",
        "\r\n",
        "\n",
    ]);
    let change = (any::<Index>(), 0..4_u8, byte, line);
    (valid_request(), vec(change, 0..5)).prop_map(|(mut request, changes)| {
        for (place, kind, byte, line) in changes {
            let place = place.index(request.len());
            match kind {
                0 => request[place] = byte,
                1 => request.insert(place, byte),
                2 if request.len() > 1 => drop(request.remove(place)),
                _ => drop(request.splice(place..place, line.bytes())),
            }
        }
        request
    })
}

fn send_in_packets(client: &mut Client, bytes: &[u8], cuts: &[Index]) {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    for packet in cuts.windows(2) {
        client.send(&bytes[packet[0]..packet[1]]);
        thread::sleep(BETWEEN_PACKETS);
    }
}

/// What the handler saw, but for the port that the client came from.
fn seen(answer: &Answer) -> (u16, Vec<String>) {
    let body = String::from_utf8_lossy(&answer.body);
    (
        answer.status,
        body.lines().filter(|line| !line.starts_with("from ")).map(Into::into).collect(),
    )
}

#[test]
fn any_cut_of_a_request_into_packets_gives_the_same_answer() {
    let server = start();
    check(100, &(valid_request(), vec(any::<Index>(), 1..6)), |(request, cuts)| {
        let mut client = server.connect();
        client.send(&request);
        let whole = client.answer();
        assert_eq!(whole.status, 200);
        send_in_packets(&mut client, &request, &cuts);
        assert_eq!(seen(&client.answer()), seen(&whole));
    });
}

#[test]
fn any_two_pipelined_requests_are_answered_in_order() {
    let server = start();
    let strategy = (valid_request(), valid_request(), vec(any::<Index>(), 0..4));
    check(100, &strategy, |(first, second, cuts)| {
        let mut client = server.connect();
        let alone = [&first, &second].map(|request| {
            client.send(request);
            seen(&client.answer())
        });
        send_in_packets(&mut client, &[first, second].concat(), &cuts);
        assert_eq!([seen(&client.answer()), seen(&client.answer())], alone);
    });
}

#[test]
fn any_bytes_at_all_get_an_answer_by_the_rules_or_none_and_never_an_error_of_the_server() {
    let server = start();
    let noise = vec(any::<u8>(), 0..500);
    let bytes = prop_oneof![1 => noise, 9 => nearly_a_request()];
    check(500, &bytes, |bytes| {
        let mut client = server.connect();
        client.send(&bytes);
        // Nothing more will come, so whatever is incomplete is over.
        let _ = client.stream().shutdown(Shutdown::Write);
        let lower = bytes.to_ascii_lowercase();
        let says = |word: &str| lower.windows(word.len()).any(|part| part == word.as_bytes());
        while let Some(answer) = client.answer_to("GET") {
            match answer.status {
                100 | 200 | 400 | 413 | 414 | 417 | 431 => {}
                501 => assert!(says("transfer-encoding")),
                505 => assert!(says("http/")),
                status => panic!("{status} for {:?}", bytes.escape_ascii().to_string()),
            }
        }
    });
    assert_eq!(server.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n").status, 200);
}
