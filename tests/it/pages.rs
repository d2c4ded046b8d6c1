//! Every row of the table of requests: what strangers and members get.

use crate::support::browser::Browser;
use crate::support::site::{PASSWORD, Site, handler, log_in, register};

#[test]
fn a_stranger_registers_leaves_is_turned_away_and_comes_back_to_the_page_they_wanted() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    assert!(ada.get("/").text().contains("Hello, Anonymous!"));

    let secret = register(&mut ada, "Ada", "ada@example.org");
    assert_eq!(secret.texts("[role=status]"), ["Welcome, Ada! Your account was created."]);
    assert_eq!(secret.texts("h1"), ["Hello, Ada Lovelace!"]);
    assert!(ada.get("/").text().contains("Hello, Ada!"));

    let form = ada.get("/").form("/logout");
    let gone = ada.submit(form, &[]);
    assert_eq!(gone.location(), "/");
    assert_eq!(ada.get("/").texts("[role=status]"), ["You have been logged out."]);

    let away = ada.get("/download/cheat-sheet.txt");
    assert_eq!(away.location(), "/login?next=%2Fdownload%2Fcheat-sheet.txt");
    let login = ada.follow(away);
    assert_eq!(login.texts("[role=status]"), ["Please log in to see that page."]);
    let form = login.form("/login");
    let back = ada.submit(form, &[("Email", "ada@example.org"), ("Password", PASSWORD)]);
    assert_eq!(back.location(), "/secret", "a download would leave the form on the screen");
    assert_eq!(ada.follow(back).attributes(".files a", "href"), ["/download/cheat%2Dsheet%2Etxt"]);
}

#[test]
fn strangers_get_what_the_table_says() {
    let site = Site::new();
    let app = handler(&site.app);
    for (method, path, status, location) in [
        ("GET", "/", 200, None),
        ("HEAD", "/", 200, None),
        ("GET", "/register", 200, None),
        ("GET", "/login", 200, None),
        ("GET", "/secret", 303, Some("/login?next=%2Fsecret")),
        ("HEAD", "/secret", 303, Some("/login?next=%2Fsecret")),
        ("GET", "/secret?a=b", 303, Some("/login?next=%2Fsecret%3Fa%3Db")),
        ("GET", "/download/x", 303, Some("/login?next=%2Fdownload%2Fx")),
        ("POST", "/logout", 303, Some("/")),
        ("POST", "/password", 303, Some("/login")),
        ("POST", "/sessions/end", 303, Some("/login")),
        ("GET", "/auth", 401, Some("/login?next=%2F")),
        ("GET", "/healthz", 200, None),
        ("GET", "/nothing", 404, None),
        ("POST", "/nothing", 404, None),
    ] {
        let page = Browser::new(&app).request(method, path, &[], Vec::new());
        assert_eq!((page.status, page.header("Location")), (status, location), "{method} {path}");
    }
}

#[test]
fn members_get_what_the_table_says() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", "ada@example.org");
    for (path, status, location) in [
        ("/", 200, None),
        ("/register", 303, Some("/secret")),
        ("/login", 303, Some("/secret")),
        ("/login?next=%2F%3Fa%3Db", 303, Some("/?a=b")),
        ("/login?next=//example.org", 303, Some("/secret")),
        ("/secret", 200, None),
        ("/download/cheat-sheet.txt", 200, None),
        ("/download/nothing", 404, None),
        ("/download/", 404, None),
        ("/download", 404, None),
        ("/auth", 200, None),
        ("/healthz", 200, None),
        ("/nothing", 404, None),
    ] {
        let page = ada.get(path);
        assert_eq!((page.status, page.header("Location")), (status, location), "{path}");
    }
    ada.get("/register");
    assert_eq!(ada.get("/secret").texts("[role=status]"), ["You are already logged in."]);
}

