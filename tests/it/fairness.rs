//! One network's work does not hold up another's: hashing and judging passwords wait in a line, and so do
//! queries.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use doorward::Error;
use doorward::accounts::passwords::{Password, Passwords};
use doorward::database::Database;

use crate::support::browser::Browser;
use crate::support::site::{NEW_PASSWORD, PASSWORD, Site, handler, log_in, register};
use crate::support::until;

/// Every letter of it may stand for another, which makes it the slowest to judge.
const SLOW: &str = "4@8({[<369!|10$5+7%2zx1l";

/// Does `flood` over and over from 40 threads until `other` is done, which takes place when the flood
/// has begun. How many of the flood were answered meanwhile.
fn beside(flood: impl Fn() + Sync, other: impl FnOnce()) -> usize {
    let (answered, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| {
                while !is_over.load(SeqCst) {
                    flood();
                    answered.fetch_add(1, SeqCst);
                }
            });
        }
        until(|| answered.load(SeqCst) > 2);
        let before = answered.load(SeqCst);
        other();
        let after = answered.load(SeqCst);
        is_over.store(true, SeqCst);
        after - before
    })
}

/// Far fewer than the 40 that wait at any moment: a turn, what runs already, and as much again
/// because threads are not woken in order.
fn a_few() -> usize {
    6 * thread::available_parallelism().unwrap().get()
}

#[test]
fn passwords_of_one_network_are_judged_in_turn_with_the_logins_of_others() {
    let passwords = Passwords::new(4, 8).unwrap();
    let (one, other) = (Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::new(192, 0, 2, 2).into());
    // The flood may well be too much for its own network.
    let judge = || drop(passwords.weakness(one, &Password::typed(SLOW), ["Ada", "", ""]));
    let answered =
        beside(judge, || assert!(passwords.hash(other, &Password::typed(PASSWORD)).is_ok()));
    assert!(answered <= a_few(), "{answered} passwords were judged before the login's turn");
}

/// Somebody who has eight accounts, and logs in with them in turn: ten logins at once are all that one
/// email has.
fn eight_accounts(site: &Site) -> impl Fn() + Sync {
    let app = handler(&site.app);
    for n in 0..8 {
        register(&mut Browser::new(&app), "Eve", &format!("eve-{n}@example.org"));
    }
    let next = AtomicUsize::new(0);
    move || {
        let email = format!("eve-{}@example.org", next.fetch_add(1, SeqCst) % 8);
        let fields = [("email", &*email), ("password", PASSWORD)];
        let page = Browser::new(&app).at("198.51.100.1").post("/login", &fields);
        assert!(matches!(page.status, 303 | 503), "{}", page.status);
    }
}

#[test]
fn forty_logins_of_one_network_hold_up_a_login_from_another_by_a_turn() {
    let site = Site::with(|config| config.bcrypt_cost = 9);
    let app = handler(&site.app);
    register(&mut Browser::new(&app), "Ada", "ada@example.org");
    let answered = beside(eight_accounts(&site), || {
        let page = log_in(&mut Browser::new(&app).at("192.0.2.1"), "ada@example.org", PASSWORD);
        assert_eq!(page.status, 303);
    });
    assert!(answered <= a_few(), "{answered} logins of one network were answered before another's");
}

#[test]
fn asvs_2_4_1_queries_of_one_network_hold_up_those_of_another_by_a_turn() {
    let site = Site::new();
    let database = Database::connect(&site.url).unwrap();
    let query = |ip: [u8; 4], sql: &'static str| {
        database.begin_request(ip.into());
        database.run(move |connection| connection.query_opt(sql, &[])).unwrap();
    };
    let answered = beside(
        || query([198, 51, 100, 1], "SELECT pg_sleep(0.02)"),
        || query([192, 0, 2, 1], "SELECT"),
    );
    // Of the 40 that wait, 8 have a connection.
    assert!(answered <= 20, "{answered} queries of one network were answered before another's");
}

