//! The log: what it says of each event, and what can never be in it.

use std::cell::RefCell;
use std::sync::{Mutex, Once};

use log::{LevelFilter, Log, Metadata, Record};

use crate::browser::Browser;
use crate::site::{NEW_PASSWORD, PASSWORD, Site, handler, log_in, register};

thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// What connections' threads logged, too.
static OF_ANY_THREAD: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps the lines of each thread apart: simulated requests are answered in the thread of their test.
struct Recorder;

impl Log for Recorder {
    fn enabled(&self, _: &Metadata) -> bool {
        true
    }

    fn log(&self, record: &Record) {
        // The program's log leaves the database client's lines out, too.
        if record.target().starts_with("doorward") {
            let line = record.args().to_string();
            OF_ANY_THREAD.lock().unwrap().push(line.clone());
            LINES.with_borrow_mut(|lines| lines.push(line));
        }
    }

    fn flush(&self) {}
}

/// Starts to record, and forgets what this thread has logged so far.
pub fn record() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Recorder).unwrap();
        log::set_max_level(LevelFilter::Debug);
    });
    LINES.take();
}

/// The lines with that word in them, whoever logged them.
pub fn of_any_thread(word: &str) -> Vec<String> {
    let lines = OF_ANY_THREAD.lock().unwrap();
    lines.iter().filter(|line| line.contains(word)).cloned().collect()
}

fn events() -> Vec<String> {
    LINES.take().into_iter().filter(|line| line.starts_with("event=")).collect()
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
    let lines = [LINES.take(), outages].concat();
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
