//! Links: invitations, and new passwords for who forgot theirs.

use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

use doorward::accounts::links::{self, LinkHash};
use doorward::accounts::passwords::Password;
use doorward::database::Database as Pool;
use doorward::sessions::Sessions;
use rouille::{Request, Response};

use crate::support::browser::{Browser, Page};
use crate::support::command::{link, user};
use crate::support::log::{record, recorded};
use crate::support::site::{
    NEW_PASSWORD, PASSWORD, Site, config, handler, is_in, log_in, register,
};

const ADA: &str = "ada@example.org";
const NEW: &str = "kestrel 55 obelisk mango";

/// What a link's form for a new password sends.
const SET: [(&str, &str); 2] = [("password", NEW), ("confirm", NEW)];
type Handler<'a> = &'a (dyn Fn(&Request) -> Response + Sync);
const ENDED: &str = "That link is no longer valid. Ask for a new one.";
const CHANGED: &str = "Your password was changed. Log in with it.";

/// What the form of an invitation sends.
fn registration(email: &str) -> [(&str, &str); 5] {
    let [password, confirm] = SET;
    [("first_name", "Eva"), ("last_name", "Noether"), ("email", email), password, confirm]
}

/// A site where Ada is a member.
fn site_of_ada() -> Site {
    let site = Site::new();
    register(&mut Browser::new(&handler(&site.app)), "Ada", ADA);
    site
}

/// Opens a link, and shows its form.
fn open(browser: &mut Browser, link: &str) -> Page {
    let opened = browser.get(link);
    assert_eq!(opened.location(), link.split('?').next().unwrap(), "without the number");
    browser.follow(opened)
}

/// Opens a link that must not be valid.
fn assert_ended(app: Handler, link: &str) {
    let mut browser = Browser::new(app);
    let answer = browser.get(link);
    assert_eq!(answer.location(), "/login", "{link}");
    assert_eq!(browser.follow(answer).texts("[role=alert]"), [ENDED], "{link}");
}

fn assert_all_ended(app: Handler, links: &[String]) {
    for link in links {
        assert_ended(app, link);
    }
}

#[test]
fn asvs_6_4_1_an_invitation_makes_one_account_even_where_registration_is_closed() {
    let site = Site::with(|config| config.registration = doorward::config::Registration::Closed);
    let app = handler(&site.app);
    let other = link(&site.url, "invite", "eva@example.org");
    let link = link(&site.url, "invite", "Eva@Example.org");
    let mut eva = Browser::new(&app);
    let page = open(&mut eva, &link);
    assert_eq!(page.attributes("#email[readonly]", "value"), ["eva@example.org"]);
    let wrong = eva.post("/register", &registration("eve@example.org"));
    assert_eq!(wrong.attributes("#email", "value"), ["eva@example.org"], "for nobody else");
    assert_eq!(site.count("SELECT count(*) FROM users"), 0);
    let weak = [("First name", "Eva"), ("Last name", "Noether"), ("New password", "short")];
    let refused = eva.submit(page.form("/register"), &weak);
    assert_eq!(refused.status, 422);
    let typed = [("New password", NEW), ("New password again", NEW)];
    let done = eva.submit(refused.form("/register"), &typed);
    assert_eq!(done.location(), "/secret");
    assert!(eva.follow(done).texts("[role=status]")[0].starts_with("Welcome, Eva!"));
    assert_eq!(site.count("SELECT count(*) FROM links"), 0);
    assert_eq!(Browser::new(&app).get("/register").status, 403);
    assert_all_ended(&app, &[link, other]);
}

#[test]
fn asvs_6_4_6_a_link_sets_a_password_that_nobody_else_has_seen_and_ends_every_session() {
    let site = Site::new();
    let app = handler(&site.app);
    let (mut ada, mut elsewhere) = (Browser::new(&app), Browser::new(&app));
    register(&mut elsewhere, "Ada", ADA);
    let link = link(&site.url, "reset", "ADA@example.org");
    let page = open(&mut ada, &link);
    assert!(page.text().contains(ADA), "whose password it is: {}", page.text());
    let weak = ada.post("/password", &[("password", "lovelace1"), ("confirm", "lovelace1")]);
    assert_eq!((weak.status, weak.texts("#password-error").len()), (422, 1));
    let unlike = ada.post("/password", &[("password", NEW), ("confirm", PASSWORD)]);
    assert!(unlike.texts("title")[0].starts_with("Error: "));
    assert!(is_in(&mut elsewhere), "nothing has changed so far");
    let typed = [("New password", NEW), ("New password again", NEW)];
    let done = ada.submit(unlike.form("/password"), &typed);
    assert_eq!(done.location(), "/login");
    let login = ada.follow(done);
    assert_eq!(login.texts("[role=status]"), [CHANGED]);
    assert!(!is_in(&mut ada) && !is_in(&mut elsewhere));
    assert_eq!(log_in(&mut ada, ADA, PASSWORD).status, 401);
    assert_eq!(log_in(&mut ada, ADA, NEW).location(), "/secret");
    assert_ended(&app, &link);
}

