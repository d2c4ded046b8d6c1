//! The application behind its listener: what is simulated elsewhere, over real sockets.

use rouille::Response;

use crate::support::browser::Browser;
use crate::support::client::Answer;
use crate::support::echo::limits;
use crate::support::server::Server;
use crate::support::site::{Site, handler, register};

fn ask(server: &Server, head: &str) -> Answer {
    server.ask(format!("{head}\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
}

#[test]
fn a_page_is_the_same_simulated_and_over_a_socket() {
    let site = Site::new();
    let simulated = handler(&site.app);
    let mut ada = Browser::new(&simulated);
    register(&mut ada, "Ada", "ada@example.org");
    let twin = site.twin();
    let served = Server::start(limits(), &[], move |request| twin.handle(request));
    let cookie = format!("GET /secret HTTP/1.1\r\nCookie: doorward={}", ada.jar["doorward"]);
    let answer = ask(&served, &cookie);
    let page = ada.get("/secret");
    assert_eq!((answer.status, answer.text()), (200, page.html()));
    for (name, value) in &page.headers {
        let same = answer.headers.iter().any(|(n, v)| n == name && *v == **value);
        assert!(same, "{name}: {value}\n{:?}", answer.headers);
    }
}

#[test]
fn the_server_goes_on_after_a_panic_in_a_handler() {
    let site = Site::new();
    let (app, jar) = site.panicking_twin();
    let served = Server::start(limits(), &[], move |request| app.handle(request));
    let panics = format!("GET /secret HTTP/1.1\r\nCookie: doorward={}", jar["doorward"]);
    for _ in 0..3 {
        let answer = ask(&served, &panics);
        assert!(answer.status == 500 && answer.text().contains("Something broke"));
        assert_eq!(ask(&served, "GET / HTTP/1.1").status, 200);
    }
}

#[test]
fn asvs_4_1_3_an_address_in_a_header_counts_only_from_a_trusted_proxy() {
    for (trusted, expected) in [(&[][..], "127.0.0.1"), (&["127.0.0.0/8"], "203.0.113.9")] {
        let served = Server::start(limits(), trusted, |request| {
            Response::text(format!(
                "from {} secure {}",
                request.remote_addr().ip(),
                request.is_secure()
            ))
        });
        let forged = "GET / HTTP/1.1\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https";
        let answer = ask(&served, forged);
        let is_trusted = !trusted.is_empty();
        assert_eq!(answer.text(), format!("from {expected} secure {is_trusted}"));
    }
}
