//! What happens when a password changes, and what else is under way then.

use std::thread;

use crate::support::browser::Browser;
use crate::support::site::{NAME, is_in};
use crate::support::site::{NEW_PASSWORD, PASSWORD, Site, handler, log_in, register};
use crate::support::until;

#[test]
fn asvs_6_2_2_6_2_3_and_7_4_3_a_new_password_needs_the_old_one_and_ends_every_other_session() {
    let site = Site::new();
    let app = handler(&site.app);
    let (mut ada, mut other) = (Browser::new(&app), Browser::new(&app));
    register(&mut ada, "Ada", "ada@example.org");
    log_in(&mut other, "ada@example.org", PASSWORD);
    let old = ada.jar[NAME].clone();
    let [_, (_, new), _] = NEW_PASSWORD;
    let mut change = |current: &str, password: &str, confirm: &str| {
        let form = ada.get("/secret").form("/password");
        let typed = [
            ("Current password", current),
            ("New password", password),
            ("New password again", confirm),
        ];
        ada.submit(form, &typed)
    };
    let wrong = change("wrong", new, new);
    assert_eq!(wrong.status, 422);
    assert_eq!(wrong.texts("#current_password-error"), ["That is not your current password."]);
    let weak = change(PASSWORD, "lovelace1", "lovelace1");
    assert_eq!((weak.status, weak.texts("#password-error").len()), (422, 1));
    let unlike = change(PASSWORD, new, "kestrel 55 obelisk mangO");
    assert_eq!((unlike.status, unlike.texts("#confirm-error").len()), (422, 1));
    assert!(is_in(&mut other), "nothing has changed so far");

    assert_eq!(change(PASSWORD, new, new).location(), "/secret");
    assert!(!is_in(&mut other));
    let page = ada.get("/secret");
    assert!(page.texts("[role=status]")[0].starts_with("Your password was changed."));
    assert_ne!(ada.jar[NAME], old);
    let mut thief = Browser::new(&app);
    thief.jar.insert(NAME.to_owned(), old);
    assert!(!is_in(&mut thief));
    assert_eq!(log_in(&mut Browser::new(&app), "ada@example.org", PASSWORD).status, 401);
    assert_eq!(log_in(&mut Browser::new(&app), "ada@example.org", new).status, 303);
}

#[test]
fn a_hash_of_lower_cost_is_replaced_at_the_next_login() {
    let site = Site::new();
    register(&mut Browser::new(&handler(&site.app)), "Ada", "ada@example.org");
    let cost =
        || -> String { site.sql().query_one("SELECT pwdhash FROM users", &[]).unwrap().get(0) };
    assert!(cost().starts_with("$2b$04$"));
    let mut config = crate::support::site::config(&site.url);
    config.bcrypt_cost = 5;
    let costlier = doorward::App::new(config).unwrap();
    let app = handler(&costlier);
    assert_eq!(log_in(&mut Browser::new(&app), "ada@example.org", "wrong").status, 401);
    assert!(cost().starts_with("$2b$04$"));
    assert_eq!(log_in(&mut Browser::new(&app), "ada@example.org", PASSWORD).status, 303);
    assert!(cost().starts_with("$2b$05$"));
    assert_eq!(log_in(&mut Browser::new(&app), "ada@example.org", PASSWORD).status, 303);
}

#[test]
fn a_hash_of_higher_cost_is_replaced_at_the_next_login_too() {
    let site = Site::with(|config| config.bcrypt_cost = 6);
    register(&mut Browser::new(&handler(&site.app)), "Ada", "ada@example.org");
    let cheaper = site.twin();
    let app = handler(&cheaper);
    assert_eq!(log_in(&mut Browser::new(&app), "ada@example.org", PASSWORD).status, 303);
    assert_eq!(site.count("SELECT count(*) FROM users WHERE pwdhash LIKE '$2b$04$%'"), 1);
}

