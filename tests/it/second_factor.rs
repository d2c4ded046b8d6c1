//! The second factor: set-up, login in two steps, recovery codes, and what turns it off.

use crate::support::browser::{Browser, Handler, Page};
use crate::support::command::{link, user};
use crate::support::site::{NAME, NEW_PASSWORD, PASSWORD, Site, handler, is_in, log_in, register};
use crate::support::totp::App;
use crate::support::until;

pub const ADA: &str = "ada@example.org";

/// What a member has after the set-up.
pub struct Factor {
    pub app: App,
    pub recovery_codes: Vec<String>,
}

/// Begins the set-up: the page with the key, and the app that knows it.
pub fn begin(member: &mut Browser) -> (Page, App) {
    let page = member.get("/secret");
    let begun = member.submit(page.form("/second-factor/new"), &[]);
    assert_eq!(begun.location(), "/secret#second-factor");
    let page = member.follow(begun);
    let app = App::with_key(&page.texts("section code")[0]);
    (page, app)
}

/// Confirms the set-up on its page, with the code that the app shows.
pub fn confirm(member: &mut Browser, page: &Page, app: &App) -> Page {
    let form = page.form("/second-factor/confirm");
    member.submit(form, &[("Code from the app", &app.code())])
}

/// Sets a second factor up.
pub fn set_up(member: &mut Browser) -> Factor {
    let (page, app) = begin(member);
    let done = confirm(member, &page, &app);
    let page = member.follow(done);
    let recovery_codes: Vec<_> = page.texts("pre")[0].lines().map(str::to_owned).collect();
    Factor { app, recovery_codes }
}

/// Somebody who has registered and set a second factor up, in their browser.
pub fn with_second_factor<'a>(app: Handler<'a>, email: &str) -> (Browser<'a>, Factor) {
    let mut member = Browser::new(app);
    register(&mut member, "Ada", email);
    let factor = set_up(&mut member);
    (member, factor)
}

/// Forgets which code was used last, so that a test need not wait for the next.
pub fn forget_step(site: &Site) {
    site.sql().batch_execute("UPDATE users SET totp_step = 0 WHERE totp_key IS NOT NULL").unwrap();
}

pub fn send_code(browser: &mut Browser, code: &str) -> Page {
    browser.post("/login/code", &[("code", code)])
}

/// Types the right password, and is asked for the code.
pub fn first_step(browser: &mut Browser) {
    let asked = browser.post("/login", &[("email", ADA), ("password", PASSWORD)]);
    assert_eq!(asked.location(), "/login/code");
}

#[test]
fn asvs_6_3_3_a_login_needs_a_code_after_the_set_up() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", ADA);
    let mut other = Browser::new(&app);
    log_in(&mut other, ADA, PASSWORD);
    let factor = set_up(&mut ada);
    assert!(is_in(&mut ada) && !is_in(&mut other), "every other session ends");
    assert_eq!(factor.recovery_codes.len(), 10);

    first_step(&mut other);
    assert!(!is_in(&mut other));
    let page = other.get("/login/code");
    assert_eq!(page.attributes("input[name=code]", "autocomplete"), ["one-time-code"]);
    assert_eq!(page.attributes("input[name=code]", "inputmode"), ["numeric"]);
    assert_eq!(send_code(&mut other, &factor.app.code()).status, 401, "the set-up has used it up");
    let wrong = send_code(&mut other, &factor.app.wrong_code());
    assert_eq!((wrong.status, wrong.texts("[role=alert]").len()), (401, 1));
    assert!(wrong.texts("title")[0].starts_with("Error: Log in"));
    assert!(!is_in(&mut other));
    forget_step(&site);
    let typed = format!(" {}-{} ", &factor.app.code()[..3], &factor.app.code()[3..]);
    assert_eq!(
        other.submit(wrong.form("/login/code"), &[("Code from your app", &typed)]).location(),
        "/secret"
    );
    assert!(is_in(&mut other));
    assert_eq!(other.get("/login/code").location(), "/login", "nothing waits any more");
    register(&mut Browser::new(&app), "Bob", "bob@example.org");
    let mut shared = Browser::new(&app);
    first_step(&mut shared);
    log_in(&mut shared, "bob@example.org", PASSWORD);
    assert_eq!(shared.get("/login/code").location(), "/login", "nothing of another's login");
}

