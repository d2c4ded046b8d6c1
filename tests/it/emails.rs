//! Which emails are one: the program folds them, whatever the cluster's locale.

use std::thread;

use doorward::{App, StartError};

use crate::support::browser::Browser;
use crate::support::site::{Database, PASSWORD, Site, config, handler, log_in, register};

/// Takes a database back to the schema before emails were folded.
const BEFORE: &str = "
    DROP TABLE links;
    ALTER TABLE users DROP COLUMN disabled_at;
    ALTER TABLE users DROP COLUMN email_folded;
    DROP INDEX users_cost_idx;
    CREATE UNIQUE INDEX users_email_key ON users (lower(email));
    ALTER TABLE users DROP COLUMN totp_key, DROP COLUMN totp_step, DROP COLUMN recovery_codes;
    ALTER TABLE sessions DROP COLUMN second_factor;
    DELETE FROM refinery_schema_history WHERE version > 2";

/// A site whose database has the locale `C`, which knows letters of ASCII alone.
fn site_in_c() -> Site {
    let database =
        Database::created_with("TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'");
    Site::on(database)
}

#[test]
fn capitals_make_no_second_account_in_a_cluster_of_any_locale() {
    for site in [Site::new(), site_in_c()] {
        let app = handler(&site.app);
        register(&mut Browser::new(&app), "Eva", "ÉVA@example.org");
        let fields = [
            ("first_name", "Eva"),
            ("last_name", "Lovelace"),
            ("email", "éva@EXAMPLE.org"),
            ("password", "kestrel 55 obelisk mango"),
            ("confirm", "kestrel 55 obelisk mango"),
        ];
        assert_eq!(Browser::new(&app).post("/register", &fields).location(), "/login");
        assert_eq!(log_in(&mut Browser::new(&app), "Éva@example.org", PASSWORD).status, 303);
        assert_eq!(site.count("SELECT count(*) FROM users"), 1);
    }
}

#[test]
fn asvs_6_3_1_no_spelling_of_an_email_gets_more_guesses() {
    let site = Site::new();
    let app = handler(&site.app);
    register(&mut Browser::new(&app), "Iii", "iii@example.org");
    // PostgreSQL makes i of İ in many locales, and Rust i with a dot above.
    for email in ["İii@example.org", "iİi@example.org", "İİİ@example.org"] {
        let page = log_in(&mut Browser::new(&app).at("192.0.2.1"), email, PASSWORD);
        assert_eq!(page.status, 401, "{email} is another email");
    }
    let mut eve = Browser::new(&app).at("198.51.100.1");
    let spellings = ["iii@example.org", "Iii@example.org", "iIi@Example.org", "III@EXAMPLE.ORG"];
    for n in 0..10 {
        assert_eq!(log_in(&mut eve, spellings[n % 4], "a guess").status, 401);
    }
    for email in spellings {
        assert_eq!(log_in(&mut eve, email, PASSWORD).status, 429, "{email}");
    }
}

#[test]
fn the_accounts_of_an_older_schema_are_found_as_before_and_nobody_is_logged_out() {
    let site = site_in_c();
    let app = handler(&site.app);
    let mut eva = Browser::new(&app);
    register(&mut eva, "Eva", "ÉVA@example.org");
    register(&mut Browser::new(&app), "Ada", "Ada@Example.org");
    site.sql().batch_execute(BEFORE).unwrap();
    let newer: Vec<App> = thread::scope(|scope| {
        let starts = [(); 4].map(|()| scope.spawn(|| App::new(config(&site.url)).unwrap()));
        starts.map(|start| start.join().unwrap()).into()
    });
    for app in &newer {
        let app = handler(app);
        let mut still_in = Browser::new(&app);
        still_in.jar = eva.jar.clone();
        assert_eq!(still_in.get("/secret").status, 200);
        for email in ["éva@example.org", "ada@example.org"] {
            assert_eq!(log_in(&mut Browser::new(&app), email, PASSWORD).status, 303, "{email}");
        }
    }
}

#[test]
fn two_accounts_that_have_become_one_are_named_and_nothing_is_lost() {
    let site = site_in_c();
    let app = handler(&site.app);
    register(&mut Browser::new(&app), "Eva", "ÉVA@example.org");
    site.sql().batch_execute(BEFORE).unwrap();
    let other = "INSERT INTO users (first_name, last_name, email, pwdhash)
        SELECT 'Éva', last_name, 'éva@example.org', pwdhash FROM users";
    site.sql().batch_execute(other).expect("two accounts, as this locale sees it");

    let error = App::new(config(&site.url)).err().expect("an error");
    assert!(matches!(error, StartError::Setting(..)), "{error}");
    let line = error.to_string();
    for part in ["ÉVA@example.org (uid 1)", "éva@example.org (uid 2)", "DELETE FROM users"] {
        assert!(line.contains(part) && !line.contains('\n'), "{part}: {line}");
    }
    assert_eq!(site.count("SELECT count(*) FROM users"), 2);

    site.sql().batch_execute("DELETE FROM users WHERE uid = 2").unwrap();
    let app = App::new(config(&site.url)).unwrap();
    assert_eq!(log_in(&mut Browser::new(&handler(&app)), "éva@example.org", PASSWORD).status, 303);
}
