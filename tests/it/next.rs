//! Return paths: where a login may lead.

use crate::support::browser::Browser;
use crate::support::site::{PASSWORD, Site, handler, register};

/// Values of `next` as they are after decoding, and whether they may be followed.
const UNSAFE: &[&str] = &[
    "http://example.com",
    "http:///example.com",
    "https://example.com",
    "ftp://example.com",
    "\\\\example.com",
    "\\\\\\example.com",
    "/\\\\/example.com",
    "\\\\//example.com",
    "/\\/example.com",
    "\\/example.com",
    "/\\example.com",
    "//example.com",
    "///example.com",
    "http:/\\//example.com",
    "http:\\/example.com",
    "http:/\\example.com",
    "javascript:alert(\"XSS\")",
    "\njavascript:alert(x)",
    "java\nscript:alert(x)",
    "\x08//example.com",
    "http://otherserver\\@example.com",
    "http:999999999",
    "view/?param=//example.com",
    "\n",
    "",
    " ",
    " /secret",
    "/ /example.com",
    "/\t/example.com",
    "/\n/example.com",
    "/\u{a0}/example.com",
    "/.//example.com",
    "/..//example.com",
    "/a/..//example.com",
    "/%2e//example.com",
    "//localhost@example.com",
    "/\u{2028}",
    "?next=/",
    "#",
];

const SAFE: &[&str] = &[
    "/",
    "/secret",
    "/download/cheat-sheet.txt",
    "/?param=http://example.com",
    "/secret?param=https://example.com",
    "/url%20with%20spaces/",
    "/confirm/me@example.com",
    "/secret?next=//example.com",
    "/a//b",
    "/:80/",
    "/%2f/example.com",
    "/%5cexample.com",
];

fn landing(app: crate::support::browser::Handler, next: &str) -> String {
    let mut browser = Browser::new(app);
    let query: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
    let form = browser.get(&format!("/login?next={query}")).form("/login");
    let by_form = browser.submit(form, &[("Email", "ada@example.org"), ("Password", PASSWORD)]);
    // The hidden field may be forged as well as the query.
    let fields = [("email", "ada@example.org"), ("password", PASSWORD), ("next", next)];
    let forged = Browser::new(app).post("/login", &fields);
    assert_eq!(by_form.location(), forged.location(), "{next:?}");
    by_form.location().to_owned()
}

#[test]
fn asvs_3_7_2_a_login_leads_only_to_paths_on_this_site() {
    let with_url = Site::with(|config| {
        config.public_url = Some("http://members.example.org:8080".parse().unwrap());
    });
    for site in [Site::new(), with_url] {
        let app = handler(&site.app);
        register(&mut Browser::new(&app), "Ada", "ada@example.org");
        for next in UNSAFE {
            assert_eq!(landing(&app, next), "/secret", "{next:?}");
        }
        for next in SAFE {
            assert_eq!(landing(&app, next), *next);
        }
        assert_eq!(landing(&app, "/caf\u{e9}"), "/caf%C3%A9", "a header is ASCII");
    }
}
