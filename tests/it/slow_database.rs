//! A database that is slow instead of gone: locked rows and tables, and a server that freezes.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::thread;
use std::time::{Duration, Instant};

use doorward::App;

use crate::support::browser::Browser;
use crate::support::site::{NAME, is_in};
use crate::support::site::{NEW_PASSWORD, PASSWORD, Site, config, handler, log_in, register};
use crate::support::stall::Stall;
use crate::support::until;

/// What every request must be answered within.
const PROMISED: Duration = Duration::from_secs(8);

/// A path, and the fields of a form that is posted there.
type Sent<'a> = (&'a str, Option<&'a [(&'a str, &'a str)]>);

/// Sends one request of every kind that needs the database, all at once. The statuses, each within the
/// time that is promised.
fn all_at_once(app: &App, member: &BTreeMap<String, String>) -> Vec<u16> {
    let registration = [
        ("first_name", "Bob"),
        ("last_name", "Lovelace"),
        ("email", "bob@example.org"),
        ("password", PASSWORD),
        ("confirm", PASSWORD),
    ];
    let login = [("email", "ada@example.org"), ("password", PASSWORD)];
    let requests: [Sent; 8] = [
        ("/", None),
        ("/secret", None),
        ("/auth", None),
        ("/healthz", None),
        ("/login", Some(&login)),
        ("/register", Some(&registration)),
        ("/password", Some(&NEW_PASSWORD)),
        ("/sessions/end", Some(&[("session", "others")])),
    ];
    thread::scope(|scope| {
        let send = |(path, fields): Sent| {
            let app = handler(app);
            let mut browser = Browser::new(&app);
            if path != "/register" {
                browser.jar = member.clone();
            }
            let begun = Instant::now();
            let page = match fields {
                Some(fields) => browser.post(path, fields),
                None => browser.get(path),
            };
            assert!(begun.elapsed() < PROMISED, "{path} took {:?}", begun.elapsed());
            page.status
        };
        // Twice each, because the second may wait for the first.
        let all = [requests, requests].concat();
        let all: Vec<_> =
            all.into_iter().map(|request| scope.spawn(move || send(request))).collect();
        all.into_iter().map(|request| request.join().unwrap()).collect()
    })
}

#[test]
fn asvs_13_1_3_while_a_table_is_locked_every_request_is_answered_in_time() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", "ada@example.org");
    let mut client = site.sql();
    let mut tables = client.transaction().unwrap();
    tables.batch_execute("LOCK TABLE sessions, users").unwrap();
    thread::sleep(Duration::from_millis(1_050)); // until the map asks again
    let statuses = all_at_once(&site.app, &ada.jar);
    let healthy = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(healthy, 2, "/healthz needs no table: {statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 503)), "{statuses:?}");
    tables.rollback().unwrap();
    assert!(is_in(&mut ada), "nobody was logged out");
}

#[test]
fn asvs_13_1_3_while_the_server_is_frozen_every_request_is_answered_in_time() {
    let site = Site::new();
    let stall = Stall::before(&site.url);
    let frozen = App::new(config(stall.url())).unwrap();
    let app = handler(&frozen);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", "ada@example.org");
    thread::sleep(Duration::from_millis(1_050)); // until the map asks again
    stall.freeze(true);
    for _ in 0..2 {
        assert_eq!(all_at_once(&frozen, &ada.jar), [503; 16]);
    }
    stall.freeze(false);
    until(|| ada.get("/healthz").status == 200);
    until(|| is_in(&mut ada));
    assert_eq!(log_in(&mut Browser::new(&app), "ada@example.org", PASSWORD).status, 303);
}

#[test]
fn while_every_answer_is_slow_every_request_is_answered_in_time() {
    let site = Site::new();
    let stall = Stall::before(&site.url);
    let slow = App::new(config(stall.url())).unwrap();
    let app = handler(&slow);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", "ada@example.org");
    // One after the other, so that one connection has prepared what the change below needs.
    let weak = [("current_password", PASSWORD), ("password", "short"), ("confirm", "short")];
    for _ in 0..2 {
        thread::sleep(Duration::from_millis(1_050)); // until the map asks again
        assert_eq!(ada.post("/password", &weak).status, 422);
    }
    thread::sleep(Duration::from_millis(1_050));
    stall.delay(Duration::from_millis(1_100));
    let begun = Instant::now();
    ada.post("/password", &NEW_PASSWORD);
    assert!(begun.elapsed() < PROMISED, "four queries took {:?}", begun.elapsed());
    all_at_once(&slow, &ada.jar);
    stall.delay(Duration::ZERO);
    until(|| is_in(&mut ada));
}

