//! The route table, the checks before a handler runs, and the pages for errors.
//!
//! Where a login is required, the table says `Members` or `Recent`. A handler that takes a [`Session`] cannot
//! be listed otherwise, because it would not compile, and only `sessions/` can make one: so a handler that uses
//! its member's session cannot forget the login. Handlers for everybody look at `visit.member`. One of them
//! does something for members: `POST /password`, which strangers with a link send, too.
//!
//! Only this file turns errors and panics into responses. A handler may show its own form again after too
//! many tries.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rouille::{Request, Response};

use self::Handler::{Anybody, Members, Open, Recent};
use crate::app::App;
use crate::error::Error;
use crate::events::{event, quoted};
use crate::http::{cross_origin, headers};
use crate::pages::secret::second_factor;
use crate::pages::{
    assets, error, index, links, login, login_code, password, probes, register, secret,
};
use crate::sessions::Session;
use crate::visit::Visit;

/// The listener omits the body of a response to HEAD.
const GET: &[&str] = &["GET", "HEAD"];
const POST: &[&str] = &["POST"];

/// Every route: its methods, its path, and its handler with the visitors that may use it. A `*` at the end
/// of a path matches any text.
const ROUTES: &[(&[&str], &str, Handler)] = &[
    (GET, "/", Anybody(index::show)),
    (GET, "/register", Anybody(register::show)),
    (POST, "/register", Anybody(register::submit)),
    (GET, "/login", Anybody(login::show)),
    (POST, "/login", Anybody(login::submit)),
    (GET, "/login/code", Anybody(login_code::show)),
    (POST, "/login/code", Anybody(login_code::submit)),
    (POST, "/logout", Anybody(login::log_out)),
    (GET, "/secret", Members(secret::show)),
    (GET, "/download/*", Members(secret::files::download)),
    (GET, "/password", Anybody(password::show)),
    (POST, "/password", Anybody(password::submit)),
    (POST, "/second-factor/new", Recent(second_factor::begin)),
    (POST, "/second-factor/confirm", Members(second_factor::confirm)),
    (POST, "/second-factor/off", Recent(second_factor::turn_off)),
    (POST, "/sessions/end", Recent(secret::sessions::end)),
    (POST, "/name", Members(secret::account::rename)),
    (POST, "/account/delete", Recent(secret::account::delete)),
    (GET, "/.well-known/change-password", Members(password::well_known)),
    (GET, "/auth", Anybody(probes::auth)),
    (GET, "/healthz", Open(probes::health)),
    (GET, "/robots.txt", Open(assets::robots)),
    (GET, "/favicon.ico", Open(assets::favicon)),
    (GET, "/assets/*", Open(assets::show)),
];

/// A handler, and the visitors that may use it.
enum Handler {
    /// For all visitors. Nobody is looked up, so `visit.member` is always `None`.
    Open(fn(&mut Visit) -> Result<Response, Error>),
    /// For all visitors. `visit.member` tells who is logged in.
    Anybody(fn(&mut Visit) -> Result<Response, Error>),
    /// For members only. The handler gets the member's session.
    Members(fn(&mut Visit, &Session) -> Result<Response, Error>),
    /// For members who have logged in less than 10 minutes ago. All others are asked to do so again.
    Recent(fn(&mut Visit, &Session) -> Result<Response, Error>),
}

impl App {
    /// Answers a request. Errors and panics become pages.
    pub fn handle(&self, request: &Request) -> Response {
        self.database.begin_request(request.remote_addr().ip());
        let mut response =
            catch_unwind(AssertUnwindSafe(|| self.answer(request))).unwrap_or_else(|_| {
                let panicked = Error::System("a handler panicked".to_owned());
                error::page(&mut Visit::new(self, request), &panicked)
            });
        headers::secure(&mut response, self.is_https(request));
        response
    }

    fn answer(&self, request: &Request) -> Response {
        let mut visit = Visit::new(self, request);
        let answered = match route(&mut visit) {
            Err(Error::LoginRequired) => login::redirect_here(&mut visit),
            Err(Error::LinkEnded) => links::redirect_ended(&mut visit),
            answered => answered,
        };
        let mut response = answered.unwrap_or_else(|error| explain(&mut visit, &error));
        visit.finish(&mut response);
        response
    }
}

fn route(visit: &mut Visit) -> Result<Response, Error> {
    if !cross_origin::is_allowed(visit.request, visit.app.config.public_url.as_ref()) {
        return Err(Error::CrossSite);
    }
    let handler = find(visit.request.method(), visit.path)?;
    if let Open(handler) = handler {
        return handler(visit);
    }
    visit.identify()?;
    if let Some(set_up) = second_factor::instead(visit)? {
        return Ok(set_up);
    }
    let member = visit.member.clone().ok_or(Error::LoginRequired);
    match handler {
        Open(handler) | Anybody(handler) => handler(visit),
        Members(handler) => handler(visit, &member?),
        Recent(handler) => {
            let session = member?;
            if session.is_recent() { handler(visit, &session) } else { Ok(login::ask_again()) }
        }
    }
}

/// The handler for a method and a path.
fn find(method: &str, path: &str) -> Result<&'static Handler, Error> {
    let is_here = |route: &str| match route.strip_suffix('*') {
        Some(beginning) => path.starts_with(beginning),
        None => path == route,
    };
    let here = || ROUTES.iter().filter(|(_, route, _)| is_here(route));
    if let Some((.., handler)) = here().find(|(methods, ..)| methods.contains(&method)) {
        return Ok(handler);
    }
    let allowed: Vec<&str> = here().flat_map(|(methods, ..)| *methods).copied().collect();
    Err(if allowed.is_empty() {
        Error::NotFound
    } else {
        Error::MethodNotAllowed(allowed.join(", "))
    })
}

/// The page for a request that failed. Its cause is logged, and not shown to the visitor.
fn explain(visit: &mut Visit, error: &Error) -> Response {
    let asked = quoted(&format!("{} {}", visit.request.method(), visit.path));
    match error {
        Error::CrossSite => event("cross-site-refused", visit.ip, &[("path", visit.path)]),
        // The log has a line for the whole outage.
        _ if error.is_outage() && visit.app.database.is_away() => {}
        Error::Busy(_) => log::warn!("{asked}: {error}"),
        _ if error.is_outage() || error.is_mistake() => log::error!("{asked}: {error}"),
        _ => log::debug!("{asked}: {error}"),
    }
    // The menu of the error page shows whether the visitor is logged in. For an unknown path nobody has
    // looked that up yet, so it is tried here. After an outage it is not, because the visitor has waited
    // already.
    if !visit.looked_up && !error.is_outage() && !error.is_mistake() {
        let _ = visit.identify();
    }
    error::page(visit, error)
}
