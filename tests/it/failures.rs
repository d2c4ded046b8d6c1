//! What happens when something breaks.

use doorward::{App, Config, StartError};

use crate::support::browser::Browser;
use crate::support::site::{PASSWORD, Site, config, handler, log_in, register};
use crate::support::until;

#[test]
fn asvs_16_5_2_and_16_5_3_a_lost_database_is_a_503_page_and_service_returns_with_it() {
    let site = Site::new();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    register(&mut ada, "Ada", "ada@example.org");
    site.database().set_reachable(false);
    std::thread::sleep(std::time::Duration::from_millis(1_100));

    for path in ["/", "/secret", "/login"] {
        let page = ada.get(path);
        assert_eq!(page.status, 503, "{path}");
        assert!(page.header("Retry-After").is_some());
        let text = page.text();
        assert!(
            !text.contains("Ada") && !text.contains("Log in"),
            "nobody knows who this is: {text}"
        );
    }
    assert_eq!(ada.get("/healthz").status, 503);
    let mut stranger = Browser::new(&app);
    assert_eq!(stranger.get("/").status, 200, "a stranger without a cookie needs no database");
    let fields = [("email", "ada@example.org"), ("password", PASSWORD)];
    let page = stranger.post("/login", &fields);
    assert_eq!(page.status, 503);
    assert!(!page.text().contains("Incorrect"));

    site.database().set_reachable(true);
    until(|| ada.get("/secret").status == 200);
    assert_eq!(log_in(&mut stranger, "ada@example.org", PASSWORD).status, 303);
}

#[test]
fn asvs_16_5_1_and_16_5_4_a_panic_is_a_500_page_that_says_nothing_of_it() {
    let site = Site::new();
    let (app, jar) = site.panicking_twin();
    let app = handler(&app);
    let mut ada = Browser::new(&app);
    ada.jar = jar;
    let page = ada.get("/secret");
    assert_eq!(page.status, 500);
    assert_eq!(page.texts("h1"), ["Something broke"]);
    assert!(!page.html().contains("first_name"));
    assert!(page.header("Content-Security-Policy").is_some());
    assert_eq!(Browser::new(&app).get("/").status, 200);
}

#[test]
fn no_database_at_the_start_is_an_error_that_names_the_setting() {
    for (url, is_setting) in [
        ("", true),
        ("mysql://", true),
        ("postgres://127.0.0.1:1/none", false),
        ("host=/nowhere", false),
    ] {
        let error = App::new(Config::new(url)).err().expect("an error");
        assert_eq!(matches!(error, StartError::Setting(..)), is_setting, "{error}");
        let line = error.to_string();
        assert!(line.contains("DATABASE_URL") && !line.contains('\n'), "{line}");
    }
}

#[test]
fn a_database_of_a_newer_program_ends_the_start_and_is_not_waited_for() {
    let site = Site::new();
    let newer =
        "INSERT INTO refinery_schema_history VALUES (1000, 'newer', '2026-01-01T00:00:00Z', '0')";
    site.sql().batch_execute(newer).unwrap();
    let error = App::new(config(&site.url)).err().expect("an error");
    assert!(matches!(error, StartError::Setting(..)), "{error}");
    assert!(error.to_string().starts_with("DATABASE_URL: its tables: "), "{error}");
}