#[test]
fn asvs_4_1_4_and_13_4_4_a_known_path_with_another_method_is_405_and_says_which_there_are() {
    let site = Site::new();
    let app = handler(&site.app);
    for (method, path, allow) in [
        ("POST", "/", "GET, HEAD"),
        ("DELETE", "/register", "GET, HEAD, POST"),
        ("PUT", "/login", "GET, HEAD, POST"),
        ("GET", "/logout", "POST"),
        ("DELETE", "/password", "GET, HEAD, POST"),
        ("GET", "/sessions/end", "POST"),
        ("POST", "/secret", "GET, HEAD"),
        ("POST", "/download/x", "GET, HEAD"),
        ("OPTIONS", "/auth", "GET, HEAD"),
        ("TRACE", "/healthz", "GET, HEAD"),
    ] {
        let page = Browser::new(&app).request(method, path, &[], Vec::new());
        assert_eq!((page.status, page.header("Allow")), (405, Some(allow)), "{method} {path}");
    }
}

#[test]
fn the_navigation_shows_to_each_what_is_for_them() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    let links = ["Home", "Secret", "Register", "Log in"];
    for path in ["/", "/register", "/login", "/nothing"] {
        assert_eq!(ada.get(path).texts("nav a"), links, "{path}");
    }
    register(&mut ada, "Ada", "ada@example.org");
    for path in ["/", "/secret", "/nothing"] {
        let page = ada.get(path);
        assert_eq!(page.texts("nav a"), ["Home", "Secret"], "{path}");
        assert_eq!(page.texts("nav form[action='/logout'] button"), ["Log out"], "{path}");
    }
}

#[test]
fn asvs_6_3_8_wrong_password_and_unknown_email_look_the_same() {
    let site = Site::new();
    let app = handler(&site.app);
    register(&mut Browser::new(&app), "Ada", "ada@example.org");
    let mut stranger = Browser::new(&app);
    let wrong = log_in(&mut stranger, "ada@example.org", "not the password");
    let unknown = log_in(&mut stranger, "bob@example.org", "not the password");
    assert_eq!((wrong.status, unknown.status), (401, 401));
    assert_eq!(wrong.texts("[role=alert]"), ["Incorrect email or password."]);
    assert_eq!(wrong.attributes("#email", "value"), ["ada@example.org"]);
    assert_eq!(wrong.attributes("[type=password]", "value"), [""; 0]);
    assert_eq!(wrong.html().replace("ada@", "bob@"), unknown.html());
}

#[test]
fn a_login_replaces_the_login_that_was_there() {
    let site = Site::new();
    let app = handler(&site.app);
    register(&mut Browser::new(&app), "Grace", "grace@example.org");
    let mut browser = Browser::new(&app);
    register(&mut browser, "Ada", "ada@example.org");
    let fields = [("email", "grace@example.org"), ("password", PASSWORD)];
    assert_eq!(browser.post("/login", &fields).location(), "/secret");
    assert_eq!(browser.get("/secret").texts("h1"), ["Hello, Grace Lovelace!"]);
    assert_eq!(site.count("SELECT count(*) FROM sessions"), 2, "Ada's is gone");
}

#[test]
fn an_email_is_the_same_whatever_its_capitals() {
    let site = Site::new();
    let app = handler(&site.app);
    register(&mut Browser::new(&app), "Ada", "Ada@Example.org");
    let mut browser = Browser::new(&app);
    assert_eq!(log_in(&mut browser, " ada@example.ORG ", PASSWORD).location(), "/secret");
}

#[test]
fn a_taken_email_leads_to_the_login() {
    let site = Site::new();
    let app = handler(&site.app);
    register(&mut Browser::new(&app), "Ada", "ada@example.org");
    let mut eve = Browser::new(&app);
    let form = eve.get("/register").form("/register");
    let done = eve.submit(
        form,
        &[
            ("First name", "Eve"),
            ("Last name", "Moore"),
            ("Email", "ADA@example.org"),
            ("New password", "kestrel 55 obelisk mango"),
            ("New password again", "kestrel 55 obelisk mango"),
        ],
    );
    assert_eq!(done.location(), "/login");
    let login = eve.follow(done);
    assert_eq!(login.texts("[role=alert]"), ["Email already registered. Log in instead."]);
    assert_eq!(login.attributes("#email", "value"), ["ADA@example.org"]);
    assert_eq!(eve.get("/secret").status, 303, "nobody was logged in");
}

