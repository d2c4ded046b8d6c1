//! Where sessions are made, how long they last, and where they die.

use std::thread::{self, sleep};
use std::time::Duration;

use crate::support::browser::Browser;
use crate::support::site::{NAME, NEW_PASSWORD, PASSWORD, Site, handler, is_in, log_in, register};
use crate::support::until;

fn remember(browser: &mut Browser, email: &str) {
    let form = browser.get("/login").form("/login");
    let typed =
        [("Email", email), ("Password", PASSWORD), ("Keep me logged in for 30 days", "yes")];
    assert_eq!(browser.submit(form, &typed).status, 303);
}

#[test]
fn asvs_7_2_4_a_login_replaces_the_session_id_and_the_old_one_is_dead() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", "ada@example.org");
    let first = ada.jar[NAME].clone();
    ada.post("/login", &[("email", "ada@example.org"), ("password", PASSWORD)]);
    assert_ne!(ada.jar[NAME], first);
    let mut thief = Browser::new(&app);
    thief.jar.insert(NAME.to_owned(), first);
    assert!(is_in(&mut ada) && !is_in(&mut thief));
}

#[test]
fn asvs_7_2_1_and_7_2_4_an_id_that_the_server_did_not_issue_is_never_adopted() {
    let site = Site::new();
    let app = handler(&site.app);
    register(&mut Browser::new(&app), "Ada", "ada@example.org");
    for planted in ["0".repeat(64), "x".to_owned(), "'; DROP TABLE sessions; --".to_owned()] {
        let mut victim = Browser::new(&app);
        victim.jar.insert(NAME.to_owned(), planted.clone());
        assert!(!is_in(&mut victim));
        assert_ne!(victim.jar[NAME], planted, "the flash came with an id of ours");
        victim.jar.insert(NAME.to_owned(), planted.clone());
        victim.post("/login", &[("email", "ada@example.org"), ("password", PASSWORD)]);
        assert_ne!(victim.jar[NAME], planted);
        let mut attacker = Browser::new(&app);
        attacker.jar.insert(NAME.to_owned(), planted);
        assert!(is_in(&mut victim) && !is_in(&mut attacker));
    }
}

#[test]
fn asvs_7_2_2_and_7_2_3_ids_have_256_bits_and_no_two_are_alike() {
    let site = Site::new();
    let app = handler(&site.app);
    let ids = [(); 5].map(|()| {
        let page = Browser::new(&app).get("/secret");
        let cookie = page.header("Set-Cookie").unwrap();
        cookie.strip_prefix("doorward=").unwrap().split(';').next().unwrap().to_owned()
    });
    for id in &ids {
        assert!(id.len() == 64 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
        // Nor is any part of one found in another.
        let quarters = (0..64).step_by(16).map(|n| &id[n..n + 16]);
        for quarter in quarters {
            let found: usize = ids.iter().map(|id| id.matches(quarter).count()).sum();
            assert_eq!(found, 1, "{ids:?}");
        }
    }
}

#[test]
fn asvs_7_4_1_a_logged_out_id_is_a_strangers_here_and_within_a_second_everywhere() {
    let site = Site::new();
    let app = handler(&site.app);
    let twin = site.twin();
    let twin = handler(&twin);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", "ada@example.org");
    let mut replay = Browser::new(&app);
    replay.jar = ada.jar.clone();
    let mut elsewhere = Browser::new(&twin);
    elsewhere.jar = ada.jar.clone();
    assert!(is_in(&mut elsewhere), "another process finds the session in the table");
    ada.post("/logout", &[]);
    assert!(!is_in(&mut replay));
    replay.jar = elsewhere.jar.clone();
    sleep(Duration::from_millis(1_050));
    assert!(!is_in(&mut elsewhere));
}

#[test]
fn a_restart_logs_nobody_out() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", "ada@example.org");
    let restarted = site.twin();
    let app = handler(&restarted);
    let mut later = Browser::new(&app);
    later.jar = ada.jar;
    assert!(is_in(&mut later));
}

