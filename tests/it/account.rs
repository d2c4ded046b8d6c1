//! What owners and administrators do with an account: names, email, deletion, and who is disabled.

use std::thread::sleep;
use std::time::Duration;

use crate::support::browser::Browser;
use crate::support::command::{assert_refused, link, user};
use crate::support::site::{NEW_PASSWORD, PASSWORD, Site, handler, is_in, log_in, register};

const ADA: &str = "ada@example.org";

#[test]
fn a_member_changes_the_names_and_sees_them_at_once_everywhere_on_the_site() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    let page = register(&mut ada, "Ada", ADA);
    assert!(page.text().contains("Your email is ada@example.org."));
    assert!(page.text().contains("you cannot change it yourself"));
    let form = page.form("/name");
    assert_eq!((&*form.fields["first_name"], &*form.fields["last_name"]), ("Ada", "Lovelace"));
    let typed = [("First name", " Augusta "), ("Last name", "King")];
    let done = ada.submit(form, &typed);
    assert_eq!(done.location(), "/secret");
    let page = ada.follow(done);
    assert_eq!(page.texts("[role=status]"), ["Your name was changed."]);
    assert_eq!(page.texts("h1"), ["Hello, Augusta King!"]);
    assert!(ada.get("/").text().contains("Hello, Augusta!"));
    assert_eq!(ada.get("/auth").header("Remote-Name"), Some("Augusta King"));

    for (first, last, wrong) in [("", "King", "first_name"), ("Ada", "a\u{202e}b", "last_name")] {
        let refused = ada.post("/name", &[("first_name", first), ("last_name", last)]);
        assert_eq!(refused.status, 422);
        assert!(refused.texts("title")[0].starts_with("Error: "));
        assert_eq!(refused.attributes("[aria-invalid=true]", "name"), [wrong]);
        assert_eq!(refused.form("/name").fields["first_name"], first);
        assert_eq!(ada.get("/secret").texts("h1"), ["Hello, Augusta King!"]);
    }
    assert_eq!(ada.post("/name", &[("first_name", "Ada")]).status, 400);
    let email = [("first_name", "Ada"), ("last_name", "King"), ("email", "eve@example.org")];
    assert_eq!(ada.post("/name", &email).status, 303);
    assert_eq!(site.count("SELECT count(*) FROM users WHERE email = 'ada@example.org'"), 1);
}

#[test]
fn asvs_7_4_2_a_deleted_account_is_gone_with_everything_that_is_its_own() {
    let site = Site::new();
    let app = handler(&site.app);
    let (mut ada, mut elsewhere, mut bob) =
        (Browser::new(&app), Browser::new(&app), Browser::new(&app));
    register(&mut bob, "Bob", "bob@example.org");
    let page = register(&mut ada, "Ada", ADA);
    log_in(&mut elsewhere, ADA, PASSWORD);
    let link = link(&site.url, "reset", ADA);
    assert!(is_in(&mut elsewhere));
    let replayed = ada.jar.clone();
    let done = ada.submit(page.form("/account/delete"), &[]);
    assert_eq!(done.location(), "/");
    let home = ada.follow(done);
    assert_eq!(home.texts("[role=status]"), ["Your account was deleted."]);
    assert_eq!(home.texts("h1"), ["Hello, Anonymous!"]);
    assert!(!is_in(&mut elsewhere), "at once");
    ada.jar = replayed;
    assert!(!is_in(&mut ada));
    assert!(is_in(&mut bob));
    assert_eq!(log_in(&mut Browser::new(&app), ADA, PASSWORD).status, 401);
    assert_eq!(ada.get(&link).location(), "/login");
    assert_eq!(site.count("SELECT count(*) FROM sessions"), 1);
    assert_eq!(site.count("SELECT count(*) FROM links"), 0);
    register(&mut Browser::new(&app), "Ada", ADA);
}

#[test]
fn asvs_7_5_1_an_old_login_deletes_no_account_until_the_password_was_typed_once_more() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", ADA);
    let sql = "UPDATE sessions SET created_at = created_at - INTERVAL '11 minutes'";
    site.sql().batch_execute(sql).unwrap();
    sleep(Duration::from_millis(1_050));
    let again = ada.post("/account/delete", &[]);
    assert_eq!(again.location(), "/login?again&next=%2Fsecret");
    assert_eq!(site.count("SELECT count(*) FROM users"), 1);
    let form = ada.follow(again).form("/login");
    assert_eq!(form.fields["email"], ADA);
    assert_eq!(ada.submit(form, &[("Password", PASSWORD)]).location(), "/secret");
    // What changes nothing that a thief would want needs no new login.
    site.sql().batch_execute(sql).unwrap();
    sleep(Duration::from_millis(1_050));
    let names = [("first_name", "Augusta"), ("last_name", "King")];
    assert_eq!(ada.post("/name", &names).location(), "/secret");
    assert_eq!(ada.post("/account/delete", &[]).location(), "/login?again&next=%2Fsecret");
}

