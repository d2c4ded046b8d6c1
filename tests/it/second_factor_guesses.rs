//! Codes that are used twice, guessed, or early and late; and what the log says of them.

use std::thread;

use super::fail2ban::to_ban;
use super::second_factor::{ADA, first_step, forget_step, send_code, with_second_factor};
use crate::support::browser::Browser;
use crate::support::log::{record, recorded};
use crate::support::programs::Folder;
use crate::support::site::{Site, handler, is_in};
use crate::support::totp::seconds_of_step;
use crate::support::until;

/// How many of 20 browsers a code lets in, half of them on another process, at once.
fn let_in(site: &Site, code: &str) -> usize {
    let twin = site.twin();
    // Each is asked for the code before anybody sends it.
    let ask = |n: usize| {
        let app = if n.is_multiple_of(2) { &site.app } else { &twin };
        let handler = handler(app);
        let mut browser = Browser::new(&handler);
        first_step(&mut browser);
        (app, browser.jar)
    };
    let asked: Vec<_> = (0..20).map(ask).collect();
    thread::scope(|scope| {
        let sent = asked.into_iter().map(|(app, jar)| {
            scope.spawn(|| {
                let handler = handler(app);
                let mut browser = Browser::new(&handler);
                browser.jar = jar;
                send_code(&mut browser, code);
                is_in(&mut browser)
            })
        });
        let sent: Vec<_> = sent.collect();
        sent.into_iter().map(|sent| sent.join().unwrap()).filter(|is_in| *is_in).count()
    })
}

#[test]
fn asvs_6_5_1_each_code_and_each_recovery_code_works_once_20_at_once_on_two_processes() {
    let site = Site::new();
    let app = handler(&site.app);
    let (_, factor) = with_second_factor(&app, ADA);
    forget_step(&site);
    let code = factor.app.code();
    assert_eq!(let_in(&site, &code), 1);
    let recovery_code = &factor.recovery_codes[4];
    assert_eq!(let_in(&site, recovery_code), 1);
    for used in [&code, recovery_code] {
        let mut late = Browser::new(&app);
        first_step(&mut late);
        assert_ne!(send_code(&mut late, used).status, 303);
    }
    assert_eq!(site.count("SELECT cardinality(recovery_codes)::INT8 FROM users"), 9);
}

#[test]
fn a_second_click_with_a_code_leaves_the_login_of_the_first_one() {
    let site = Site::new();
    let app = handler(&site.app);
    let (_, factor) = with_second_factor(&app, ADA);
    forget_step(&site);
    let mut ada = Browser::new(&app);
    first_step(&mut ada);
    let mut second_click = Browser::new(&app);
    second_click.jar = ada.jar.clone();
    assert_eq!(send_code(&mut ada, &factor.app.code()).location(), "/secret");
    let second = send_code(&mut second_click, &factor.app.code());
    assert_eq!((second.location(), second.header("Set-Cookie")), ("/login", None));
    assert_eq!(ada.follow(second).texts("h1"), ["Hello, Ada Lovelace!"]);
}

#[test]
fn asvs_6_5_1_and_6_5_5_codes_one_step_off_work_once_and_codes_two_steps_off_do_not() {
    let site = Site::new();
    let app = handler(&site.app);
    let (_, factor) = with_second_factor(&app, ADA);
    until(|| seconds_of_step() < 20);
    for (steps, works) in
        [(-2, false), (-1, true), (0, true), (0, false), (2, false), (1, true), (0, false)]
    {
        if steps == -2 {
            forget_step(&site);
        }
        let mut ada = Browser::new(&app);
        first_step(&mut ada);
        let status = send_code(&mut ada, &factor.app.code_in(steps)).status;
        assert_eq!(status, if works { 303 } else { 401 }, "{steps}");
    }
}