#[test]
fn however_many_requests_ask_at_once_one_query_answers_them_all() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", "ada@example.org");
    sleep(Duration::from_millis(1_050));
    let mut client = site.sql();
    let mut table = client.transaction().unwrap();
    table.batch_execute("LOCK TABLE sessions").unwrap();
    thread::scope(|scope| {
        let ask = || {
            let mut tab = Browser::new(&app);
            tab.jar = ada.jar.clone();
            tab.get("/auth").status
        };
        let tabs = [(); 50].map(|()| scope.spawn(ask));
        until(|| site.waiting() > 0);
        // If more of them asked, they would by now; on a busy machine, later.
        sleep(Duration::from_millis(500));
        assert_eq!(site.waiting(), 1);
        table.rollback().unwrap();
        assert_eq!(tabs.map(|tab| tab.join().unwrap()), [200; 50]);
    });
}

#[test]
fn asvs_7_4_2_a_deleted_user_is_a_stranger_within_a_second() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", "ada@example.org");
    site.sql().batch_execute("DELETE FROM users").unwrap();
    sleep(Duration::from_millis(1_050));
    assert!(!is_in(&mut ada));
    assert_eq!(site.count("SELECT count(*) FROM sessions"), 0);
}

#[test]
fn a_changed_name_is_seen_within_a_second() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", "ada@example.org");
    site.sql().batch_execute("UPDATE users SET first_name = 'Augusta'").unwrap();
    sleep(Duration::from_millis(1_050));
    assert_eq!(ada.get("/secret").texts("h1"), ["Hello, Augusta Lovelace!"]);
}

/// Lets time pass: every session becomes older by that, and every process has asked once more.
fn pass(site: &Site, time: &str) {
    let sql = format!(
        "UPDATE sessions
         SET created_at = created_at - INTERVAL '{time}',
             last_seen_at = last_seen_at - INTERVAL '{time}',
             expires_at = expires_at - INTERVAL '{time}'"
    );
    site.sql().batch_execute(&sql).unwrap();
    sleep(Duration::from_millis(1_050));
}

#[test]
fn asvs_7_3_1_an_idle_session_ends_and_a_used_one_does_not() {
    let site = Site::new();
    let app = handler(&site.app);
    let (mut busy, mut idle, mut remembered) =
        (Browser::new(&app), Browser::new(&app), Browser::new(&app));
    register(&mut busy, "Ada", "ada@example.org");
    log_in(&mut idle, "ada@example.org", PASSWORD);
    remember(&mut remembered, "ada@example.org");
    for _ in 0..2 {
        pass(&site, "90 minutes");
        assert!(is_in(&mut busy), "each click starts the time anew");
    }
    assert!(!is_in(&mut idle));
    assert!(!is_in(&mut idle), "asking for it did not revive it");
    assert!(is_in(&mut remembered), "which has a longer time");
}

#[test]
fn asvs_7_3_2_no_click_stretches_the_lifetime() {
    let site = Site::new();
    let app = handler(&site.app);
    let (mut ada, mut remembered) = (Browser::new(&app), Browser::new(&app));
    register(&mut ada, "Ada", "ada@example.org");
    remember(&mut remembered, "ada@example.org");
    for n in 1..=7 {
        pass(&site, "105 minutes");
        assert_eq!(is_in(&mut ada), n < 7, "after {n} times 105 minutes of 12 hours");
        assert!(is_in(&mut remembered));
    }
    for days in [17, 12] {
        pass(&site, &format!("{days} days"));
        assert!(is_in(&mut remembered));
    }
    pass(&site, "1 day");
    assert!(!is_in(&mut remembered));
}

#[test]
fn remember_me_gives_the_cookie_thirty_days_and_without_it_it_goes_with_the_browser() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", "ada@example.org");
    let plain = [("email", "ada@example.org"), ("password", PASSWORD)];
    let cookie =
        |page: &crate::support::browser::Page| page.header("Set-Cookie").unwrap().to_owned();
    assert!(!cookie(&ada.post("/login", &plain)).contains("Max-Age"));
    let ticked = [&plain[..], &[("remember", "yes")]].concat();
    assert!(cookie(&ada.post("/login", &ticked)).contains("; Max-Age=2592000"));
    let changed = cookie(&ada.post("/password", &NEW_PASSWORD));
    assert!(changed.contains("; Max-Age=2592000"), "a new password does not forget it");
}