#[test]
fn flash_messages_are_shown_once_and_not_to_head() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut stranger = Browser::new(&app);
    assert_eq!(stranger.get("/").header("Set-Cookie"), None, "nothing to tell, no session");
    stranger.get("/secret");
    stranger.get("/secret");
    stranger.request("HEAD", "/login", &[], Vec::new());
    assert_eq!(stranger.get("/login").texts(".flash").len(), 1);
    assert_eq!(stranger.get("/login").texts(".flash").len(), 0);
}

#[test]
fn asvs_2_3_4_twenty_simultaneous_registrations_of_one_email_make_one_user() {
    let site = Site::new();
    let mut statuses: Vec<(u16, String)> = std::thread::scope(|scope| {
        let one = || {
            let fields = [
                ("first_name", "Ada"),
                ("last_name", "Lovelace"),
                ("email", "ada@example.org"),
                ("password", PASSWORD),
                ("confirm", PASSWORD),
            ];
            let app = handler(&site.app);
            let page = Browser::new(&app).post("/register", &fields);
            (page.status, page.header("Location").unwrap_or_default().to_owned())
        };
        let all: Vec<_> = (0..20).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    statuses.sort();
    // One makes the account. The others are clicks on the same button: they log in, at most ten at once.
    let is_fine =
        |answer: &(u16, String)| *answer == (303, "/secret".to_owned()) || answer.0 == 429;
    assert!(statuses.iter().all(is_fine), "{statuses:?}");
    assert_eq!(statuses[0].0, 303);
    assert_eq!(site.count("SELECT count(*) FROM users"), 1);
}

#[test]
fn closed_registration_is_a_403_page_and_no_link_leads_to_it() {
    let site = Site::with(|config| config.registration = doorward::config::Registration::Closed);
    let app = handler(&site.app);
    let mut stranger = Browser::new(&app);
    assert_eq!(stranger.get("/register").status, 403);
    let refused = stranger.post("/register", &[("email", "ada@example.org")]);
    assert_eq!((refused.status, refused.texts("h1")), (403, vec!["Registration is closed".into()]));
    for path in ["/", "/login"] {
        assert!(!stranger.get(path).html().contains("/register"), "{path}");
    }
}

#[test]
fn assets_are_cached_for_a_year_and_nothing_else_is() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut stranger = Browser::new(&app);
    let page = stranger.get("/");
    assert_eq!(page.header("Cache-Control"), Some("no-store"));
    let assets = page.attributes("head link", "href");
    assert_eq!(assets.len(), 2);
    for path in assets {
        let asset = stranger.get(&path);
        assert_eq!(asset.status, 200, "{path}");
        assert_eq!(asset.header("Cache-Control"), Some("public, max-age=31536000, immutable"));
    }
    assert_eq!(stranger.get("/assets/style-00000000.css").status, 404);
}

#[test]
fn every_page_has_the_name_of_the_site_in_its_title_and_at_its_top() {
    let site = Site::with(|config| config.site_name = "Chess & Go".to_owned());
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", "ada@example.org");
    let mut stranger = Browser::new(&app);
    let mut pages: Vec<_> = ["/", "/secret", "/nothing"].map(|path| ada.get(path)).into();
    pages.extend(["/", "/login", "/register", "/nothing"].map(|path| stranger.get(path)));
    pages.push(log_in(&mut stranger, "ada@example.org", "wrong"));
    for page in pages {
        let titles = page.texts("title");
        assert!(titles.len() == 1 && titles[0].ends_with(" · Chess & Go"), "{titles:?}");
        assert_eq!(page.texts("header a.site"), ["Chess & Go"], "{titles:?}");
    }
}