#[test]
fn eighteen_networks_that_flood_refuse_a_nineteenth_nothing() {
    let passwords = Passwords::new(8, 8).unwrap();
    let (is_over, networks) = (AtomicBool::new(false), 18);
    let hash =
        |n: u8| passwords.hash(Ipv4Addr::new(192, 0, 2, n).into(), &Password::typed(PASSWORD));
    let is_over = &is_over;
    thread::scope(|scope| {
        for n in (0..networks).flat_map(|n| [n; 10]) {
            scope.spawn(move || {
                while !is_over.load(SeqCst) {
                    assert!(matches!(hash(n), Ok(_) | Err(Error::Busy(_))));
                }
            });
        }
        for _ in 0..5 {
            hash(networks).expect("its turn comes within the 10 s of the line");
        }
        is_over.store(true, SeqCst);
    });
}

#[test]
fn asvs_2_4_1_sixty_refused_forms_are_all_that_a_network_has_in_an_hour() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app).at("192.0.2.1");
    register(&mut ada, "Ada", "ada@example.org");
    let fields = |password| {
        [
            ("first_name", "Eve"),
            ("last_name", "Lovelace"),
            ("email", "eve@example.org"),
            ("password", password),
            ("confirm", password),
        ]
    };
    let mut eve = Browser::new(&app).at("198.51.100.1");
    for n in 1..=60 {
        assert_eq!(eve.post("/register", &fields("short")).status, 422, "refused form {n}");
    }
    let refused = eve.post("/register", &fields("short"));
    assert_eq!(refused.status, 429);
    assert!(refused.header("Retry-After").is_some());
    assert_eq!(eve.post("/register", &fields(PASSWORD)).status, 429, "before it is judged");
    let mut bob = Browser::new(&app).at("203.0.113.1");
    assert_eq!(bob.post("/register", &fields("short")).status, 422, "another network");

    let weak = [("current_password", PASSWORD), ("password", "short"), ("confirm", "short")];
    for n in 1..=60 {
        assert_eq!(ada.post("/password", &weak).status, 422, "refused change {n}");
    }
    assert_eq!(ada.post("/password", &weak).status, 429);
    let mut elsewhere = Browser::new(&app).at("203.0.113.1");
    elsewhere.jar = ada.jar;
    assert_eq!(elsewhere.post("/password", &NEW_PASSWORD).status, 303);
}

#[test]
fn forms_that_are_right_are_not_counted_as_refused() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", "ada@example.org");
    let [old, new] = [PASSWORD, NEW_PASSWORD[1].1];
    for n in 0..70 {
        let (from, to) = if n % 2 == 0 { (old, new) } else { (new, old) };
        let fields = [("current_password", from), ("password", to), ("confirm", to)];
        assert_eq!(ada.post("/password", &fields).status, 303, "change {n}");
    }
}

#[test]
fn who_waits_ten_seconds_for_a_hash_is_told_to_come_back_and_all_before_are_served() {
    // So slow, and so many, that a machine twice as fast is busy for longer than they wait.
    let (cost, ip) = (15, IpAddr::from(Ipv4Addr::LOCALHOST));
    let jobs = 20 * thread::available_parallelism().unwrap().get();
    let passwords = Passwords::new(cost, 8).unwrap();
    let begun = Instant::now();
    let ends = thread::scope(|scope| {
        let hash = || (passwords.hash(ip, &Password::typed(PASSWORD)).is_ok(), begun.elapsed());
        let all: Vec<_> = (0..jobs).map(|_| scope.spawn(hash)).collect();
        all.into_iter().map(|job| job.join().unwrap()).collect::<Vec<_>>()
    });
    let (served, refused): (Vec<_>, Vec<_>) = ends.into_iter().partition(|(is_ok, _)| *is_ok);
    assert!(!served.is_empty() && !refused.is_empty(), "served: {} of {jobs}", served.len());
    assert!(refused.iter().all(|(_, after)| *after >= Duration::from_secs(10)), "{refused:?}");
    assert!(passwords.hash(ip, &Password::typed(PASSWORD)).is_ok(), "and then all is as before");
}

#[test]
fn a_page_waits_for_no_login() {
    let site = Site::with(|config| config.bcrypt_cost = 9);
    let app = handler(&site.app);
    let answered = beside(eight_accounts(&site), || {
        assert_eq!(Browser::new(&app).get("/").status, 200);
    });
    assert!(answered <= a_few(), "{answered} logins were answered before one page");
}