/// Puts sessions of Ada's into the table that no process has seen yet. The ids are the numbers up to
/// `count`, in hex.
fn unseen_sessions(site: &Site, count: u32) {
    site.sql()
        .execute(
            "INSERT INTO sessions
                 (id_hash, uid, last_seen_at, expires_at, remembered, user_agent, ip)
             SELECT sha256(convert_to(lpad(to_hex(n), 64, '0'), 'UTF8')), uid,
                    now() - INTERVAL '5 minutes', now() + INTERVAL '1 hour', false, '', '::1'
             FROM users, generate_series(1, $1::BIGINT) AS n",
            &[&i64::from(count)],
        )
        .unwrap();
}

fn with_id(app: crate::support::browser::Handler, n: u32) -> Browser {
    let mut browser = Browser::new(app);
    browser.jar.insert(NAME.to_owned(), format!("{n:064x}"));
    browser
}

const LOCK_FIRST: &str = "
    SELECT 1
    FROM sessions
    WHERE id_hash = sha256(convert_to(lpad('1', 64, '0'), 'UTF8'))
    FOR UPDATE";

#[test]
fn a_locked_row_holds_up_the_requests_for_that_session_alone() {
    let site = Site::new();
    let app = handler(&site.app);
    register(&mut Browser::new(&app), "Ada", "ada@example.org");
    // Far more than the map has pieces, so that some share a piece with the first.
    unseen_sessions(&site, 600);
    let time = |ids: RangeInclusive<u32>| {
        let begun = Instant::now();
        for n in ids {
            assert_eq!(with_id(&app, n).get("/auth").status, 200, "{n}");
        }
        begun.elapsed()
    };
    let free = time(2..=300);
    let mut client = site.sql();
    let mut row = client.transaction().unwrap();
    row.execute(LOCK_FIRST, &[]).unwrap();
    thread::scope(|scope| {
        let first = scope.spawn(|| with_id(&app, 1).get("/auth").status);
        until(|| site.waiting() == 1);
        let locked = time(301..=600);
        // Whoever waited for that row waited for two seconds.
        assert!(locked < 3 * free + Duration::from_secs(1), "{locked:?} instead of {free:?}");
        row.rollback().unwrap();
        assert!(matches!(first.join().unwrap(), 200 | 503));
    });
    assert_eq!(with_id(&app, 1).get("/auth").status, 200);
}

#[test]
fn asvs_7_4_1_a_check_under_way_does_not_revive_a_session_that_is_ended_meanwhile() {
    for _ in 0..20 {
        let site = Site::new();
        let app = handler(&site.app);
        let mut ada = Browser::new(&app);
        register(&mut ada, "Ada", "ada@example.org");
        unseen_sessions(&site, 1);
        let mut client = site.sql();
        let (mut row, jar) = (client.transaction().unwrap(), &ada.jar);
        row.execute(LOCK_FIRST, &[]).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| with_id(&app, 1).get("/auth"));
            until(|| site.waiting() == 1);
            scope.spawn(|| {
                let mut ada_too = Browser::new(&app);
                ada_too.jar = jar.clone();
                ada_too.post("/sessions/end", &[("session", "others")])
            });
            until(|| site.waiting() == 2);
            row.rollback().unwrap();
        });
        assert_eq!(with_id(&app, 1).get("/auth").status, 401);
    }
}

#[test]
fn a_mistake_of_ours_is_a_500_and_not_an_invitation_to_try_again() {
    for (broken, path) in [
        ("UPDATE users SET pwdhash = '$2b$04$short'", "/login"),
        ("UPDATE users SET pwdhash = 'nothing of bcrypt'", "/login"),
        ("ALTER TABLE users RENAME COLUMN last_name TO surname", "/login"),
        ("ALTER TABLE sessions RENAME COLUMN ip TO address", "/login"),
        ("ALTER TABLE users RENAME COLUMN pwdhash TO hash", "/login"),
    ] {
        let site = Site::new();
        register(&mut Browser::new(&handler(&site.app)), "Ada", "ada@example.org");
        site.sql().batch_execute(broken).unwrap();
        let app = handler(&site.app);
        let login = [("email", "ada@example.org"), ("password", PASSWORD)];
        assert_eq!(Browser::new(&app).post(path, &login).status, 500, "{broken}");
    }
}

#[test]
fn a_logout_waits_for_no_other_change_of_its_user() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", "ada@example.org");
    let mut sql = site.sql();
    let mut change = sql.transaction().unwrap();
    change.batch_execute("SELECT FROM users FOR UPDATE").unwrap();
    assert_eq!(ada.post("/logout", &[]).location(), "/");
    change.rollback().unwrap();
    assert!(!is_in(&mut ada));
}
