//! Requirements of OWASP ASVS 5.0 that no test beside this one proves, in the standard's order.

use std::time::{Duration, Instant};

use crate::support::browser::{Browser, Page};
use crate::support::site::{PASSWORD, Site, handler, log_in, register};
use crate::support::until;

/// One answer of every kind: pages, redirects, refusals, a download, an asset.
fn every_kind(app: crate::support::browser::Handler, https: bool) -> Vec<(String, Page)> {
    let mut ada = Browser::new(app);
    ada.https = https;
    register(&mut ada, "Ada", "ada@example.org");
    let mut stranger = Browser::new(app);
    stranger.https = https;
    let style = stranger.get("/").attributes("link[rel=stylesheet]", "href").remove(0);
    let mut all = Vec::new();
    for path in
        ["/", "/register", "/login", "/secret", "/nothing", "/logout", "/healthz", "/auth", &style]
    {
        all.push((format!("stranger {path}"), stranger.get(path)));
        all.push((format!("member {path}"), ada.get(path)));
    }
    all.push(("download".into(), ada.get("/download/cheat-sheet.txt")));
    all.push(("bad form".into(), stranger.post("/register", &[])));
    all.push(("wrong login".into(), log_in(&mut stranger, "ada@example.org", "wrong")));
    let forged = [("Sec-Fetch-Site", "cross-site")];
    all.push(("cross-site".into(), ada.request("POST", "/logout", &forged, Vec::new())));
    all.push((
        "login".into(),
        ada.post("/login", &[("email", "ada@example.org"), ("password", PASSWORD)]),
    ));
    all.push(("logout".into(), ada.post("/logout", &[])));
    all
}

#[test]
fn asvs_2_3_1_no_step_can_be_left_out() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut stranger = Browser::new(&app);
    let new = [("current_password", PASSWORD), ("password", "x"), ("confirm", "x")];
    assert_eq!(stranger.get("/secret").location(), "/login?next=%2Fsecret");
    assert_eq!(stranger.post("/password", &new).location(), "/login");
    assert_eq!(stranger.post("/sessions/end", &[("session", "1")]).location(), "/login");
}

#[test]
fn asvs_2_3_3_a_database_killed_in_the_middle_leaves_no_half_user() {
    let site = Site::new();
    let (mut made, mut refused) = (0, 0);
    for n in 0..20 {
        let kill = || site.database().set_reachable(true);
        std::thread::scope(|scope| {
            scope.spawn(kill);
            let email = format!("{n}@example.org");
            let app = handler(&site.app);
            let mut browser = Browser::new(&app).at(&format!("198.51.100.{n}"));
            let fields = [
                ("first_name", "Ada"),
                ("last_name", "Lovelace"),
                ("email", &email),
                ("password", PASSWORD),
                ("confirm", PASSWORD),
            ];
            match browser.post("/register", &fields).status {
                303 => made += 1,
                503 => refused += 1,
                other => panic!("{other}"),
            }
        });
    }
    let users = site.count("SELECT count(*) FROM users");
    assert!(users >= made && users <= made + refused, "{users} of {made} and {refused}");
    assert_eq!(site.count("SELECT count(*) FROM users WHERE length(pwdhash) <> 60"), 0);
}

#[test]
fn asvs_3_3_1_to_3_3_5_every_cookie_has_every_attribute() {
    for https in [false, true] {
        let site = Site::with(|config| {
            config.public_url = https.then(|| "https://members.example.org".parse().unwrap());
        });
        let mut cookies = 0;
        for (what, page) in every_kind(&handler(&site.app), false) {
            for cookie in page.all("Set-Cookie") {
                cookies += 1;
                let name = if https { "__Host-doorward=" } else { "doorward=" };
                assert!(cookie.starts_with(name), "{what}: {cookie}");
                assert!(
                    cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Lax"),
                    "{cookie}"
                );
                assert!(cookie.contains("; Path=/") && !cookie.contains("Domain"), "{cookie}");
                assert_eq!(cookie.contains("; Secure"), https, "{cookie}");
                assert!(cookie.len() < 4096);
            }
        }
        assert!(cookies >= 3, "some cookies were looked at");
    }
}