#[test]
fn the_set_up_shows_one_key_as_qr_code_and_as_text_until_a_right_code_turns_it_on() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", ADA);
    let (page, authenticator) = begin(&mut ada);
    let key = page.texts("section code")[0].clone();
    assert_eq!(key.split(' ').map(str::len).collect::<Vec<_>>(), [4; 8], "{key}");
    let url = &page.attributes("section a[href^='otpauth:']", "href")[0];
    let expected = format!(
        "otpauth://totp/doorward:ada%40example%2Eorg?secret={}&issuer=doorward",
        key.replace(' ', "")
    );
    assert_eq!(*url, expected);
    assert_eq!(page.attributes("svg", "role"), ["img"]);
    assert_eq!(page.attributes("svg", "aria-label"), ["QR code with the key below"]);
    assert!(!page.html().contains("style="), "the content security policy forbids it");

    let confirm =
        |ada: &mut Browser, code: &str| ada.post("/second-factor/confirm", &[("code", code)]);
    let wrong = confirm(&mut ada, &authenticator.wrong_code());
    assert_eq!(wrong.status, 422);
    assert_eq!(wrong.texts("#code-error").len(), 1);
    assert_eq!(wrong.texts("section code"), [key.as_str()], "the same key");
    assert_eq!(ada.post("/second-factor/new", &[]).status, 303);
    assert_eq!(ada.get("/secret").texts("section code"), [key], "a second click changes nothing");
    assert_eq!(site.count("SELECT count(totp_key) FROM users"), 0);

    let code = authenticator.code();
    assert_eq!(confirm(&mut ada, &code).location(), "/secret#second-factor");
    assert_eq!(confirm(&mut ada, &code).location(), "/secret#second-factor", "a second click");
    let head = ada.request("HEAD", "/secret", &[], Vec::new());
    assert!(head.texts("pre").is_empty());
    let page = ada.get("/secret");
    assert_eq!(page.texts("pre")[0].lines().count(), 10);
    assert!(page.texts("[role=alert]").is_empty());
    let page = ada.get("/secret");
    assert!(page.texts("pre").is_empty(), "shown once");
    assert!(page.text().contains("Recovery codes left: 10."));
}

#[test]
fn a_set_up_is_for_members_and_begins_again_after_it_took_too_long_or_was_cancelled() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", ADA);
    for path in ["/second-factor/new", "/second-factor/confirm", "/second-factor/off"] {
        let mut stranger = Browser::new(&app);
        assert_eq!(stranger.post(path, &[("code", "123456")]).location(), "/login", "{path}");
        assert_eq!(stranger.get(path).status, 405, "{path}");
    }
    let done = ada.post("/second-factor/confirm", &[("code", "123456")]);
    assert!(ada.follow(done).texts("[role=alert]")[0].contains("begin again"));
    let (page, first) = begin(&mut ada);
    let cancelled = ada.submit(page.form("/second-factor/off"), &[]);
    assert!(ada.follow(cancelled).texts("section code").is_empty());
    let (_, second) = begin(&mut ada);
    assert_ne!(first.code_in(99), second.code_in(99), "another key");
}

#[test]
fn what_came_with_the_password_survives_the_second_step() {
    let site = Site::new();
    let app = handler(&site.app);
    let (mut ada, factor) = with_second_factor(&app, ADA);
    let old = ada.jar[NAME].clone();
    let fields =
        [("email", ADA), ("password", PASSWORD), ("remember", "yes"), ("next", "/wiki?a=b")];
    assert_eq!(ada.post("/login", &fields).location(), "/login/code");
    assert!(is_in(&mut ada), "the login that was there stays");
    forget_step(&site);
    let done = send_code(&mut ada, &factor.app.code());
    assert_eq!(done.location(), "/wiki?a=b");
    let cookie = done.header("Set-Cookie").unwrap();
    assert!(cookie.contains("Max-Age=2592000"), "{cookie}");
    assert!(is_in(&mut ada) && ada.jar[NAME] != old);
    let mut thief = Browser::new(&app);
    thief.jar.insert(NAME.to_owned(), old);
    assert!(!is_in(&mut thief), "the login that was there is replaced");
    assert_eq!(site.count("SELECT count(*) FROM sessions"), 1);
    assert!(ada.get("/secret").text().contains("with a password and a code"));

    let mut other = Browser::new(&app);
    for _ in 0..9 {
        log_in(&mut other, ADA, "wrong");
    }
    first_step(&mut other);
    send_code(&mut other, &factor.recovery_codes[0]);
    assert!(is_in(&mut other) && ada.get("/secret").text().contains("and a recovery code"));
    for _ in 0..9 {
        let wrong = other.post("/login", &[("email", ADA), ("password", "wrong")]);
        assert_eq!(wrong.status, 401, "the wrong ones are forgiven");
    }
}

