//! What happens to people on their way: a second click, a session that has ended, blocked cookies, a form
//! that comes back.

use std::thread::sleep;
use std::time::Duration;

use url::Url;

use crate::support::browser::{Browser, Page};
use crate::support::command::link;
use crate::support::site::{NAME, NEW_PASSWORD, PASSWORD, Site, handler, is_in, log_in, register};

const ADA: [(&str, &str); 5] = [
    ("first_name", "Ada"),
    ("last_name", "Lovelace"),
    ("email", "ada@example.org"),
    ("password", PASSWORD),
    ("confirm", PASSWORD),
];

const ENDED: &str = "Your session has ended. Please log in again.";
const NOTHING_CHANGED: &str = "You were logged out in the meantime. Nothing was changed.";
const BLOCKED: &str = "blocks cookies";

#[test]
fn a_second_click_on_register_is_a_login_that_is_checked_and_throttled_as_one() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    assert_eq!(Browser::new(&app).post("/register", &ADA).location(), "/secret");
    assert_eq!(ada.post("/register", &ADA).location(), "/secret");
    assert_eq!(ada.get("/secret").texts("h1"), ["Hello, Ada Lovelace!"]);
    assert_eq!(site.count("SELECT count(*) FROM users"), 1);

    let mut eve = Browser::new(&app).at("192.0.2.1");
    for n in 0..10 {
        let guess = format!("a guess that is long {n}");
        let typed = [&ADA[..3], &[("password", &guess), ("confirm", &guess)]].concat();
        assert_eq!(eve.post("/register", &typed).location(), "/login");
        assert!(!is_in(&mut eve));
    }
    let refused = eve.post("/register", &ADA);
    assert_eq!(refused.status, 429, "the right password, too");
    assert!(refused.header("Retry-After").is_some() && !is_in(&mut eve));
}

#[test]
fn next_travels_from_the_login_to_the_registration_and_back() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    let login = ada.get("/login?next=%2Fwiki%3Fa%3Db%26c");
    let link = login.attributes("main a[href^='/register']", "href");
    assert_eq!(link, ["/register?next=%2Fwiki%3Fa%3Db%26c"]);
    let form = ada.get(&link[0]);
    assert_eq!(
        form.attributes("main a[href^='/login']", "href"),
        ["/login?next=%2Fwiki%3Fa%3Db%26c"]
    );
    let next = ("next", "/wiki?a=b&c");
    let wrong = ada.post("/register", &[&ADA[..4], &[("confirm", "x"), next]].concat());
    assert_eq!(wrong.attributes("[name=next]", "value"), ["/wiki?a=b&c"]);
    let other = [&ADA[..], &[("next", "//example.org")]].concat();
    assert_eq!(Browser::new(&app).post("/register", &other).location(), "/secret");
    let bob = [&ADA[..2], &[("email", "bob@example.org")], &ADA[3..], &[next]].concat();
    assert_eq!(ada.post("/register", &bob).location(), "/wiki?a=b&c");

    let mut eve = Browser::new(&app);
    let wrong = "kestrel 55 obelisk mango";
    let typed = [&ADA[..3], &[("password", wrong), ("confirm", wrong), next]].concat();
    assert_eq!(eve.post("/register", &typed).location(), "/login?next=%2Fwiki%3Fa%3Db%26c");
    let too_long = format!("/login?next=/{}", "a".repeat(2_000));
    assert!(eve.get(&too_long).attributes("[name=next]", "value").is_empty());
    for next in ["/download/cheat-sheet.txt", "/download/x?y"] {
        let typed = [("email", "ada@example.org"), ("password", PASSWORD), ("next", next)];
        assert_eq!(eve.post("/login", &typed).location(), "/secret", "{next}");
    }
}