#[test]
fn asvs_3_4_1_to_3_4_8_every_answer_has_every_header() {
    let site = Site::new();
    for https in [false, true] {
        site.sql().batch_execute("DELETE FROM users").unwrap();
        for (what, page) in every_kind(&handler(&site.app), https) {
            let policy = page.header("Content-Security-Policy").unwrap_or_default();
            for part in [
                "default-src 'none'",
                "base-uri 'none'",
                "form-action 'self'",
                "frame-ancestors 'none'",
            ] {
                assert!(policy.contains(part), "{what}: {policy}");
            }
            assert!(!policy.contains("unsafe") && !policy.contains('*'));
            assert_eq!(page.header("X-Content-Type-Options"), Some("nosniff"), "{what}");
            assert_eq!(page.header("Referrer-Policy"), Some("same-origin"), "{what}");
            assert_eq!(page.header("Cross-Origin-Opener-Policy"), Some("same-origin"), "{what}");
            assert_eq!(page.header("Cross-Origin-Resource-Policy"), Some("same-origin"), "{what}");
            let hsts = page.header("Strict-Transport-Security");
            assert_eq!(hsts.is_some_and(|v| v.contains("max-age=31536000")), https, "{what}");
            assert_eq!(page.all("Content-Security-Policy").count(), 1);
        }
    }
}

#[test]
fn asvs_3_4_2_no_foreign_origin_may_read() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", "ada@example.org");
    ada.headers.push(("Origin".into(), "https://evil.example".into()));
    for (method, path) in [("GET", "/secret"), ("OPTIONS", "/secret"), ("GET", "/auth")] {
        let page = ada.request(method, path, &[], Vec::new());
        let cors = |(name, _): &(String, String)| name.to_lowercase().starts_with("access-control");
        assert!(!page.headers.iter().any(cors), "{method} {path}");
    }
}

#[test]
fn asvs_3_6_1_no_page_names_another_site() {
    let site = Site::new();
    for (what, page) in every_kind(&handler(&site.app), false) {
        if page.header("Content-Type").is_some_and(|kind| kind.starts_with("text/html")) {
            let html = page.html();
            assert!(!html.contains("//") && !html.contains("<script"), "{what}: {html}");
        }
    }
}

#[test]
fn asvs_4_1_1_every_body_says_what_it_is() {
    let site = Site::new();
    for (what, page) in every_kind(&handler(&site.app), false) {
        if !page.bytes.is_empty() {
            let kind = page.header("Content-Type").unwrap_or_default();
            assert!(kind.ends_with("; charset=utf-8"), "{what}: {kind}");
        }
    }
}

#[test]
fn asvs_6_3_2_an_empty_database_lets_nobody_in() {
    let site = Site::new();
    let app = handler(&site.app);
    for (n, email) in ["admin", "admin@localhost", "root", "postgres", ""].iter().enumerate() {
        let mut browser = Browser::new(&app).at(&format!("198.51.100.{n}"));
        for password in ["", "admin", "password", "postgres", "root"] {
            assert_eq!(log_in(&mut browser, email, password).status, 401, "{email} {password}");
        }
    }
    assert_eq!(site.count("SELECT count(*) FROM users"), 0);
}

#[test]
fn asvs_7_4_4_every_page_of_a_member_has_a_log_out_button() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", "ada@example.org");
    for path in ["/", "/secret", "/nothing"] {
        let buttons = ada.get(path).texts("nav form[action='/logout'] button");
        assert_eq!(buttons, ["Log out"], "{path}");
    }
}