/// Sends a form of a link once for each password, all at the same moment, from browsers that have all opened
/// it. How many of them were told of a success.
fn use_at_once(app: Handler, link: &str, before: &[(&str, &str)], passwords: &[String]) -> usize {
    let path = link.split('?').next().unwrap();
    let opened = passwords.iter().map(|password| {
        let mut browser = Browser::new(app);
        open(&mut browser, link);
        (browser.jar, password)
    });
    let opened: Vec<_> = opened.collect();
    thread::scope(|scope| {
        let uses = opened.into_iter().map(|(jar, password)| {
            scope.spawn(move || {
                let mut browser = Browser::new(app);
                browser.jar = jar;
                let form = [before, &[("password", password), ("confirm", password)]].concat();
                let done = browser.post(path, &form);
                browser.follow(done).texts("[role=status]").len()
            })
        });
        uses.collect::<Vec<_>>().into_iter().map(|each| each.join().unwrap()).sum()
    })
}

#[test]
fn asvs_6_5_1_and_6_6_2_of_twelve_uses_of_one_link_at_the_same_moment_one_wins() {
    let site = site_of_ada();
    let app = handler(&site.app);
    let passwords: Vec<String> = (0..12).map(|n| format!("{NEW} {n}")).collect();
    // Nobody is throttled who comes from another address each time.
    let next = AtomicU8::new(0);
    let address = || format!("192.0.2.{}", next.fetch_add(1, Ordering::Relaxed));
    for (command, email, before) in
        [("invite", "eva@example.org", &registration("eva@example.org")[..3]), ("reset", ADA, &[])]
    {
        let link = link(&site.url, command, email);
        assert_eq!(use_at_once(&app, &link, before, &passwords), 1, "{command}");
        let right = |password: &&String| {
            let mut browser = Browser::new(&app).at(&address());
            log_in(&mut browser, email, password).status == 303
        };
        assert_eq!(passwords.iter().filter(right).count(), 1, "{command}");
        assert_eq!(site.count("SELECT count(*) FROM users"), 2, "Ada and Eva");
    }
}

#[test]
fn a_second_click_on_the_button_gets_what_the_first_one_got() {
    let site = site_of_ada();
    let app = handler(&site.app);
    let clicks = |link: &str, path: &str, form: &[(&str, &str)]| {
        let mut browser = Browser::new(&app);
        open(&mut browser, link);
        thread::scope(|scope| {
            let click = || {
                let mut tab = Browser::new(&app);
                tab.jar = browser.jar.clone();
                let done = tab.post(path, form);
                let to = done.location().to_owned();
                (to, tab.follow(done).texts("[role=alert]"))
            };
            let both = [scope.spawn(click), scope.spawn(click)];
            both.map(|click| click.join().unwrap())
        })
    };
    let (none, eva) = (Vec::<String>::new(), registration("eva@example.org"));
    let invited = clicks(&link(&site.url, "invite", "eva@example.org"), "/register", &eva);
    assert_eq!(invited, [(); 2].map(|()| ("/secret".to_owned(), none.clone())));
    let reset = clicks(&link(&site.url, "reset", ADA), "/password", &SET);
    assert_eq!(reset, [(); 2].map(|()| ("/login".to_owned(), none.clone())));
}

#[test]
fn unknown_odd_and_ended_links_get_one_answer() {
    let site = site_of_ada();
    let app = handler(&site.app);
    let long = "A".repeat(15_000);
    let (zero, huge) = ("A".repeat(43), "99999999999999999999999");
    for number in ["", "x", &zero, &long, huge, "1-99999999999999999999", "%00", "%ff%fe", "ä+=/"]
    {
        assert_ended(&app, &format!("/password?reset={number}"));
        assert_ended(&app, &format!("/register?invitation={number}"));
    }
    let links = [link(&site.url, "invite", "eva@example.org"), link(&site.url, "reset", ADA)];
    site.sql().batch_execute("UPDATE links SET expires_at = now()").unwrap();
    for link in &links {
        assert_ended(&app, link);
    }
    let database = Pool::connect(&site.url).unwrap();
    assert_eq!(links::sweep(&database).unwrap(), 2);
}

