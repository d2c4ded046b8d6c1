//! **doorward** is a login and registration server: four pages, one synchronous program, users in
//! PostgreSQL.
//!
//! # The way of a request
//!
//! It goes one way, without back and forth, and no file leads back to itself by what it uses.
//!
//! 1. [`http::listener`] reads it off a socket, within its limits.
//! 2. `router.rs`, which is [`App::handle`], asks whether another site is behind it, finds it in the route
//!    table, looks the visitor up, and turns strangers away from what is for members.
//! 3. A handler in `pages/` is given the visit: the request, who the visitor is, and what all handlers
//!    share. It reads the form, makes one decision, and answers: markup, a file, or a redirect with a
//!    message for the next page.
//! 4. For that it asks [`accounts`] and [`sessions`], which know nothing of HTTP. They ask [`database`].
//! 5. Back in `router.rs`, the answer gets its cookie and headers. An [`Error`], from however deep,
//!    becomes a page or a redirect to the login there and nowhere else.
//! 6. The listener writes it.
//!
//! # What always holds
//!
//! `tests/it/house.rs` checks what can be read off the text.
//!
//! - No SQL outside `accounts/`, `sessions/`, `database/` and `admin/check.rs`. No HTML outside `pages/`. No
//!   `Set-Cookie` outside `visit.rs`.
//! - `accounts/` and `sessions/` never see a request or a response; `http/` never sees a user.
//! - A handler for members takes a [`Session`](sessions::Session), which `sessions/` alone can make and the
//!   route table passes. What is for members alone cannot forget to ask.
//! - What ends sessions in the table ends them in memory in the same function.
//! - What a form may well say, such as a wrong password, is a value. Whatever keeps a handler from
//!   its usual answer is an [`Error`]. A database that does not answer is never taken for a "no".
//! - Whatever takes long, because a visitor asked for it or because the database is slow, is done in a
//!   `line`: with a deadline, and in turn.
//! - Secrets (session ids, passwords, hashes) are types of their own that cannot be printed, from
//!   the moment they are read out of a form or a row.
//! - The listener hands requests on just as tests make them, through
//!   [`Request::fake_http_from`](rouille::Request::fake_http_from): what passes in a test is what
//!   runs.
//!
//! # In a server of your own
//!
//! [`App::handle`] is a function from a request to a response, so the application runs wherever
//! rouille's requests come from, rouille's own server included:
//!
//! ```no_run
//! let config = doorward::Config::new("postgres://doorward@localhost/doorward");
//! let app = doorward::App::new(config).unwrap();
//! rouille::start_server("127.0.0.1:8080", move |request| app.handle(request));
//! ```
//!
//! # In tests
//!
//! No socket is needed to see what a request does. `tests/it/browser.rs` builds a browser on this,
//! with cookies, redirects and forms filled by their labels. It asks for nothing but a function from
//! request to response; copy it into the tests of any application on rouille.
//!
//! ```
//! # mod browser { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/browser.rs")); }
//! use browser::Browser;
//! use doorward::{App, Config};
//! use rouille::Request;
//!
//! let app = App::new(Config::new(&std::env::var("DATABASE_URL").unwrap())).unwrap();
//! let home = app.handle(&Request::fake_http("GET", "/", vec![], vec![]));
//! assert_eq!(home.status_code, 200);
//!
//! let handler = |request: &Request| app.handle(request);
//! let mut stranger = Browser::new(&handler);
//! let turned_away = stranger.get("/secret");
//! let login = stranger.follow(turned_away);
//! assert!(login.text().contains("Please log in to see that page."));
//!
//! let typed = [("Email", "ada@example.org"), ("Password", "a guess")];
//! let answer = stranger.submit(login.form("/login"), &typed);
//! assert_eq!(answer.status, 401);
//! assert_eq!(answer.texts("h1"), ["Log in"]);
//! ```

mod app;
mod router;
mod visit;

mod pages;

pub mod accounts;
pub mod sessions;

pub mod database;
mod files;
mod line;
mod network;

pub mod http;

pub mod admin;
pub mod config;
pub mod environment;
mod error;
pub mod events;
pub mod process;
pub mod starting;

pub use app::App;
pub use config::Config;
pub use error::{Error, StartError};