#[test]
fn asvs_7_5_2_users_see_their_sessions_and_end_them() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    ada.headers.push((
        "User-Agent".to_owned(),
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned(),
    ));
    register(&mut ada, "Ada", "ada@example.org");
    let mut others: Vec<_> =
        (1..=3).map(|n| Browser::new(&app).at(&format!("192.0.2.{n}"))).collect();
    for other in &mut others {
        assert_eq!(log_in(other, "ada@example.org", PASSWORD).status, 303);
    }

    let page = ada.get("/secret");
    assert_eq!(page.texts(".sessions > li").len(), 4);
    let this = page.texts(".sessions > li:has(.this)");
    assert!(this[0].contains("Firefox on Linux") && this[0].contains("203.0.113.7"), "{this:?}");
    assert_eq!(page.attributes(".sessions time", "datetime").len(), 8);

    let ends = page.attributes(".sessions button[name=session]", "value");
    assert_eq!(ends.len(), 3, "one for each other session");
    let done = ada.post("/sessions/end", &[("session", &ends[0])]);
    assert_eq!(ada.follow(done).texts("[role=status]"), ["That browser was logged out."]);
    assert_eq!(others.iter_mut().filter_map(|other| is_in(other).then_some(())).count(), 2);
    let again = ada.post("/sessions/end", &[("session", &ends[0])]);
    assert_eq!(ada.follow(again).texts("[role=alert]"), ["That browser was logged out already."]);

    let form = ada.get("/secret").form_with("/sessions/end", "Log out all others");
    ada.submit(form, &[]);
    assert!(others.iter_mut().all(|other| !is_in(other)));
    assert_eq!(ada.get("/secret").texts(".sessions > li").len(), 1);
    assert_eq!(ada.post("/sessions/end", &[("session", "x")]).status, 400);
}

#[test]
fn asvs_8_2_2_nobody_ends_another_users_session() {
    let site = Site::new();
    let app = handler(&site.app);
    let (mut ada, mut eve) = (Browser::new(&app), Browser::new(&app));
    register(&mut ada, "Ada", "ada@example.org");
    register(&mut eve, "Eve", "eve@example.org");
    let own = "SELECT number FROM sessions JOIN users USING (uid) WHERE first_name = 'Ada'";
    let number = site.count(own).to_string();
    let done = eve.post("/sessions/end", &[("session", &number)]);
    assert_eq!(eve.follow(done).texts("[role=alert]"), ["That browser was logged out already."]);
    eve.post("/sessions/end", &[("session", "others")]);
    sleep(Duration::from_millis(1_050));
    assert!(is_in(&mut ada) && is_in(&mut eve));
}

#[test]
fn a_flood_of_strangers_from_one_network_pushes_out_its_own_and_nobody_else() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", "ada@example.org");
    let mut elsewhere = Browser::new(&app).at("192.0.2.1");
    elsewhere.get("/secret");
    let (mut first, mut last) = (Browser::new(&app), Browser::new(&app));
    first.get("/secret");
    for _ in 0..12_000 {
        Browser::new(&app).get("/secret");
    }
    last.get("/secret");
    assert!(first.get("/login").texts(".flash").is_empty());
    assert_eq!(last.get("/login").texts(".flash").len(), 1);
    assert_eq!(elsewhere.get("/login").texts(".flash").len(), 1);
    assert!(is_in(&mut ada));
}

#[test]
fn a_flood_of_strangers_from_everywhere_pushes_out_the_oldest_and_no_login() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", "ada@example.org");
    let mut first = Browser::new(&app).at("192.0.2.1");
    first.get("/secret");
    for n in 0..10_000 {
        Browser::new(&app).at(&format!("10.0.{}.{}", n / 250, n % 250)).get("/secret");
    }
    let mut last = Browser::new(&app).at("192.0.2.2");
    last.get("/secret");
    assert!(first.get("/login").texts(".flash").is_empty());
    assert_eq!(last.get("/login").texts(".flash").len(), 1);
    assert!(is_in(&mut ada));
}
