//! The log: what it says of each event, and what can never be in it.

use crate::support::browser::Browser;
use crate::support::echo::{limits, start_with};
use crate::support::log::{of_any_thread, record, recorded};
use crate::support::site::{NEW_PASSWORD, PASSWORD, Site, handler, log_in, register};
use crate::support::until;

fn events() -> Vec<String> {
    recorded().into_iter().filter(|line| line.starts_with("event=")).collect()
}

#[test]
fn asvs_16_2_1_to_16_2_4_and_16_3_1_to_16_3_4_each_security_event_is_one_line_with_who_and_where() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    let who = "address=203.0.113.7 email=\"ada@example.org\"";
    record();

    register(&mut ada, "Ada", "ada@example.org");
    assert_eq!(events(), [format!("event=registration {who}")]);
    ada.post("/logout", &[]);
    assert_eq!(events(), [format!("event=logout {who}")]);
    log_in(&mut ada, "ada@example.org", "wrong");
    assert_eq!(events(), [format!("event=login-failed {who}")]);
    log_in(&mut ada, "ADA@example.org", PASSWORD);
    assert_eq!(events(), [format!("event=login {who}")]);
    ada.post("/sessions/end", &[("session", "others")]);
    assert_eq!(events(), [format!("event=sessions-ended {who} count=\"0\"")]);
    ada.post("/password", &NEW_PASSWORD);
    assert_eq!(events(), [format!("event=password-changed {who}")]);
    ada.request("POST", "/logout", &[("Sec-Fetch-Site", "cross-site")], Vec::new());
    assert_eq!(events(), ["event=cross-site-refused address=203.0.113.7 path=\"/logout\""]);
    let mut eve = Browser::new(&app).at("198.51.100.1");
    for _ in 0..11 {
        eve.post("/login", &[("email", "ada@example.org"), ("password", "guess")]);
    }
    let throttled = "event=login-throttled address=198.51.100.1 email=\"ada@example.org\"";
    assert_eq!(events().last().unwrap(), throttled);
}

#[test]
fn asvs_16_2_5_no_line_contains_a_password_or_a_session_id() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    record();
    register(&mut ada, "Ada", "ada@example.org");
    let first = ada.jar["doorward"].clone();
    ada.post("/login", &[("email", "ada@example.org"), ("password", PASSWORD)]);
    ada.post("/login", &[("email", "ada@example.org"), ("password", "a wrong one")]);
    ada.post("/logout", &[("session", &first)]);
    site.database().set_reachable(false);
    ada.post("/login", &[("email", "ada@example.org"), ("password", PASSWORD)]);
    // The connections' own threads tell of an outage.
    let outages = of_any_thread("database at ");
    assert!(!outages.is_empty(), "the failure was logged");
    let lines = [recorded(), outages].concat();
    for secret in [PASSWORD, "a wrong one", &first, &ada.jar["doorward"], "$2b$"] {
        assert!(!lines.iter().any(|line| line.contains(secret)), "{secret}");
    }
}

#[test]
fn asvs_16_4_1_nothing_that_is_typed_breaks_out_of_its_line() {
    let site = Site::new();
    let app = handler(&site.app);
    record();
    let email = "eve\r\n2026-01-01 INFO event=login\" address=192.0.2.1\u{2028}\u{1b}[2J";
    Browser::new(&app).post("/login", &[("email", email), ("password", "x")]);
    let expected = "event=login-failed address=203.0.113.7 email=\
        \"eve\\r\\n2026-01-01 INFO event=login\\\" address=192.0.2.1\\u{2028}\\u{1b}[2J\"";
    assert_eq!(events(), [expected]);
    let long = "x".repeat(60_000);
    Browser::new(&app).post("/login", &[("email", &long), ("password", "x")]);
    assert!(events()[0].len() < 400, "a line has an end");
}

#[test]
fn every_request_makes_one_log_line_without_its_query() {
    record();
    let server = start_with(limits(), &["127.0.0.1/32"]);
    let refused = "GET /logged-refused?token=secret HTTP/1.1\r\n\r\n";
    server
        .ask("GET /logged?token=secret HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n");
    server.ask(refused);
    server.ask(b"GET /logged-\x1b[31m HTTP/1.1\r\nHost: x\r\n\r\n");
    let logged = || of_any_thread("logged");
    until(|| logged().len() >= 3);
    let mut lines = logged();
    lines.sort();
    let starts = [
        r#""GET /logged" 200 "#,
        r#""GET /logged-\u{1b}[31m" 400 "#,
        r#""GET /logged-refused" 400 "#,
    ];
    assert_eq!(lines.len(), 3);
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
        assert!(!line.contains("secret"));
    }
    assert!(lines[0].ends_with(" ms 192.0.2.7"), "{}", lines[0]);
}