#[test]
fn of_simultaneous_logins_that_replace_a_hash_all_succeed() {
    let site = Site::with(|config| config.bcrypt_cost = 7);
    register(&mut Browser::new(&handler(&site.app)), "Ada", "ada@example.org");
    let other_cost = site.twin();
    let app = handler(&other_cost);
    let targets = thread::scope(|scope| {
        let log_in = || {
            let page = log_in(&mut Browser::new(&app), "ada@example.org", PASSWORD);
            page.location().to_owned()
        };
        let logins = [(); 6].map(|()| scope.spawn(log_in));
        logins.map(|login| login.join().unwrap())
    });
    assert_eq!(targets, ["/secret"; 6]);
}

/// Where a form leads that is sent while `meanwhile` is done in a transaction, which ends when the
/// form has to wait for it.
fn overtaken(site: &Site, meanwhile: &str, path: &str, fields: &[(&str, &str)]) -> String {
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", "ada@example.org");
    let mut client = site.sql();
    thread::scope(|scope| {
        let mut transaction = client.transaction().unwrap();
        transaction.batch_execute(meanwhile).unwrap();
        let form = scope.spawn(|| {
            let mut ada_too = Browser::new(&app);
            ada_too.jar = ada.jar.clone();
            ada_too.post(path, fields).location().to_owned()
        });
        until(|| site.waiting() == 1);
        transaction.commit().unwrap();
        form.join().unwrap()
    })
}

#[test]
fn asvs_7_4_3_what_began_with_the_old_password_comes_too_late() {
    let another = "'$2b$04$' || repeat('.', 53)";
    let change = format!("UPDATE users SET pwdhash = {another}");
    for (path, fields) in [
        ("/login", &[("email", "ada@example.org"), ("password", PASSWORD)][..]),
        ("/password", &NEW_PASSWORD),
    ] {
        let site = Site::new();
        assert_eq!(overtaken(&site, &change, path, fields), "/login");
        assert_eq!(site.count(&format!("SELECT count(*) FROM users WHERE pwdhash = {another}")), 1);
        assert_eq!(site.count("SELECT count(*) FROM sessions WHERE number > 1"), 0, "no new one");
        assert_eq!(site.count("SELECT count(*) FROM sessions"), 1, "and the old one stays");
    }
}

#[test]
fn asvs_7_4_2_a_login_of_a_user_who_is_disabled_meanwhile_comes_too_late() {
    let site = Site::new();
    let login = [("email", "ada@example.org"), ("password", PASSWORD)];
    let disable = "UPDATE users SET disabled_at = now()";
    assert_eq!(overtaken(&site, disable, "/login", &login), "/login");
    assert_eq!(site.count("SELECT count(*) FROM sessions WHERE number > 1"), 0);
}

#[test]
fn a_second_click_on_the_button_gets_what_the_first_one_got() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", "ada@example.org");
    let mut client = site.sql();
    thread::scope(|scope| {
        let mut transaction = client.transaction().unwrap();
        transaction.batch_execute("SELECT FROM users FOR UPDATE").unwrap();
        let click = || {
            let mut tab = Browser::new(&app);
            tab.jar = ada.jar.clone();
            let done = tab.post("/password", &NEW_PASSWORD);
            (done.location().to_owned(), tab.follow(done).texts("[role=status]"))
        };
        let clicks = [scope.spawn(click), scope.spawn(click)];
        until(|| site.waiting() == 2);
        transaction.commit().unwrap();
        for click in clicks {
            let (to, told) = click.join().unwrap();
            assert_eq!(to, "/secret");
            assert!(told[0].starts_with("Your password was changed."), "{told:?}");
        }
    });
}

#[test]
fn asvs_7_4_3_a_new_password_ends_a_login_that_was_under_way() {
    let login = "INSERT INTO sessions (id_hash, uid, expires_at, remembered, user_agent, ip)
        SELECT sha256(''), uid, now() + INTERVAL '1 day', true, '', '::1' FROM users FOR SHARE";
    let site = Site::new();
    assert_eq!(overtaken(&site, login, "/password", &NEW_PASSWORD), "/secret");
    assert_eq!(site.count("SELECT count(*) FROM sessions"), 1);
    assert_eq!(site.count("SELECT count(*) FROM sessions WHERE id_hash = sha256('')"), 0);
}
