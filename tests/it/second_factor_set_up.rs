//! What can go wrong while a second factor is set up.

use crate::second_factor::{ADA, begin, confirm};
use crate::support::browser::Browser;
use crate::support::site::{PASSWORD, Site, handler, is_in, log_in, register};
use crate::support::until;

#[test]
fn a_set_up_that_is_cancelled_in_one_tab_stays_on_if_another_tab_has_turned_it_on() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", ADA);
    let (page, authenticator) = begin(&mut ada);
    confirm(&mut ada, &page, &authenticator);
    ada.submit(page.form("/second-factor/off"), &[]);
    assert_eq!(site.count("SELECT count(*) FROM users WHERE totp_key IS NOT NULL"), 1);
}

#[test]
fn new_recovery_codes_wait_until_a_page_shows_them() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", ADA);
    let (page, authenticator) = begin(&mut ada);
    confirm(&mut ada, &page, &authenticator);
    let mut sql = site.sql();
    let mut lock = sql.transaction().unwrap();
    lock.batch_execute("LOCK TABLE sessions").unwrap();
    assert_eq!(ada.get("/secret").status, 503);
    lock.rollback().unwrap();
    until(|| ada.get("/secret").texts("pre").len() == 1);
}

#[test]
fn asvs_7_4_1_a_session_that_was_just_ended_turns_no_second_factor_on() {
    let site = Site::new();
    let app = handler(&site.app);
    let (mut thief, mut ada) = (Browser::new(&app), Browser::new(&app));
    register(&mut thief, "Ada", ADA);
    let (page, authenticator) = begin(&mut thief);
    // Another process ends it, which this one learns within a second.
    site.sql().batch_execute("DELETE FROM sessions").unwrap();
    log_in(&mut ada, ADA, PASSWORD);
    confirm(&mut thief, &page, &authenticator);
    assert_eq!(site.count("SELECT count(*) FROM users WHERE totp_key IS NOT NULL"), 0);
    assert!(is_in(&mut ada));
}
