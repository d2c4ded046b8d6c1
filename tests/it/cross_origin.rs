//! Requests that another site made the browser send.

use crate::support::browser::Browser;
use crate::support::site::{PASSWORD, Site, handler, register};

/// One of each kind; the rules are tested beside their code.
const CASES: &[(u16, &[(&str, &str)])] = &[
    (303, &[]),
    (303, &[("Sec-Fetch-Site", "same-origin")]),
    (403, &[("Sec-Fetch-Site", "cross-site")]),
    (303, &[("Origin", "https://members.example.org")]),
    (403, &[("Origin", "null")]),
];

#[test]
fn asvs_3_5_1_another_site_can_make_nobody_log_in_register_or_log_out() {
    let site = Site::with(|config| {
        config.public_url = Some("https://members.example.org".parse().unwrap());
    });
    let app = handler(&site.app);
    register(&mut Browser::new(&app), "Ada", "ada@example.org");
    for (n, (status, headers)) in CASES.iter().enumerate() {
        let email = format!("{n}@example.org");
        let name = [("first_name", "Eve"), ("last_name", "Moore"), ("email", &email)];
        let passwords = [("password", PASSWORD), ("confirm", PASSWORD)];
        let registration = [&name[..], &passwords].concat();
        let login = [("email", "ada@example.org"), ("password", PASSWORD)];
        for (path, fields) in
            [("/login", &login[..]), ("/register", &registration), ("/logout", &[])]
        {
            // Another network each time, because registrations are counted.
            let mut browser = Browser::new(&app).at(&format!("198.51.100.{n}"));
            browser.headers.extend(headers.iter().map(|(n, v)| ((*n).into(), (*v).into())));
            let page = browser.post(path, fields);
            assert_eq!(page.status, *status, "{path} {headers:?}");
            let is_in = path != "/logout" && *status != 403;
            assert_eq!(browser.get("/secret").status == 200, is_in, "{path} {headers:?}");
        }
    }
}

#[test]
fn asvs_3_5_3_reading_is_allowed_from_anywhere_and_changes_nothing() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", "ada@example.org");
    ada.headers.push(("Sec-Fetch-Site".to_owned(), "cross-site".to_owned()));
    for path in ["/", "/secret", "/login", "/register", "/logout", "/password", "/sessions/end"] {
        assert_ne!(ada.get(path).status, 403, "{path}");
    }
    assert_eq!(ada.get("/secret").status, 200, "nothing changed");
    assert_eq!(site.count("SELECT count(*) FROM sessions"), 1);
}