#[test]
fn a_link_that_ends_while_its_form_is_open_does_nothing() {
    let site = site_of_ada();
    let app = handler(&site.app);
    for (command, email, path) in
        [("invite", "eva@example.org", "/register"), ("reset", ADA, "/password")]
    {
        let mut browser = Browser::new(&app);
        open(&mut browser, &link(&site.url, command, email));
        site.sql().batch_execute("UPDATE links SET expires_at = now()").unwrap();
        let form = registration("eva@example.org");
        let form = if path == "/register" { &form[..] } else { &SET };
        let answer = browser.post(path, form);
        assert_eq!(answer.location(), "/login");
        assert_eq!(browser.follow(answer).texts("[role=alert]"), [ENDED]);
    }
    assert_eq!(site.count("SELECT count(*) FROM users"), 1);
    assert_eq!(log_in(&mut Browser::new(&app), ADA, PASSWORD).status, 303);
    // A form for a new password, sent by somebody who has opened no link.
    let mut stranger = Browser::new(&app);
    let answer = stranger.post("/password", &SET);
    assert_eq!(stranger.follow(answer).texts("[role=alert]"), [ENDED]);
}

#[test]
fn a_link_of_one_kind_does_nothing_of_the_other() {
    let site = site_of_ada();
    let app = handler(&site.app);
    let swapped = |link: String, path: &str, name: &str| {
        format!("{path}?{name}={}", link.split_once('=').unwrap().1)
    };
    let invitation = swapped(link(&site.url, "invite", "eva@example.org"), "/password", "reset");
    let reset = swapped(link(&site.url, "reset", ADA), "/register", "invitation");
    let mut browser = Browser::new(&app);
    browser.get(&invitation);
    let answer = browser.post("/password", &SET);
    assert_eq!(browser.follow(answer).texts("[role=alert]"), [ENDED]);
    browser.get(&reset);
    assert_eq!(browser.post("/register", &registration(ADA)).location(), "/login", "it is taken");
    assert_eq!(site.count("SELECT count(*) FROM links"), 2);
    assert_eq!(log_in(&mut Browser::new(&app), ADA, PASSWORD).status, 303);
}

#[test]
fn a_link_works_for_whom_it_is_for_whoever_is_logged_in() {
    let site = site_of_ada();
    let app = handler(&site.app);
    register(&mut Browser::new(&app), "Bob", "bob@example.org");
    let mut bob = Browser::new(&app);
    assert!(open(&mut bob, &link(&site.url, "reset", ADA)).text().contains(ADA));
    log_in(&mut bob, "bob@example.org", PASSWORD);
    assert!(bob.get("/password").text().contains(ADA), "it stays open through a login");
    assert!(bob.get("/secret").text().contains("Hello, Bob"));
    let done = bob.post("/password", &SET);
    let page = bob.follow(done);
    assert_eq!(page.texts("[role=status]"), [CHANGED]);
    assert!(page.text().contains("Hello, Bob"), "he is still logged in");
    assert_eq!(log_in(&mut Browser::new(&app), ADA, NEW).status, 303);
    assert_eq!(log_in(&mut Browser::new(&app), "bob@example.org", PASSWORD).status, 303);
    assert_eq!(bob.get("/password").location(), "/secret#change-password");
    open(&mut bob, &link(&site.url, "invite", "eva@example.org"));
    let done = bob.post("/register", &registration("eva@example.org"));
    assert!(bob.follow(done).text().contains("Hello, Eva"));
    assert_eq!(bob.get("/register").location(), "/secret");
}

#[test]
fn looking_at_a_link_uses_nothing_up() {
    let site = site_of_ada();
    let app = handler(&site.app);
    let link = link(&site.url, "reset", ADA);
    for _ in 0..3 {
        let mut scanner = Browser::new(&app);
        scanner.request("HEAD", &link, &[], Vec::new());
        open(&mut scanner, &link);
    }
    let mut ada = Browser::new(&app);
    open(&mut ada, &link);
    assert_eq!(ada.get("/password").texts("h1"), ["Choose a new password"], "a reload");
    assert_eq!(ada.post("/password", &SET).location(), "/login");
}

#[test]
fn asvs_14_2_1_the_number_is_in_no_log_no_page_and_no_table() {
    let site = site_of_ada();
    let app = handler(&site.app);
    record();
    for (command, email) in [("invite", "eva@example.org"), ("reset", ADA)] {
        let link = link(&site.url, command, email);
        let number = link.split_once('=').unwrap().1;
        assert_eq!(number.len(), 43, "32 bytes");
        let mut browser = Browser::new(&app);
        let opened = browser.get(&link);
        assert_eq!(opened.header("Referrer-Policy"), Some("same-origin"));
        assert_eq!(opened.header("Cache-Control"), Some("no-store"));
        let page = browser.follow(opened);
        let twice = browser.get(&format!("{link}&x=y"));
        for text in [page.html(), twice.location(), &recorded().join("\n")] {
            assert!(!text.contains(number), "{text}");
        }
        let stored = format!("SELECT count(*) FROM links WHERE links::text LIKE '%{number}%'");
        assert_eq!(site.count(&stored), 0);
    }
}

