//! Return paths: where a login may lead.

use crate::support::browser::Browser;
use crate::support::site::{PASSWORD, Site, handler, register};

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
        for (next, target) in [
            ("/secret?a=b", "/secret?a=b"),
            ("/caf\u{e9}", "/caf%C3%A9"),
            ("https://example.com", "/secret"),
            ("//example.com", "/secret"),
            ("", "/secret"),
        ] {
            assert_eq!(landing(&app, next), target, "{next:?}");
        }
    }
}
