//! **doorward** is a login and registration server: a few pages, one synchronous program, users in
//! PostgreSQL.
//!
//! # The way of a request
//!
//! There are no circular dependencies between files, save that a folder's `mod.rs` and the files beside it
//! may use each other.
//!
//! 1. [`http::listener`] reads the request from a socket, within its limits.
//! 2. `router.rs`, with [`App::handle`], refuses forms that another site sent, finds the route, looks the
//!    visitor up, and redirects strangers from members' pages to the login.
//! 3. A handler in `pages/` gets the visit: the request, its visitor, and what all handlers share. It reads
//!    the form, makes one decision, and responds with HTML, a file, or a redirect with a message for the
//!    next page.
//! 4. The handler calls [`accounts`] and [`sessions`], which know nothing of HTTP. They use [`database`].
//! 5. `router.rs` adds cookie and headers to the response. There, an [`Error`] from any function becomes an
//!    error page or a redirect to the login; after too many tries, a handler shows its own form again.
//! 6. The listener writes the response.
//!
//! For a login, from the first byte to the session:
//!
//! | What happens | Where | If not |
//! |---|---|---|
//! | the connection gets a place in the table | `admit` in `http/listener.rs` | 503: this network, or all together, have too many |
//! | bytes arrive, and a worker takes the connection | `Workers::work` in `http/workers.rs` | closed after 15 s without any |
//! | bytes are collected until a whole request is there | `Connection::read` in `http/connection.rs` | 408 after 10 s |
//! | head and body are split, strictly | `Head::parse` in `http/read.rs` | 400, 413, 414, 417, 431, 501 or 505 |
//! | the sender is found behind trusted proxies, and a [`Request`](rouille::Request) is made | `http/forwarded.rs` | |
//! | the application has started | `Starting::handle` in `starting.rs`, which calls [`App::handle`] | 503 while the database was never reached |
//! | the form does not come from another site | `route` in `router.rs`, by `http/cross_origin.rs` | 403 |
//! | the path and the method are in the route table | `find` in `router.rs` | 404 or 405 |
//! | the cookie's session is looked up, in memory or in the table | `Visit::identify`, `Sessions::find` | 503 if the database does not answer |
//! | the form is read, and email and password are checked | `submit` in `pages/login.rs`, `accounts/authentication.rs` | 401, or 429 after too many tries |
//! | the user has no second factor | `log_in` in `pages/login.rs` | redirected to `/login/code` |
//! | a session begins, in memory and in the table | `Visit::log_in`, `Sessions::begin` | back to `/login` if the user has changed meanwhile |
//! | the response gets its cookie, and its headers | `App::answer` and `App::handle` in `router.rs` | |
//!
//! # Many connections, few threads
//!
//! Handlers are plain blocking code, and most connections have nothing to do. So a thread belongs to a
//! request, not to a connection. A connection that waits for its client is *parked*: a place in a table,
//! the bytes that it has received so far, and a deadline. The kernel watches all parked sockets at once
//! (`epoll`), and says on which one there is something to read, or room to write.
//!
//! A few threads, the *workers*, wait for these events. A worker takes the connection out of the table,
//! reads what has arrived, calls the handler if that completes a request, sends what the socket accepts,
//! and parks the connection again. Taking it out is the whole rule of ownership: whoever has taken a
//! connection has it alone, so connections need no locks.
//!
//! Events are *edges*: one for each arrival, not one as long as there is something to read. So nothing
//! has to be switched off while a worker has the connection, and on again afterwards, and an answer takes
//! three system calls: wait, read, write. The price is that an arrival which nobody sees is never told
//! again. So a worker that parks a connection and has not read everything asks the kernel for another
//! event. And an event for a connection that is taken is noted in the table, and asked for again when that
//! connection is parked.
//!
//! A handler that waits for a hash or a query holds its worker. A supervisor looks at the busy workers
//! every millisecond, and replaces each that is still at the same event. A worker that was replaced can
//! replace others for a second after its request, and then ends. A client that reads slowly holds nobody:
//! the rest of its answer is parked with its connection.
//!
//! # What always holds
//!
//! `tests/it/house.rs` checks those of these rules that can be checked in the source text.
//!
//! - No SQL outside `accounts/`, `sessions/`, `database/` and `admin/check.rs`. No HTML outside `pages/`. No
//!   `Set-Cookie` outside `visit.rs`.
//! - `accounts/` and `sessions/` never see a request or a response; `http/` never sees a user.
//! - What is done for a member takes the member's [`Session`](sessions::Session), which only `sessions/` can
//!   make. The route table passes it to the handlers that it lists for members. Pages that are for everybody
//!   look at `visit.member`; one of them, `POST /password`, passes it on.
//! - A function that ends sessions in the table also ends them in memory.
//! - An expected outcome, such as a wrong password, is a value. Everything else that prevents the usual
//!   response is an [`Error`]. A database that does not answer never counts as "no such user or session".
//! - Slow work (hashing and judging passwords, and database queries) runs in a `line`. A query has a
//!   deadline, and so has the beginning of work on a password. Networks take turns in both lines.
//! - Secrets (session ids, passwords, hashes) have types of their own that cannot be printed, from the
//!   moment when a handler or a query takes them from a form or a row.
//! - The listener builds requests with the same function as the tests,
//!   [`Request::fake_http_from`](rouille::Request::fake_http_from), so tests and server treat them alike.
//!
//! # In a server of your own
//!
//! [`App::handle`] is a function from a request to a response, so the application also runs in other
//! servers for rouille's requests, such as rouille's own:
//!
//! ```no_run
//! let config = doorward::Config::new("postgres://doorward@localhost/doorward");
//! let app = doorward::App::new(config).unwrap();
//! rouille::start_server("127.0.0.1:8080", move |request| app.handle(request));
//! ```
//!
//! # In tests
//!
//! A test needs no socket. `tests/support/browser.rs` is a browser for tests, which keeps cookies, follows
//! redirects, and fills in forms by their labels. It needs only a function from request to response, so
//! you can copy it into the tests of any application on rouille.
//!
//! ```
//! # mod browser { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/browser.rs")); }
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
mod fresh;
mod line;
mod network;
mod random;

pub mod http;

pub mod admin;
pub mod config;
mod error;
pub mod events;
pub mod process;
pub mod starting;

pub use app::App;
pub use config::Config;
pub use error::{Error, StartError};
pub use pages::refusals::pages as refusal_pages;