#[test]
fn a_password_that_has_changed_by_whatever_way_ends_the_links_for_a_new_one() {
    let site = site_of_ada();
    let app = handler(&site.app);
    let fresh = || {
        let two = [link(&site.url, "reset", ADA), link(&site.url, "reset", ADA)];
        assert_eq!(site.count("SELECT count(*) FROM links"), 2, "none ends another");
        two
    };
    let mut ada = Browser::new(&app);
    log_in(&mut ada, ADA, PASSWORD);
    let links = fresh();
    assert_eq!(ada.post("/password", &NEW_PASSWORD).location(), "/secret");
    assert_all_ended(&app, &links);

    let links = fresh();
    assert_eq!(user(&site.url, "password", &[ADA], PASSWORD).status, 0);
    assert_all_ended(&app, &links);

    let links = fresh();
    open(&mut ada, &links[0]);
    assert_eq!(ada.post("/password", &SET).location(), "/login");
    assert_all_ended(&app, &links);

    // A new hash of the same password is no new password.
    let links = fresh();
    let mut config = config(&site.url);
    config.bcrypt_cost = 5;
    let costlier = doorward::App::new(config).unwrap();
    assert_eq!(log_in(&mut Browser::new(&handler(&costlier)), ADA, NEW).status, 303);
    open(&mut Browser::new(&app), &links[0]);

    // The old address may be somebody else's by now.
    let changed = user(&site.url, "change", &[ADA, "--email", "ada@example.com"], "");
    assert_eq!(changed.status, 0, "{changed:?}");
    assert_all_ended(&app, &links);
}

#[test]
fn whoever_is_removed_gets_back_by_no_link_that_was_made_before() {
    let site = site_of_ada();
    let app = handler(&site.app);
    let links = [
        link(&site.url, "reset", ADA),
        link(&site.url, "invite", "eva@example.org"),
        link(&site.url, "invite", "EVA@example.org"),
    ];
    let mut eva = Browser::new(&app);
    open(&mut eva, &links[1]);
    assert_eq!(eva.post("/register", &registration("eva@example.org")).location(), "/secret");
    for email in [ADA, "eva@example.org"] {
        assert_eq!(user(&site.url, "remove", &[email, "--yes"], "").status, 0);
    }
    assert_all_ended(&app, &links);
    assert_eq!(site.count("SELECT count(*) FROM links"), 0);
}

#[test]
fn asvs_6_5_5_links_end_after_a_day_and_invitations_after_a_week() {
    let site = site_of_ada();
    link(&site.url, "reset", ADA);
    link(&site.url, "invite", "eva@example.org");
    for (purpose, lasts) in [("password", 24), ("invitation", 7 * 24)] {
        let row = format!(
            "SELECT extract(epoch FROM expires_at - now())::BIGINT FROM links
             WHERE purpose = '{purpose}'"
        );
        let left = Duration::from_secs(site.count(&row).unsigned_abs());
        let (whole, since) = (Duration::from_hours(lasts), Duration::from_mins(5));
        assert!(left <= whole && left + since > whole, "{purpose}: {left:?}");
    }
}

#[test]
fn what_uses_a_link_up_looks_whether_it_is_this_one_and_still_valid() {
    let site = site_of_ada();
    let numbers = ["reset", "reset"].map(|command| {
        let link = link(&site.url, command, ADA);
        LinkHash::of(link.split_once('=').unwrap().1)
    });
    let end = "UPDATE links SET expires_at = now() WHERE ctid = (SELECT min(ctid) FROM links)";
    site.sql().batch_execute(end).unwrap();
    let sessions = Sessions::new(Pool::connect(&site.url).unwrap().into(), &config(&site.url));
    let (new, uid) = (Password::typed(NEW).hash(4).unwrap(), site.count("SELECT uid FROM users"));
    let set = |link| links::change_password(&sessions, uid, link, &new).unwrap();
    assert_eq!(set(LinkHash::of("another")), None);
    assert_eq!(set(numbers[0]), None, "it has ended");
    assert_eq!(site.count("SELECT count(*) FROM links"), 2);
    assert_eq!(site.count("SELECT count(*) FROM sessions"), 1);
    assert_eq!(set(numbers[1]), Some(1), "with Ada's session");
    assert_eq!(site.count("SELECT count(*) FROM links"), 0);
}
