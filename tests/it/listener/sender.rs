//! Who sent a request, where proxies pass it on.

use super::get;
use crate::support::echo::{limits, start_with};

#[test]
fn the_sender_is_read_from_trusted_proxies_alone_right_to_left() {
    let server = start_with(limits(), &["127.0.0.1/32", "10.0.0.0/8", "fd00::/8"]);
    let cases = [
        ("", "127.0.0.1:"),
        ("X-Forwarded-For: 192.0.2.7", "192.0.2.7:0 "),
        ("X-Forwarded-For: 192.0.2.7:4711", "192.0.2.7:4711 "),
        ("x-forwarded-for: 198.51.100.1, 192.0.2.7", "192.0.2.7:0 "),
        ("X-Forwarded-For: 192.0.2.7, 10.1.2.3", "192.0.2.7:0 "),
        ("X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-For: 10.1.2.3 , 10.9.9.9", "192.0.2.7:0 "),
        ("X-Forwarded-For: 192.0.2.7, nonsense, 10.1.2.3", "10.1.2.3:0 "),
        ("X-Forwarded-For: 192.0.2.7,", "127.0.0.1:"),
        ("X-Forwarded-For: unknown", "127.0.0.1:"),
        ("X-Forwarded-For: 10.0.0.1, 10.0.0.2", "10.0.0.1:0 "),
        ("X-Forwarded-For: 2001:db8::1", "[2001:db8::1]:0 "),
        ("X-Forwarded-For: [2001:db8::1]", "[2001:db8::1]:0 "),
        ("X-Forwarded-For: [2001:db8::1]:4711, fd00::1", "[2001:db8::1]:4711 "),
        ("X-Forwarded-For: ::ffff:192.0.2.7", "192.0.2.7:0 "),
        ("X-Forwarded-For: 192.0.2.7, ::ffff:10.0.0.1", "192.0.2.7:0 "),
    ];
    for (header, sender) in cases {
        let header = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
        let answer = server.ask(get(&header));
        assert!(answer.text().contains(&format!("\nfrom {sender}")), "{header}: {}", answer.text());
    }
}

#[test]
fn the_scheme_is_https_if_a_trusted_proxy_says_so() {
    let server = start_with(limits(), &["127.0.0.1/32"]);
    for (value, https) in [
        ("https", true),
        ("HTTPS", true),
        ("http", false),
        ("http, https", true),
        ("https, http", false),
    ] {
        let answer = server.ask(get(&format!("X-Forwarded-Proto: {value}\r\n")));
        assert!(answer.text().contains(&format!(" {https}\n")), "{value}");
    }
}

#[test]
fn strangers_cannot_forward_and_nobody_above_sees_that_they_tried() {
    let server = start_with(limits(), &["10.0.0.0/8"]);
    let headers =
        "X-Forwarded-For: 10.0.0.1\r\nx-forwarded-proto: https\r\nX-Forwarded-Uri: /a\r\n";
    let answer = server.ask(get(headers));
    assert!(answer.text().contains("from 127.0.0.1:") && answer.text().contains(" false\n"));
    assert!(!answer.text().to_lowercase().contains("x-forwarded-for"));
    assert!(!answer.text().to_lowercase().contains("x-forwarded-proto"));
    assert!(answer.text().contains("X-Forwarded-Uri: /a\n"));
}