#[test]
fn a_form_of_a_member_whose_session_has_ended_changes_nothing_and_says_so() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", ADA);
    user(&site.url, "logout", &[ADA], "");
    sleep(Duration::from_millis(1_050));
    for (path, form) in [
        ("/password", &NEW_PASSWORD[..]),
        ("/name", &[("first_name", "Eve"), ("last_name", "Eve")]),
        ("/account/delete", &[]),
    ] {
        let mut tab = Browser::new(&app);
        tab.jar = ada.jar.clone();
        let answer = tab.post(path, form);
        assert_eq!(answer.location(), "/login", "{path}");
        let said = tab.follow(answer).texts("[role=alert]");
        assert_eq!(said, ["You were logged out in the meantime. Nothing was changed."], "{path}");
    }
    assert_eq!(log_in(&mut ada, ADA, PASSWORD).status, 303);
    assert_eq!(ada.get("/secret").texts("h1"), ["Hello, Ada Lovelace!"]);
}

#[test]
fn a_disabled_user_has_no_session_and_gets_the_answer_of_a_wrong_password() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", ADA);
    let before = link(&site.url, "reset", ADA);
    let done = user(&site.url, "disable", &["ADA@example.org"], "");
    assert_eq!(done.err, "doorward: disabled ada@example.org, sessions ended: 1\n");
    sleep(Duration::from_millis(1_050));
    assert!(!is_in(&mut ada));
    let mut visitor = Browser::new(&app);
    let wrong = log_in(&mut visitor, ADA, "a guess");
    let right = log_in(&mut visitor, ADA, PASSWORD);
    assert_eq!((right.status, right.text()), (401, wrong.text()));
    // Nor does a form for a new account let anybody in.
    let typed = [
        ("first_name", "Ada"),
        ("last_name", "Lovelace"),
        ("email", ADA),
        ("password", PASSWORD),
        ("confirm", PASSWORD),
    ];
    assert_eq!(visitor.post("/register", &typed).location(), "/login");
    assert!(!is_in(&mut visitor));
    assert_eq!(site.count("SELECT count(*) FROM sessions"), 0);
    assert!(user(&site.url, "list", &[], "").out.contains("Z, disabled since 2"));
    assert_refused(&user(&site.url, "disable", &[ADA], ""), 1, "is disabled already");

    assert_eq!(user(&site.url, "enable", &[ADA], "").err, "doorward: enabled ada@example.org\n");
    assert_eq!(visitor.get(&before).location(), "/login", "the link has ended");
    assert_eq!(log_in(&mut visitor, ADA, PASSWORD).status, 303);
    assert!(!user(&site.url, "list", &[], "").out.contains("disabled"));
    assert_refused(&user(&site.url, "enable", &[ADA], ""), 1, "is not disabled");
}

#[test]
fn an_administrator_changes_email_and_names_and_members_see_it_within_a_second() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", ADA);
    register(&mut Browser::new(&app), "Bob", "bob@example.org");
    let changed = user(&site.url, "change", &[ADA, "--email", " King@Example.org "], "");
    assert_eq!(changed.err, "doorward: changed ada@example.org\n");
    assert_eq!(
        user(&site.url, "change", &["king@example.org", "--last-name", "King"], "").status,
        0
    );
    sleep(Duration::from_millis(1_050));
    let auth = ada.get("/auth");
    assert_eq!(auth.header("Remote-User"), Some("King@Example.org"));
    assert_eq!(auth.header("Remote-Name"), Some("Ada King"));
    assert_eq!(log_in(&mut Browser::new(&app), ADA, PASSWORD).status, 401);
    assert_eq!(log_in(&mut Browser::new(&app), "king@example.org", PASSWORD).status, 303);
    let king = "king@example.org";
    for (status, arguments, part) in [
        (1, &[king, "--email", "BOB@example.org"][..], "BOB@example.org has an account already"),
        (1, &[king, "--email", "king@"], "email: Enter an email"),
        (1, &[king, "--first-name", " "], "first name: "),
        (1, &["eve@example.org", "--last-name", "Eve"], "no user has the email"),
        (2, &[king], "--email"),
    ] {
        assert_refused(&user(&site.url, "change", arguments, ""), status, part);
    }
    let capitals = user(&site.url, "change", &[king, "--email", "KING@example.org"], "");
    assert_eq!(capitals.status, 0, "one's own email is not taken: {capitals:?}");
}

#[test]
fn asvs_6_2_1_the_settings_say_how_short_a_password_may_be() {
    let site = Site::with(|config| config.password_min = 15);
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    let page = ada.get("/register");
    assert_eq!(
        page.texts("#password-hint"),
        ["At least 15 characters. A few uncommon words make a good one."]
    );
    assert_eq!(page.attributes("input[autocomplete=new-password]", "minlength"), ["15", "15"]);
    let with = |password| {
        [
            ("first_name", "Ada"),
            ("last_name", "Lovelace"),
            ("email", ADA),
            ("password", password),
            ("confirm", password),
        ]
    };
    let refused = ada.post("/register", &with("plover 81 lago"));
    assert_eq!(refused.texts("#password-error"), ["Use at least 15 characters."]);
    assert_eq!(ada.post("/register", &with("plover 81 lagoo")).location(), "/secret");
    assert_eq!(ada.get("/secret").attributes("#password", "minlength"), ["15"]);
    let min = [("DATABASE_URL", &*site.url), ("DOORWARD_PASSWORD_MIN", "24")];
    let typed = crate::support::command::run(&min, &["user", "password", ADA], PASSWORD);
    assert_refused(&typed, 1, "password: Use at least 24 characters.");
    for odd in ["7", "65", "many"] {
        let refused =
            crate::support::command::run(&[("DOORWARD_PASSWORD_MIN", odd)], &["serve"], "");
        assert_refused(&refused, 2, "write a number from 8 to 64");
    }
}
