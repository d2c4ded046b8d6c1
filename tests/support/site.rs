//! A server for one test: the application on a database of its own, which is gone afterwards.

use std::collections::BTreeMap;
use std::env;
use std::sync::atomic::{AtomicU32, Ordering};

use doorward::{App, Config};
use postgres::{Client, NoTls};
use rouille::{Request, Response};

use super::browser::{Browser, Page};

/// The name of the cookie.
pub const NAME: &str = "doorward";

/// A password that is strong enough for everybody here.
pub const PASSWORD: &str = "plover quartz 81 lagoon";

/// The form that changes it.
pub const NEW_PASSWORD: [(&str, &str); 3] = [
    ("current_password", PASSWORD),
    ("password", "kestrel 55 obelisk mango"),
    ("confirm", "kestrel 55 obelisk mango"),
];

/// An application with a database of its own.
pub struct Site {
    pub app: App,
    pub url: String,
    database: Database,
}

/// A database that is dropped with the value.
pub struct Database {
    admin: String,
    name: String,
}

impl Database {
    pub fn new() -> Database {
        Database::created_with("")
    }

    /// With options of `CREATE DATABASE`.
    pub fn created_with(options: &str) -> Database {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let admin = env::var("DATABASE_URL")
            .expect("DATABASE_URL, where databases may be made: `make test` sets it");
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        let database = Database { admin, name };
        database.administer(&format!("CREATE DATABASE {} {options}", database.name));
        database
    }

    pub fn url(&self) -> String {
        let mut url = url::Url::parse(&self.admin).expect("DATABASE_URL, as a URL");
        url.set_path(&self.name);
        url.into()
    }

    /// Runs statements on the server, outside this database.
    pub fn administer(&self, sql: &str) {
        let mut admin = Client::connect(&self.admin, NoTls).expect("the database of DATABASE_URL");
        admin.batch_execute(sql).unwrap();
    }

    /// Whether connections are let in. Those that are open are cut off.
    pub fn set_reachable(&self, reachable: bool) {
        let name = &self.name;
        self.administer(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {reachable}"));
        self.administer(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        ));
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.administer(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

impl Site {
    pub fn new() -> Site {
        Site::with(|_| ())
    }

    /// A site with other settings than usual.
    pub fn with(change: impl FnOnce(&mut Config)) -> Site {
        let database = Database::new();
        let mut config = config(&database.url());
        change(&mut config);
        Site { app: App::new(config).unwrap(), url: database.url(), database }
    }

    /// A site on a database that is there already.
    pub fn on(database: Database) -> Site {
        Site { app: App::new(config(&database.url())).unwrap(), url: database.url(), database }
    }

    /// The same site in a second process, as far as the first can tell.
    pub fn twin(&self) -> App {
        App::new(config(&self.url)).unwrap()
    }

    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The same site, with a member whose every request panics: a name is of no type that a name can be.
    pub fn panicking_twin(&self) -> (App, BTreeMap<String, String>) {
        let app = handler(&self.app);
        let mut ada = Browser::new(&app);
        register(&mut ada, "Ada", "ada@example.org");
        let change = "ALTER TABLE users
            ALTER COLUMN first_name TYPE BYTEA USING convert_to(first_name, 'UTF8')";
        self.sql().batch_execute(change).unwrap();
        (self.twin(), ada.jar)
    }

    pub fn sql(&self) -> Client {
        Client::connect(&self.url, NoTls).unwrap()
    }

    /// How many rows a query counts.
    pub fn count(&self, sql: &str) -> i64 {
        self.sql().query_one(sql, &[]).unwrap().get(0)
    }

    /// How many queries wait for the end of another one's transaction.
    pub fn waiting(&self) -> i64 {
        self.count(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
    }
}

pub fn config(url: &str) -> Config {
    let mut config = Config::new(url);
    // Cheap enough for hundreds of logins; the command line refuses it.
    config.bcrypt_cost = 4;
    config
}

/// `handler(&app)` is what a browser talks to.
pub fn handler(app: &App) -> impl Fn(&Request) -> Response {
    |request| app.handle(request)
}

/// Registers somebody by the form, and lands on the secret page.
pub fn register(browser: &mut Browser, first_name: &str, email: &str) -> Page {
    let form = browser.get("/register").form("/register");
    let done = browser.submit(
        form,
        &[
            ("First name", first_name),
            ("Last name", "Lovelace"),
            ("Email", email),
            ("New password", PASSWORD),
            ("New password again", PASSWORD),
        ],
    );
    assert_eq!(done.location(), "/secret");
    browser.follow(done)
}

/// Logs somebody in by the form; the answer is not followed.
pub fn log_in(browser: &mut Browser, email: &str, password: &str) -> Page {
    let form = browser.get("/login").form("/login");
    browser.submit(form, &[("Email", email), ("Password", password)])
}

/// Whether somebody is logged in.
pub fn is_in(browser: &mut Browser) -> bool {
    browser.get("/secret").status == 200
}
