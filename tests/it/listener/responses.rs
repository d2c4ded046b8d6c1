//! How an answer is written.

use std::io::Read;

use rouille::{Request, Response};

use super::get;
use crate::support::PATIENCE;
use crate::support::echo::{limits, start};
use crate::support::server::{HELLO, Server};

#[test]
fn head_gets_the_headers_of_get_and_no_body() {
    let server = start();
    for path in ["/mebibyte", "/unknown-length", "/no-content", "/not-modified"] {
        let mut client = server.connect();
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let mut head = client.answer_to("HEAD").unwrap();
        let mut client = server.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let mut get = client.answer();
        for answer in [&mut head, &mut get] {
            answer.headers.retain(|(name, _)| name != "Date");
        }
        assert_eq!(head.headers, get.headers, "{path}");
        assert!(head.body.is_empty());
    }
}

#[test]
fn every_answer_has_a_date_and_a_length_and_names_no_server() {
    let server = start();
    let mut client = server.connect();
    client.send(HELLO);
    let answer = client.answer();
    assert_eq!(answer.header("Content-Length"), Some(answer.body.len().to_string().as_str()));
    let date = httpdate::parse_http_date(answer.header("Date").unwrap()).unwrap();
    assert!(date.elapsed().unwrap() < PATIENCE);
    assert_eq!(answer.header("Server"), None);
}

#[test]
fn a_body_of_unknown_length_ends_with_the_connection() {
    let server = start();
    for version in ["1.1", "1.0"] {
        let mut client = server.connect();
        client.send(format!("GET /unknown-length HTTP/{version}\r\nHost: x\r\n\r\n"));
        let answer = client.answer();
        assert_eq!(answer.header("Transfer-Encoding"), None);
        assert_eq!(answer.header("Content-Length"), None);
        assert!(answer.closes());
        assert_eq!(answer.body, vec![b'.'; 100_000]);
    }
}

#[test]
fn a_body_shorter_than_announced_ends_the_connection() {
    let server = start();
    let mut client = server.connect();
    client.send(get("").replace("/ ", "/short "));
    let mut all = Vec::new();
    client.reader.read_to_end(&mut all).unwrap();
    assert!(all.len() < 1000, "nobody can take it for the whole");
    server.assert_still_answers();
}

#[test]
fn no_content_and_not_modified_have_no_body_and_no_length() {
    let server = start();
    let mut client = server.connect();
    for (path, status) in [("/no-content", 204), ("/not-modified", 304)] {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let answer = client.answer();
        assert_eq!((answer.status, answer.header("Content-Length")), (status, None));
        assert_eq!(answer.header("Transfer-Encoding"), None);
    }
    client.send(HELLO);
    assert_eq!(client.answer().status, 200);
}

#[test]
fn a_handler_can_neither_split_a_response_nor_frame_it() {
    let server = start();
    let mut client = server.connect();
    client.send(get("").replace("/ ", "/headers "));
    let answer = client.answer();
    assert_eq!(answer.body, b"five\n");
    assert_eq!(answer.header("X-Injected"), None);
    assert_eq!(answer.header("X-Split"), Some("a  X-Injected: b "));
    assert_eq!(answer.header("X-Accent"), Some("é"));
    assert_eq!(answer.header("Connection"), None);
    assert!(answer.header("Date").unwrap().ends_with("GMT"));
    client.send(HELLO);
    assert_eq!(client.answer().status, 200);
}

#[test]
fn a_large_file_streams_from_disk_whole() {
    let mut path = std::env::temp_dir();
    path.push(format!("doorward-{}", std::process::id()));
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    std::fs::write(&path, &content).unwrap();
    let file = path.clone();
    let handle = move |_: &Request| {
        Response::from_file("application/octet-stream", std::fs::File::open(&file).unwrap())
    };
    let server = Server::start(limits(), &[], handle);
    assert!(server.ask(HELLO).body == content);
    std::fs::remove_file(path).unwrap();
}