#[test]
fn blocked_cookies_are_mentioned_to_whoever_has_just_sent_one_of_our_forms_and_to_nobody_else() {
    let site = Site::new();
    let app = handler(&site.app);
    // A browser without cookies, on its way through redirects, which keep the page of the form as `Referer`.
    let without = |path: &str, referer: Option<&str>| -> Page {
        let referer: Vec<_> = referer.map(|url| ("Referer", url)).into_iter().collect();
        Browser::new(&app).request("GET", path, &referer, Vec::new())
    };
    let (login, register) = ("http://localhost/login?next=%2F", "http://localhost/register");
    for path in ["/login", "/login?next=%2Fsecret"] {
        for form in [login, register] {
            assert!(without(path, Some(form)).text().contains(BLOCKED), "{path} after {form}");
        }
        for other in [None, Some("http://localhost/"), Some("https://wiki.example.org/page")] {
            assert!(!without(path, other).text().contains(BLOCKED), "{path} after {other:?}");
        }
    }
    let proxied = without("/login?next=%2Fwiki", Some("https://wiki.example.org/"));
    assert_eq!(proxied.texts("[role=status]"), ["Please log in to see that page."]);

    let mut with_cookies = Browser::new(&app);
    with_cookies.get("/secret");
    let page = with_cookies.request("GET", "/login", &[("Referer", login)], Vec::new());
    assert!(!page.text().contains(BLOCKED));
    // A click on a link between the two forms must not look like a form.
    for path in ["/login?next=%2F", "/register?next=%2F"] {
        let links = Browser::new(&app).get(path).html().matches("<a ").count();
        let page = Browser::new(&app).get(path);
        let silent = page.attributes("a[rel=noreferrer]", "href");
        let loud = page
            .attributes("a[href^='/login']:not([rel]), a[href^='/register']:not([rel])", "href");
        assert!(links > silent.len() && loud.is_empty(), "{loud:?}");
    }
}

#[test]
fn whoever_was_logged_in_is_told_that_the_session_ended_and_that_nothing_was_changed() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", "ada@example.org");
    let mut other_tab = Browser::new(&app);
    other_tab.jar = ada.jar.clone();
    for (path, form) in
        [("/password", &NEW_PASSWORD[..]), ("/sessions/end", &[("session", "others")])]
    {
        let mut ended = Browser::new(&app);
        ended.jar.insert(NAME.to_owned(), "5".repeat(64));
        let answer = ended.post(path, form);
        assert_eq!(answer.location(), "/login", "{path}");
        assert_eq!(ended.follow(answer).texts("[role=alert]"), [NOTHING_CHANGED], "{path}");
    }
    site.sql().batch_execute("DELETE FROM sessions").unwrap();
    sleep(Duration::from_millis(1_050));
    let away = ada.get("/secret");
    assert_eq!(away.location(), "/login?next=%2Fsecret");
    assert_eq!(ada.follow(away).texts("[role=status]"), [ENDED]);

    // After a logout, the browser has the cookie of a stranger's session.
    assert_eq!(log_in(&mut ada, "ada@example.org", PASSWORD).status, 303);
    ada.post("/logout", &[]);
    let answer = ada.post("/password", &NEW_PASSWORD);
    let page = ada.follow(answer);
    assert!(page.texts("[role=alert]").contains(&NOTHING_CHANGED.to_owned()));
    assert_eq!(log_in(&mut ada, "ada@example.org", PASSWORD).status, 303, "the old one is right");
}

#[test]
fn a_strangers_cookie_ends_with_its_session() {
    let site = Site::new();
    let app = handler(&site.app);
    let cookie = Browser::new(&app).get("/secret").header("Set-Cookie").unwrap().to_owned();
    assert!(cookie.contains("; Max-Age=600"), "{cookie}");
}

#[test]
fn after_too_many_tries_the_form_is_there_with_the_email_and_says_how_long_to_wait() {
    let site = Site::new();
    let app = handler(&site.app);
    register(&mut Browser::new(&app), "Ada", "ada@example.org");
    let mut ada = Browser::new(&app).at("192.0.2.1");
    let typed = [("email", "ada@example.org"), ("password", "a guess"), ("next", "/wiki")];
    for _ in 0..10 {
        assert_eq!(ada.post("/login", &typed).status, 401);
    }
    let page = ada.post("/login", &typed);
    assert_eq!(page.status, 429);
    let wait: u64 = page.header("Retry-After").unwrap().parse().unwrap();
    assert!((1..=900).contains(&wait));
    assert_eq!(page.attributes("#email", "value"), ["ada@example.org"]);
    assert_eq!(page.attributes("[name=next]", "value"), ["/wiki"]);
    let alert = &page.texts("[role=alert]")[0];
    assert!(alert.starts_with("Too many tries.") && alert.contains("Come back in "), "{alert}");
    assert!(page.texts("title")[0].starts_with("Error: "));

    let mut eve = Browser::new(&app).at("192.0.2.2");
    let weak = [&ADA[..3], &[("password", "x"), ("confirm", "x")]].concat();
    let refused = (0..61).map(|_| eve.post("/register", &weak)).last().unwrap();
    assert_eq!(refused.status, 429);
    assert_eq!(refused.attributes("#email", "value"), ["ada@example.org"]);
}

