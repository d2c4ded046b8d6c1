//! The application: guards, the route table, and what becomes of errors.
//!
//! In: a [`Request`]. Out: a [`Response`], always: errors and panics become pages here and nowhere
//! else. A handler for members takes a [`Session`], which the route table passes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rouille::{Request, Response};

use crate::config::{Config, Registration};
use crate::database::Database;
use crate::endpoints;
use crate::error::Error;
use crate::events::event;
use crate::http::form::Form;
use crate::http::{cross_origin, headers};
use crate::pages::{self, index, login, register, secret};
use crate::passwords::Passwords;
use crate::sessions::{Session, Sessions};
use crate::throttle::Throttle;
use crate::visit::Visit;

/// How often what has expired is dropped.
const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// The whole application. One of these answers every request, from as many threads as you like.
pub struct App {
    pub(crate) config: Config,
    pub(crate) database: Arc<Database>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) passwords: Passwords,
    pub(crate) throttle: Throttle,
}

/// Who may come to a handler, and the handler.
enum Handler {
    /// Anybody, and nobody is looked up.
    Open(fn(&App, &Request) -> Result<Response, Error>),
    /// Anybody, looked up.
    Anybody(fn(&App, &mut Visit, &Request) -> Result<Response, Error>),
    /// Members only.
    Members(fn(&App, &mut Visit, &Request, &Session) -> Result<Response, Error>),
}

use Handler::{Anybody, Members, Open};

/// What answers GET answers HEAD, too.
const GET: &str = "GET, HEAD";
const POST: &str = "POST";

/// Every route. A path that ends in a star stands for all that begin like it.
const ROUTES: &[(&str, &str, Handler)] = &[
    (GET, "/", Anybody(index::show)),
    (GET, "/register", Anybody(register::show)),
    (POST, "/register", Anybody(register::submit)),
    (GET, "/login", Anybody(login::show)),
    (POST, "/login", Anybody(login::submit)),
    (POST, "/logout", Anybody(login::log_out)),
    (GET, "/secret", Members(secret::show)),
    (GET, "/download/*", Members(secret::download)),
    (POST, "/password", Members(secret::change_password)),
    (POST, "/sessions/end", Members(secret::end_session)),
    (GET, "/auth", Anybody(endpoints::auth)),
    (GET, "/healthz", Open(endpoints::health)),
    (GET, "/assets/*", Open(endpoints::assets)),
];

impl App {
    /// Connects to the database, brings its schema up to date and starts to sweep.
    ///
    /// # Errors
    /// [`Error::Setting`] for a setting that cannot work, [`Error::Database`] without a database.
    pub fn new(config: Config) -> Result<App, Error> {
        if let Some(folder) = config.files.as_ref().filter(|folder| !folder.is_dir()) {
            let cause = format!("{} is not a folder", folder.display());
            return Err(Error::Setting("DOORWARD_FILES", cause));
        }
        let database = Arc::new(Database::connect(&config.database_url)?);
        let sessions = Arc::new(Sessions::new(Arc::clone(&database), &config));
        sweep_in_background(&sessions);
        let passwords = Passwords::new(config.bcrypt_cost)?;
        Ok(App { config, database, sessions, passwords, throttle: Throttle::new() })
    }

    /// Answers a request.
    pub fn handle(&self, request: &Request) -> Response {
        self.guarded(request, || self.answer(request))
    }

    /// Answers with whatever `answer` returns, or with a 500 page if it panics, and adds the headers.
    /// Public for tests, which pass a panic.
    #[doc(hidden)]
    pub fn guarded(&self, request: &Request, answer: impl FnOnce() -> Response) -> Response {
        let mut response = catch_unwind(AssertUnwindSafe(answer)).unwrap_or_else(|_| {
            let error = Error::System("a handler panicked".to_owned());
            pages::error::page(self, &mut Visit::new(self, request), &error)
        });
        headers::secure(&mut response, self.is_https(request));
        response
    }

    /// Whether the visitor came by https, as far as the settings or a trusted proxy tell.
    pub(crate) fn is_https(&self, request: &Request) -> bool {
        self.config.is_https() || request.is_secure()
    }

    /// Whether strangers may make an account.
    pub(crate) fn may_register(&self) -> bool {
        self.config.registration == Registration::Open
    }

    /// The form that came with a request, within the limits of the settings.
    ///
    /// # Errors
    /// As [`Form::read`].
    pub(crate) fn form(&self, request: &Request) -> Result<Form, Error> {
        Form::read(request, self.config.limits.max_body_bytes)
    }

    fn answer(&self, request: &Request) -> Response {
        self.database.begin_request();
        let mut visit = Visit::new(self, request);
        let answered = match self.route(&mut visit, request) {
            Err(Error::LoginRequired) => login::lead_here(self, &mut visit, request),
            answered => answered,
        };
        let mut response =
            answered.unwrap_or_else(|error| self.explain(&mut visit, request, &error));
        visit.finish(self, &mut response);
        response
    }

    fn route(&self, visit: &mut Visit, request: &Request) -> Result<Response, Error> {
        if !cross_origin::is_allowed(request, self.config.public_url.as_ref()) {
            return Err(Error::CrossSite);
        }
        match find(request.method(), visit.path)? {
            Open(handler) => handler(self, request),
            Anybody(handler) => {
                visit.identify(self)?;
                handler(self, visit, request)
            }
            Members(handler) => {
                visit.identify(self)?;
                let session = visit.member.clone().ok_or(Error::LoginRequired)?;
                handler(self, visit, request, &session)
            }
        }
    }

    /// The answer to a request that failed. What the visitor need not know goes to the log.
    fn explain(&self, visit: &mut Visit, request: &Request, error: &Error) -> Response {
        let path = visit.path.escape_debug();
        match error {
            Error::CrossSite => event("cross-site-refused", visit.ip, &[("path", visit.path)]),
            Error::Busy(_) => log::warn!("{} {path}: {error}", request.method()),
            Error::Setting(..)
            | Error::Database(_)
            | Error::Query(_)
            | Error::System(_)
            | Error::Refused(_) => {
                log::error!("{} {path}: {error}", request.method());
                return pages::error::page(self, visit, error);
            }
            _ => log::debug!("{} {path}: {error}", request.method()),
        }
        // On an unknown path nobody was looked up yet: try, for the menu, and do without if it fails.
        // Not after an outage: the visitor has waited already.
        if !visit.looked_up && !error.is_outage() {
            let _ = visit.identify(self);
        }
        pages::error::page(self, visit, error)
    }
}

/// The handler for a method and path.
fn find(method: &str, path: &str) -> Result<&'static Handler, Error> {
    let is_here = |route: &str| {
        route.strip_suffix('*').map_or(route == path, |beginning| path.starts_with(beginning))
    };
    let mut allow = Vec::new();
    for (methods, _, handler) in ROUTES.iter().filter(|(_, route, _)| is_here(route)) {
        if methods.split(", ").any(|one| one == method) {
            return Ok(handler);
        }
        allow.push(*methods);
    }
    Err(if allow.is_empty() { Error::NotFound } else { Error::MethodNotAllowed(allow.join(", ")) })
}

/// Sweeps until the [`App`] is dropped.
fn sweep_in_background(sessions: &Arc<Sessions>) {
    let sessions = Arc::downgrade(sessions);
    thread::spawn(move || {
        loop {
            thread::sleep(SWEEP_EVERY);
            let Some(sessions) = sessions.upgrade() else { return };
            if let Err(error) = sessions.sweep() {
                log::warn!("sessions: cannot sweep: {error}");
            }
        }
    });
}
