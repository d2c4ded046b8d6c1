//! Who has tried too often, and how many passwords are hashed at once.

use std::net::Ipv4Addr;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use doorward::App;
use doorward::accounts::passwords::Password;
use doorward::accounts::throttle::Throttle;

use crate::support::browser::{Browser, Page};
use crate::support::site::{PASSWORD, Site, handler, log_in, register};
use crate::support::until;

fn fail(browser: &mut Browser, email: &str) -> Page {
    browser.post("/login", &[("email", email), ("password", "a guess")])
}

#[test]
fn asvs_6_3_1_and_2_4_1_the_eleventh_wrong_try_is_429_and_others_are_unaffected() {
    let site = Site::new();
    let app = handler(&site.app);
    register(&mut Browser::new(&app), "Ada", "ada@example.org");
    let mut eve = Browser::new(&app).at("198.51.100.1");
    for n in 1..=10 {
        assert_eq!(fail(&mut eve, "Ada@example.org").status, 401, "try {n}");
    }
    let throttled = fail(&mut eve, "ada@EXAMPLE.org");
    assert_eq!(throttled.status, 429);
    let wait: u64 = throttled.header("Retry-After").unwrap().parse().unwrap();
    assert!((1..=91).contains(&wait), "{wait} s");
    assert!(throttled.text().contains("Come back in"));
    assert_eq!(log_in(&mut eve, "ada@example.org", PASSWORD).status, 429, "even the right one");
    assert_eq!(fail(&mut eve, "bob@example.org").status, 401, "another account");
    let mut ada = Browser::new(&app).at("192.0.2.1");
    assert_eq!(log_in(&mut ada, "ada@example.org", PASSWORD).status, 303, "the owner elsewhere");
}

#[test]
fn unknown_emails_are_throttled_just_like_known_ones() {
    let site = Site::new();
    let app = handler(&site.app);
    register(&mut Browser::new(&app), "Ada", "ada@example.org");
    let tries = |email: &str, from: &str| -> Vec<(u16, String)> {
        let mut eve = Browser::new(&app).at(from);
        let page = |page: Page| (page.status, page.text().replace(email, ""));
        (0..12).map(|_| page(fail(&mut eve, email))).collect()
    };
    let (known, unknown) =
        (tries("ada@example.org", "198.51.100.1"), tries("bob@example.org", "198.51.100.2"));
    assert_eq!(known[..10], unknown[..10]);
    assert_eq!((known[11].0, unknown[11].0), (429, 429));
}

#[test]
fn a_success_clears_the_count_of_its_email_and_costs_the_network_nothing() {
    let site = Site::new();
    let app = handler(&site.app);
    register(&mut Browser::new(&app), "Ada", "ada@example.org");
    let mut ada = Browser::new(&app);
    for _ in 0..8 {
        for _ in 0..6 {
            assert_eq!(
                fail(&mut Browser::new(&app).at("192.0.2.8"), "ada@example.org").status,
                401
            );
        }
        let right = [("email", "ada@example.org"), ("password", PASSWORD)];
        assert_eq!(Browser::new(&app).at("192.0.2.8").post("/login", &right).status, 303);
    }
    for _ in 0..60 {
        let right = [("email", "ada@example.org"), ("password", PASSWORD)];
        assert_eq!(ada.post("/login", &right).status, 303);
    }
}

#[test]
fn fifty_wrong_tries_are_all_that_a_network_has_and_a_64_is_one_network() {
    let site = Site::new();
    let app = handler(&site.app);
    for n in 0..50 {
        let mut eve = Browser::new(&app).at(&format!("2001:db8:0:7::{n:x}"));
        assert_eq!(fail(&mut eve, &format!("{n}@example.org")).status, 401, "{n}");
    }
    let next = |from: &str| fail(&mut Browser::new(&app).at(from), "next@example.org").status;
    assert_eq!(next("2001:db8:0:7:ffff::1"), 429);
    assert_eq!(next("2001:db8:0:8::1"), 401);
    assert_eq!(next("192.0.2.1"), 401);
    assert_eq!(next("::ffff:192.0.2.1"), 401, "the same as the one above, and not of a /64");
}