#[test]
fn asvs_6_3_1_five_wrong_codes_from_anywhere_are_the_last_for_a_quarter_of_an_hour() {
    let site = Site::new();
    let app = handler(&site.app);
    let (_, factor) = with_second_factor(&app, ADA);
    forget_step(&site);
    for n in 1..=5 {
        let mut eve = Browser::new(&app).at(&format!("198.51.100.{n}"));
        first_step(&mut eve);
        assert_eq!(send_code(&mut eve, &factor.app.wrong_code()).status, 401);
    }
    let mut ada = Browser::new(&app);
    first_step(&mut ada);
    let refused = send_code(&mut ada, &factor.app.code());
    assert_eq!(refused.status, 429, "the right one, too");
    let wait: u64 = refused.header("Retry-After").unwrap().parse().unwrap();
    assert!((1..=180).contains(&wait), "{wait}");
    assert!(refused.texts("[role=alert]")[0].contains("Come back in"));
    assert!(!is_in(&mut ada));

    for _ in 0..20 {
        let guess = "AAAAAA-AAAAAA-AAAAAA-AAAAAA";
        assert_eq!(send_code(&mut ada, guess).status, 401, "recovery codes are not counted");
    }
    assert_eq!(send_code(&mut ada, &factor.recovery_codes[0]).location(), "/secret");
    assert!(is_in(&mut ada), "nobody can keep the owner out");
}

#[test]
fn right_codes_are_no_wrong_ones_and_the_codes_of_others_are_not_counted() {
    let site = Site::new();
    let app = handler(&site.app);
    let (_, factor) = with_second_factor(&app, ADA);
    let (_, of_bob) = with_second_factor(&app, "bob@example.org");
    for _ in 0..8 {
        forget_step(&site);
        let mut ada = Browser::new(&app);
        first_step(&mut ada);
        assert_eq!(send_code(&mut ada, &factor.app.code()).location(), "/secret");
    }
    let mut ada = Browser::new(&app);
    first_step(&mut ada);
    for code in [of_bob.app.code(), of_bob.recovery_codes[0].clone(), "12345".to_owned()] {
        assert_eq!(send_code(&mut ada, &code).status, 401);
    }
}

#[test]
fn asvs_16_3_1_each_event_of_the_second_factor_is_one_line_without_a_code() {
    let site = Site::new();
    let app = handler(&site.app);
    let who = "address=203.0.113.7 email=\"ada@example.org\"";
    let mut all = Vec::new();
    let mut events = || {
        let mut lines = recorded();
        all.extend(lines.clone());
        lines.retain(|line| line.starts_with("event="));
        lines
    };
    record();
    let (mut ada, factor) = with_second_factor(&app, ADA);
    assert_eq!(events()[1..], [format!("event=second-factor-on {who}")]);
    first_step(&mut ada);
    let wrong = factor.app.wrong_code();
    send_code(&mut ada, &wrong);
    assert_eq!(events(), [format!("event=second-factor-failed {who}")]);
    let used_code = factor.recovery_codes[0].clone();
    send_code(&mut ada, &used_code);
    let used = [format!("event=recovery-code-used {who}"), format!("event=login {who}")];
    assert_eq!(events(), used);
    ada.post("/second-factor/off", &[]);
    assert_eq!(events(), [format!("event=second-factor-off {who}")]);
    ada.post("/second-factor/off", &[]);
    assert_eq!(events(), [""; 0], "it was off");

    let (mut bob, factor) = with_second_factor(&app, "bob@example.org");
    bob.post(
        "/login",
        &[("email", "bob@example.org"), ("password", crate::support::site::PASSWORD)],
    );
    for _ in 0..6 {
        send_code(&mut bob, &factor.app.wrong_code());
    }
    let who = "address=203.0.113.7 email=\"bob@example.org\"";
    assert_eq!(events().last().unwrap(), &format!("event=second-factor-throttled {who}"));
    for line in all {
        assert!(!line.contains(&wrong) && !line.contains(&used_code), "{line}");
    }
}

#[test]
fn fail2ban_counts_wrong_codes_beside_wrong_passwords() {
    let line =
        |event| format!("INFO event={event} address=198.51.100.1 email=\"ada@example.org\"\n");
    let log = ["second-factor-failed", "second-factor-throttled", "second-factor-off"].map(line);
    assert_eq!(to_ban(&Folder::new(), &log.concat()), ["198.51.100.1"; 2]);
}