#[test]
fn a_right_password_alone_logs_nobody_in_anywhere() {
    let site = Site::new();
    let app = handler(&site.app);
    let (_, factor) = with_second_factor(&app, ADA);
    forget_step(&site);
    let twin = site.twin();
    let other_process = handler(&twin);
    let taken = [
        ("first_name", "Ada"),
        ("last_name", "Lovelace"),
        ("email", ADA),
        ("password", PASSWORD),
        ("confirm", PASSWORD),
    ];
    for (path, fields) in [("/login", &taken[2..4]), ("/register", &taken[..])] {
        let mut thief = Browser::new(&app);
        assert_eq!(thief.post(path, fields).location(), "/login/code");
        let mut elsewhere = Browser::new(&other_process);
        elsewhere.jar = thief.jar.clone();
        for browser in [&mut thief, &mut elsewhere] {
            assert_eq!(browser.get("/auth").status, 401);
            assert_eq!(browser.get("/").texts("h1"), ["Hello, Anonymous!"]);
            for path in ["/secret", "/download/cheat-sheet.txt"] {
                assert!(browser.get(path).location().starts_with("/login?next="), "{path}");
            }
            assert_eq!(
                browser.post("/sessions/end", &[("session", "others")]).location(),
                "/login"
            );
        }
        assert_eq!(site.count("SELECT count(*) FROM sessions"), 1, "but Ada's");
        // What waits is in the memory of one process: in another, or after a restart, from the start.
        let lost = send_code(&mut elsewhere, &factor.app.code());
        assert_eq!(lost.location(), "/login");
        assert!(!is_in(&mut elsewhere));
        assert_eq!(send_code(&mut Browser::new(&app), &factor.app.code()).location(), "/login");
    }
}

#[test]
fn asvs_6_3_3_a_login_under_way_while_the_second_factor_is_turned_on_does_not_begin() {
    let site = Site::new();
    let app = handler(&site.app);
    register(&mut Browser::new(&app), "Ada", ADA);
    let mut client = site.sql();
    let mut transaction = client.transaction().unwrap();
    let turn_on = "UPDATE users SET totp_key = '', totp_step = 0, recovery_codes = '{}'";
    transaction.batch_execute(turn_on).unwrap();
    std::thread::scope(|scope| {
        let login = scope.spawn(|| {
            let mut late = Browser::new(&app);
            (log_in(&mut late, ADA, PASSWORD), is_in(&mut late))
        });
        until(|| site.waiting() == 1);
        transaction.commit().unwrap();
        let (answer, is_in) = login.join().unwrap();
        assert_eq!((answer.location(), is_in), ("/login", false));
    });
    assert_eq!(site.count("SELECT count(*) FROM sessions"), 1);
}

#[test]
fn a_new_password_keeps_the_second_factor_and_the_session_that_proved_it() {
    let site = Site::new();
    let app = handler(&site.app);
    let (mut ada, _) = with_second_factor(&app, ADA);
    assert_eq!(ada.post("/password", &NEW_PASSWORD).location(), "/secret");
    let page = ada.get("/secret");
    assert!(page.text().contains("with a password and a code"), "{}", page.text());
    let [_, (_, new), _] = NEW_PASSWORD;
    assert_eq!(log_in(&mut Browser::new(&app), ADA, new).location(), "/login/code");
}

#[test]
fn each_recovery_code_is_taken_however_it_is_typed_and_few_that_are_left_are_told_of() {
    let site = Site::new();
    let app = handler(&site.app);
    let (_, factor) = with_second_factor(&app, ADA);
    for (used, code) in factor.recovery_codes.iter().enumerate() {
        let mut ada = Browser::new(&app);
        first_step(&mut ada);
        let page = ada.get("/login/code?recovery");
        assert!(page.attributes("input[name=code]", "inputmode").is_empty());
        let typed = code.to_lowercase().replace('-', " ");
        let done = ada.submit(page.form("/login/code"), &[("Recovery code", &typed)]);
        assert_eq!(done.location(), "/secret");
        let page = ada.follow(done);
        let left = 9 - used;
        assert!(page.text().contains(&format!("Recovery codes left: {left}.")), "{left}");
        assert_eq!(page.texts("section .flash.alert").len(), usize::from(left <= 3), "{left}");
    }
}