#[test]
fn asvs_8_2_1_and_8_3_1_each_route_is_open_to_whom_it_should_be() {
    let site = Site::new();
    let app = handler(&site.app);
    let (mut ada, mut bob, mut gone) = (Browser::new(&app), Browser::new(&app), Browser::new(&app));
    register(&mut ada, "Ada", "ada@example.org");
    register(&mut bob, "Bob", "bob@example.org");
    register(&mut gone, "Eve", "eve@example.org");
    site.sql().batch_execute("DELETE FROM users WHERE first_name = 'Eve'").unwrap();
    std::thread::sleep(Duration::from_millis(1_050));
    let mut stranger = Browser::new(&app);
    for (path, outside, inside) in [
        ("/", 200, 200),
        ("/register", 200, 303),
        ("/login", 200, 303),
        ("/secret", 303, 200),
        ("/download/cheat-sheet.txt", 303, 200),
        ("/auth", 401, 200),
        ("/healthz", 200, 200),
    ] {
        assert_eq!(stranger.get(path).status, outside, "a stranger at {path}");
        assert_eq!(gone.get(path).status, outside, "a deleted user at {path}");
        assert_eq!(ada.get(path).status, inside, "a member at {path}");
        let page = bob.get(path);
        assert_eq!(page.status, inside, "a member at {path}");
        let text = String::from_utf8_lossy(&page.bytes).into_owned();
        assert!(!text.contains("Ada") && !text.contains("ada@"), "Bob sees Ada at {path}");
    }
}

#[test]
fn asvs_13_1_3_with_every_connection_in_use_the_answer_is_503_in_time() {
    let site = Site::new();
    let app = handler(&site.app);
    register(&mut Browser::new(&app), "Ada", "ada@example.org");
    let mut holder = site.sql();
    let mut lock = holder.transaction().unwrap();
    lock.batch_execute("LOCK TABLE users").unwrap();
    let statuses = std::thread::scope(|scope| {
        let log_in_from = |n: u8| {
            let mut browser = Browser::new(&app).at(&format!("198.51.100.{n}"));
            log_in(&mut browser, "ada@example.org", PASSWORD).status
        };
        let begun = Instant::now();
        let logins: Vec<_> = (0..20).map(|n| scope.spawn(move || log_in_from(n))).collect();
        until(|| site.waiting() == 8);
        assert_eq!(Browser::new(&app).get("/").status, 200, "what needs no database goes on");
        let statuses: Vec<u16> = logins.into_iter().map(|login| login.join().unwrap()).collect();
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
        statuses
    });
    assert_eq!(statuses, [503; 20]);
    until(|| site.waiting() == 0); // the server gives up as well
    lock.commit().unwrap();
    assert_eq!(log_in(&mut Browser::new(&app), "ada@example.org", PASSWORD).status, 303);
}

#[test]
fn asvs_13_4_1_and_13_4_6_nothing_extra_is_served_and_no_header_names_a_version() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", "ada@example.org");
    for path in [
        "/.git/config",
        "/.env",
        "/Cargo.toml",
        "/assets/",
        "/download/",
        "/server-status",
        "/metrics",
    ] {
        assert_eq!(ada.get(path).status, 404, "{path}");
    }
    for (what, page) in every_kind(&handler(&Site::new().app), false) {
        for (name, value) in &page.headers {
            let name = name.to_lowercase();
            assert!(name != "server" && !name.starts_with("x-powered"), "{what}: {name}");
            assert!(!value.contains("doorward/") && !value.contains("rouille"), "{what}: {value}");
        }
    }
}

#[test]
fn asvs_14_2_1_14_2_2_and_14_3_1_nothing_secret_is_in_an_address_or_a_cache() {
    let site = Site::new();
    for (what, page) in every_kind(&handler(&site.app), false) {
        let location = page.header("Location").unwrap_or_default();
        assert!(!location.contains("password") && !location.contains('@'), "{what}: {location}");
        let is_asset = what.contains("/assets/");
        assert_eq!(page.header("Cache-Control") == Some("no-store"), !is_asset, "{what}");
    }
}