#[test]
fn registrations_are_twenty_an_hour_for_a_network() {
    let site = Site::new();
    let app = handler(&site.app);
    for n in 0..20 {
        register(&mut Browser::new(&app), "Ada", &format!("{n}@example.org"));
    }
    let fields = [
        ("first_name", "Ada"),
        ("last_name", "Lovelace"),
        ("email", "21@example.org"),
        ("password", PASSWORD),
        ("confirm", PASSWORD),
    ];
    let page = Browser::new(&app).post("/register", &fields);
    assert_eq!(page.status, 429);
    assert!(page.header("Retry-After").is_some());
    assert_eq!(Browser::new(&app).at("192.0.2.1").post("/register", &fields).status, 303);
}

#[test]
fn tries_at_the_same_moment_count_like_tries_one_after_another() {
    let throttle = Throttle::default();
    let together = Barrier::new(20);
    let one_from_each_network = || {
        (0..10_000_u32).filter(|n| {
            together.wait();
            throttle.registration(Ipv4Addr::from(*n).into()).is_ok()
        })
    };
    let allowed: usize = thread::scope(|scope| {
        let threads = [(); 20].map(|()| scope.spawn(|| one_from_each_network().count()));
        threads.map(|thread| thread.join().unwrap()).iter().sum()
    });
    assert_eq!(allowed, 20 * 10_000);
}

#[test]
fn a_try_that_could_not_be_answered_does_not_count() {
    let site = Site::new();
    let app = handler(&site.app);
    register(&mut Browser::new(&app), "Ada", "ada@example.org");
    site.database().set_reachable(false);
    let mut ada = Browser::new(&app).at("192.0.2.1");
    for _ in 0..3 {
        assert_eq!(fail(&mut ada, "ada@example.org").status, 503);
    }
    site.database().set_reachable(true);
    let mut wrong = 0;
    until(|| {
        wrong += usize::from(fail(&mut ada, "ada@example.org").status == 401);
        wrong == 10
    });
    assert_eq!(fail(&mut ada, "ada@example.org").status, 429);
}

#[test]
fn asvs_6_3_8_an_unknown_email_takes_as_long_as_a_wrong_password() {
    // The cost of Ada's hash, of another member's, and of the server now.
    for (ada, bob, now) in [(9, 9, 9), (7, 8, 10), (10, 6, 8), (6, 10, 8)] {
        unknown_and_wrong_take_one_time(ada, bob, now);
    }
}

fn unknown_and_wrong_take_one_time(ada: u32, bob: u32, now: u32) {
    let site = Site::with(|config| config.bcrypt_cost = now);
    for (first_name, email, cost) in
        [("Ada", "ada@example.org", ada), ("Bob", "bob@example.org", bob)]
    {
        let mut config = crate::support::site::config(&site.url);
        config.bcrypt_cost = cost;
        register(&mut Browser::new(&handler(&App::new(config).unwrap())), first_name, email);
    }
    let app = handler(&site.app);
    let time = |email: &str, n: u8| {
        let mut eve = Browser::new(&app).at(&format!("198.51.{n}.1"));
        let begun = Instant::now();
        assert_eq!(fail(&mut eve, email).status, 401);
        begun.elapsed().as_secs_f64()
    };
    // In turn, so that whatever else the machine does falls on both alike, and until the fastest of
    // each, on which it fell least, are alike. If one takes more work, they never are.
    let (mut known, mut unknown) = (f64::MAX, f64::MAX);
    let are_alike = (0..100).any(|n| {
        known = known.min(time("ada@example.org", n));
        unknown = unknown.min(time("eve@example.org", n));
        n >= 10 && (0.8..1.25).contains(&(known / unknown))
    });
    let costs = format!("hashes of cost {ada} and {bob}, server at {now}");
    assert!(are_alike, "{costs}: {known} s against {unknown} s");
}

#[test]
fn no_password_takes_long_to_judge() {
    let fastest = |work: &dyn Fn()| {
        let times = (0..5).map(|_| {
            let begun = Instant::now();
            work();
            begun.elapsed()
        });
        times.min().unwrap()
    };
    // Each sign may stand for a letter, so there is much to try; and there are many words to try.
    let signs = "a4@b8c({[<e3g69i1!|l7+t0os$5x%z2".repeat(3);
    let names: String = (10_000..19_000).map(|n: u32| n.to_string() + " ").collect();
    let usual = fastest(&|| drop(Password::typed(&signs[..24]).weakness(["", "", ""], 8)));
    let longest = fastest(&|| drop(Password::typed(&signs[..71]).weakness([&names, "", ""], 8)));
    assert!(longest < 4 * usual, "{longest:?} against {usual:?}");
}