#[test]
fn asvs_6_5_2_6_5_3_and_6_5_4_recovery_codes_are_long_random_and_stored_as_sha_256() {
    let site = Site::new();
    let app = handler(&site.app);
    let (_, ada) = with_second_factor(&app, ADA);
    let (_, bob) = with_second_factor(&app, "bob@example.org");
    let mut codes = [ada.recovery_codes, bob.recovery_codes].concat();
    for code in &codes {
        let letters = code.replace('-', "");
        let is_base32 = |c: char| matches!(c, 'A'..='Z' | '2'..='7');
        assert!(letters.len() * 5 >= 112 && letters.chars().all(is_base32), "{code}");
        let hash = format!("sha256('{letters}') = ANY (recovery_codes)");
        assert_eq!(site.count(&format!("SELECT count(*) FROM users WHERE {hash}")), 1);
    }
    codes.sort();
    codes.dedup();
    assert_eq!(codes.len(), 20);
    let lengths = "SELECT sum(octet_length(code))::INT8 FROM users, unnest(recovery_codes) code";
    assert_eq!(site.count(lengths), 20 * 32, "and nothing else is stored");
}

#[test]
fn asvs_6_4_3_a_new_password_by_link_or_from_the_administrator_leaves_the_second_factor_alone() {
    let site = Site::new();
    let app = handler(&site.app);
    let (_, factor) = with_second_factor(&app, ADA);
    let [_, (_, new), _] = NEW_PASSWORD;
    for (way, code) in ["link", "command"].iter().zip(&factor.recovery_codes) {
        let mut thief = Browser::new(&app);
        let password = [new, way].join(" ");
        if *way == "link" {
            thief.get(&link(&site.url, "reset", ADA));
            let done = thief.post("/password", &[("password", &password), ("confirm", &password)]);
            assert_eq!(done.location(), "/login");
        } else {
            assert_eq!(user(&site.url, "password", &[ADA], &password).status, 0);
        }
        assert!(!is_in(&mut thief), "{way}");
        assert_eq!(log_in(&mut thief, ADA, &password).location(), "/login/code", "{way}");
        assert!(!is_in(&mut thief), "{way}");
        send_code(&mut thief, code);
        assert!(is_in(&mut thief), "the owner, after all");
    }
}

#[test]
fn asvs_7_5_1_the_second_factor_changes_only_after_a_recent_login() {
    let site = Site::new();
    let app = handler(&site.app);
    let (mut ada, factor) = with_second_factor(&app, ADA);
    let age = "UPDATE sessions SET created_at = created_at - INTERVAL '11 minutes'";
    let mut bob = Browser::new(&app);
    register(&mut bob, "Bob", "bob@example.org");
    site.sql().batch_execute(age).unwrap();
    let others = [("session", "others")];
    until(|| bob.post("/sessions/end", &others).location().contains("again"));
    until(|| ada.post("/sessions/end", &others).location().contains("again"));
    assert!(bob.post("/second-factor/new", &[]).location().contains("again"));
    assert!(bob.get("/secret").texts("section code").is_empty());
    let refused = ada.post("/second-factor/off", &[]);
    assert_eq!(refused.location(), "/login?again&next=%2Fsecret");
    assert_eq!(site.count("SELECT count(totp_key) FROM users"), 1);

    let form = ada.follow(refused).form("/login");
    assert_eq!(form.fields["email"], ADA);
    assert_eq!(ada.submit(form, &[("Password", PASSWORD)]).location(), "/login/code");
    forget_step(&site);
    send_code(&mut ada, &factor.app.code());
    let page = ada.get("/secret");
    let off = ada.submit(page.form("/second-factor/off"), &[]);
    let page = ada.follow(off);
    assert_eq!(page.texts("[role=status]"), ["The second factor is off."]);
    page.form("/second-factor/new");
    assert_eq!(log_in(&mut Browser::new(&app), ADA, PASSWORD).location(), "/secret");
}