#[test]
fn a_message_that_nobody_fetched_is_not_shown_after_the_login() {
    let site = Site::new();
    let app = handler(&site.app);
    register(&mut Browser::new(&app), "Ada", "ada@example.org");
    let mut ada = Browser::new(&app);
    ada.get("/secret");
    let typed = [("email", "ada@example.org"), ("password", PASSWORD)];
    assert_eq!(ada.post("/login", &typed).location(), "/secret");
    assert!(ada.get("/secret").texts("main > .flash").is_empty());
}

#[test]
fn an_invitation_to_an_email_that_has_got_an_account_meanwhile_leads_to_the_login() {
    let site = Site::new();
    let app = handler(&site.app);
    let invitation = link(&site.url, "invite", "ada@example.org");
    let mut ada = Browser::new(&app);
    ada.get(&invitation);
    register(&mut Browser::new(&app), "Ada", "ada@example.org");
    let [first, last, email, ..] = ADA;
    let answer = ada.post("/register", &[first, last, email, NEW_PASSWORD[1], NEW_PASSWORD[2]]);
    let login = ada.follow(answer);
    assert_eq!(login.texts("[role=alert]"), ["Email already registered. Log in instead."]);
    assert_eq!(login.attributes("#email", "value"), ["ada@example.org"]);
}

#[test]
fn too_many_guesses_by_a_used_invitation_get_the_form_again() {
    let site = Site::new();
    let app = handler(&site.app);
    let invitation = link(&site.url, "invite", "ada@example.org");
    let [mut ada, mut eve] = [(); 2].map(|()| Browser::new(&app));
    ada.get(&invitation);
    eve.get(&invitation);
    assert_eq!(ada.post("/register", &ADA).location(), "/secret");
    let [first, last, email, ..] = ADA;
    let guess = [first, last, email, NEW_PASSWORD[1], NEW_PASSWORD[2]];
    for _ in 0..10 {
        assert_eq!(eve.post("/register", &guess).location(), "/login");
    }
    let refused = eve.post("/register", &guess);
    assert_eq!((refused.status, refused.texts("h1")), (429, vec!["Register".to_owned()]));
    assert_eq!(refused.attributes("#email", "value"), ["ada@example.org"]);
}

#[test]
fn the_cursor_is_in_the_first_wrong_field_and_the_error_beside_its_form() {
    let site = Site::new();
    let app = handler(&site.app);
    let focus = |page: &Page| page.attributes("[autofocus]", "name");
    let mut ada = Browser::new(&app);
    assert!(focus(&ada.get("/login")).is_empty() && focus(&ada.get("/register")).is_empty());
    let wrong = [&ADA[..1], &[("last_name", ""), ("email", "ada")], &ADA[3..]].concat();
    let page = ada.post("/register", &wrong);
    assert_eq!(focus(&page), ["last_name"]);
    let listed = page.texts("main [role=alert] li");
    assert_eq!(listed[0], "Last name: Enter your last name.");
    assert_eq!(listed[1], "Email: Enter an email address like ada@example.org.");
    assert_eq!(page.attributes("[role=alert] li a", "href"), ["#last_name", "#email"]);

    register(&mut ada, "Ada", "ada@example.org");
    assert_eq!(focus(&log_in(&mut Browser::new(&app), "ada@example.org", "no")), ["password"]);
    let wrong = [("current_password", "no"), ("password", "zq7#Kv2!p"), ("confirm", "zq7#Kv2!p")];
    let page = ada.post("/password", &wrong);
    assert_eq!((page.status, focus(&page)), (422, vec!["current_password".to_owned()]));
    assert_eq!(page.texts("section[aria-labelledby=change-password] [role=alert]").len(), 1);
    assert_eq!(page.attributes("nav [aria-current=page]", "href"), ["/secret"]);
    assert!(page.texts("title")[0].starts_with("Error: Secret"));
}

