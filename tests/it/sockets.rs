//! The application behind its listener: what is simulated elsewhere, over real sockets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;

use doorward::http::listener;
use ipnet::IpNet;
use rouille::{Request, Response};

use crate::browser::Browser;
use crate::site::{Site, config, handler, register};

/// Serves until the value is dropped.
struct Served {
    address: SocketAddr,
    _stop: UnixStream,
}

fn serve(
    trusted: &[&str],
    handle: impl Fn(&Request) -> Response + Send + Sync + 'static,
) -> Served {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let (stop, stopped) = UnixStream::pair().unwrap();
    let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
    thread::spawn(move || {
        listener::serve(socket, config("").limits, trusted, &stopped, handle).unwrap();
    });
    Served { address, _stop: stop }
}

fn ask(address: SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{head}\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_page_is_the_same_simulated_and_over_a_socket() {
    let site = Site::new();
    let simulated = handler(&site.app);
    let mut ada = Browser::new(&simulated);
    register(&mut ada, "Ada", "ada@example.org");
    let twin = site.twin();
    let served = serve(&[], move |request| twin.handle(request));
    let cookie = format!("GET /secret HTTP/1.1\r\nCookie: doorward={}", ada.jar["doorward"]);
    let answer = ask(served.address, &cookie);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let page = ada.get("/secret");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(body, page.html());
    for (name, value) in &page.headers {
        assert!(head.contains(&format!("\r\n{name}: {value}")), "{name}: {value}\n{head}");
    }
}

#[test]
fn the_server_goes_on_after_a_panic_in_a_handler() {
    let site = Site::new();
    let (app, jar) = site.panicking_twin();
    let served = serve(&[], move |request| app.handle(request));
    let panics = format!("GET /secret HTTP/1.1\r\nCookie: doorward={}", jar["doorward"]);
    for _ in 0..3 {
        let answer = ask(served.address, &panics);
        assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains("Something broke"));
        assert!(ask(served.address, "GET / HTTP/1.1").starts_with("HTTP/1.1 200 "));
    }
}

#[test]
fn asvs_4_1_3_an_address_in_a_header_counts_only_from_a_trusted_proxy() {
    for (trusted, expected) in [(&[][..], "127.0.0.1"), (&["127.0.0.0/8"], "203.0.113.9")] {
        let served = serve(trusted, |request| {
            Response::text(format!(
                "from {} secure {}",
                request.remote_addr().ip(),
                request.is_secure()
            ))
        });
        let forged = "GET / HTTP/1.1\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https";
        let answer = ask(served.address, forged);
        let is_trusted = !trusted.is_empty();
        assert!(answer.ends_with(&format!("from {expected} secure {is_trusted}")), "{answer}");
    }
}