#[test]
fn the_address_of_the_password_form_leads_to_it_and_strangers_learn_whom_to_ask() {
    let contact = Url::parse("mailto:ada@example.org").unwrap();
    let site = Site::with(|config| config.contact = Some(contact));
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    let page = ada.get("/password");
    assert_eq!(page.status, 200);
    assert_eq!(page.attributes("main a[href^='mailto:']", "href"), ["mailto:ada@example.org"]);
    assert_eq!(ada.get("/login").attributes("main a[href='/password']", "href").len(), 1);
    for path in ["/", "/login", "/nothing", "/password"] {
        let footer = ada.get(path).attributes("main + footer a", "href");
        assert_eq!(footer, ["mailto:ada@example.org"], "{path}");
    }
    assert_eq!(
        ada.get("/.well-known/change-password").location(),
        "/login?next=%2F.well-known%2Fchange-password"
    );
    register(&mut ada, "Ada", "ada@example.org");
    for path in ["/password", "/.well-known/change-password"] {
        assert_eq!(ada.get(path).location(), "/secret#change-password");
    }
    let other = Site::new();
    let app = handler(&other.app);
    let page = Browser::new(&app).get("/password");
    assert!(
        page.text().contains("Ask whoever runs this site for a new one."),
        "in words, without a link"
    );
}

#[test]
fn asvs_7_5_1_and_7_5_2_an_old_login_ends_no_session_until_the_password_was_typed_once_more() {
    let site = Site::new();
    let app = handler(&site.app);
    let (mut ada, mut elsewhere) = (Browser::new(&app), Browser::new(&app));
    register(&mut ada, "Ada", "ada@example.org");
    log_in(&mut elsewhere, "ada@example.org", PASSWORD);
    let others = [("session", "others")];
    let sql = "UPDATE sessions SET created_at = created_at - INTERVAL '11 minutes'";
    site.sql().batch_execute(sql).unwrap();
    sleep(Duration::from_millis(1_050));
    let again = ada.post("/sessions/end", &others);
    assert_eq!(again.location(), "/login?again&next=%2Fsecret");
    assert!(is_in(&mut elsewhere));
    let form = ada.follow(again);
    assert!(form.text().contains("Please enter your password once more."));
    assert_eq!(form.attributes("#email", "value"), ["ada@example.org"]);
    assert_eq!(form.attributes("[autofocus]", "name"), ["password"]);
    let done = ada.submit(form.form("/login"), &[("Password", PASSWORD)]);
    assert_eq!(done.location(), "/secret");
    assert!(ada.follow(done).text().contains("Now press the button once more."));
    let ended = ada.post("/sessions/end", &others);
    assert_eq!(ended.location(), "/secret");
    assert!(!is_in(&mut elsewhere) && is_in(&mut ada));
    assert!(Browser::new(&app).get("/login?again").text().contains("No account yet?"));
}

#[test]
fn whoever_logs_in_twice_is_not_asked_to_press_a_button_that_nobody_has_pressed() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    let second_tab = ada.get("/login").form("/login");
    register(&mut ada, "Ada", "ada@example.org");
    let typed = [("Email", "ada@example.org"), ("Password", PASSWORD)];
    let done = ada.submit(second_tab, &typed);
    assert!(ada.follow(done).texts("[role=status]").is_empty());
}

#[test]
fn a_site_speaks_with_its_own_voice() {
    let site = Site::with(|config| {
        config.members_page = "Library".to_owned();
        config.greeting = Some("Books & more.".to_owned());
    });
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    assert!(ada.get("/").text().contains("Books & more."));
    let page = register(&mut ada, "Ada", "ada@example.org");
    assert_eq!(page.texts("nav a"), ["Home", "Library"]);
    assert!(page.texts("title")[0].starts_with("Library · "));
}

#[test]
fn what_browsers_and_robots_ask_for_on_their_own_is_there() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut robot = Browser::new(&app);
    assert!(robot.get("/robots.txt").html().contains("Disallow: /\n"));
    let icon = robot.get("/favicon.ico").header("Location").unwrap().to_owned();
    assert_eq!(robot.get(&icon).header("Content-Type"), Some("image/svg+xml; charset=utf-8"));
    assert_eq!(robot.get("/").attributes("meta[name=description]", "content").len(), 1);
}
