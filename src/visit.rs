//! One request and its visitor. Every handler gets a [`Visit`].
//!
//! This file connects requests with sessions, by the cookie. No other file writes `Set-Cookie`.

use std::net::IpAddr;
use std::time::Duration;

use cookie::{Cookie, SameSite};
use rouille::{Request, Response};

use crate::accounts::passwords::PasswordHash;
use crate::app::App;
use crate::error::Error;
use crate::events;
use crate::http::form::Form;
use crate::http::next::ReturnPath;
use crate::sessions::{
    Carried, Flash, IdHash, LoginDetails, MESSAGE_LIFETIME, Proof, Session, SessionId, Which,
};

/// At most this many bytes of the `User-Agent` header are stored.
const MAX_USER_AGENT_BYTES: usize = 200;

/// The lifetime of a stranger's session that holds a kept value.
const KEEPING_LIFETIME: Duration = Duration::from_hours(1);

/// A request, and what is known of its visitor.
pub struct Visit<'a> {
    /// The application.
    pub app: &'a App,
    /// The request.
    pub request: &'a Request,
    /// The visitor's address.
    pub ip: IpAddr,
    /// The requested path, without the query.
    pub path: &'a str,
    /// The hash of the session id in the cookie. The session may be a member's or a stranger's, or may
    /// have ended. `None` without such a cookie.
    pub id_hash: Option<IdHash>,
    /// Whether [`identify`](Self::identify) has succeeded.
    pub looked_up: bool,
    /// The visitor's login session. `None` for strangers, and before [`identify`](Self::identify).
    pub member: Option<Session>,
    /// A new session id to send in the response, and how long the browser keeps it. Without a time, the
    /// browser keeps it until it is closed.
    issued: Option<(SessionId, Option<Duration>)>,
}

impl<'a> Visit<'a> {
    /// A visit whose visitor is not looked up yet.
    pub fn new(app: &'a App, request: &'a Request) -> Visit<'a> {
        Visit {
            app,
            request,
            ip: request.remote_addr().ip().to_canonical(),
            path: request.raw_url().split('?').next().unwrap_or_default(),
            id_hash: read_cookie(request, app.is_https(request)).map(|id| id.hash()),
            looked_up: false,
            member: None,
            issued: None,
        }
    }

    /// Looks up the visitor's login session.
    ///
    /// # Errors
    /// An outage ([`Error::is_outage`]) if the database does not answer.
    pub fn identify(&mut self) -> Result<(), Error> {
        self.member = self.id_hash.map_or(Ok(None), |id| self.app.sessions.find(&id))?;
        self.looked_up = true;
        Ok(())
    }

    /// The form in the request's body, within the limits of the settings.
    ///
    /// # Errors
    /// As [`Form::read`].
    pub fn form(&self) -> Result<Form, Error> {
        Form::read(self.request, self.app.config.limits.max_body_bytes)
    }

    /// The value of a parameter in the query, decoded. Empty if it stands there without a value.
    pub fn query(&self, name: &str) -> Option<String> {
        let mut query = form_urlencoded::parse(self.request.raw_query_string().as_bytes());
        query.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }

    /// The path in a `next` value. `None` if there is none, or it could lead to another site.
    pub fn next(&self, value: Option<&str>) -> Option<ReturnPath> {
        ReturnPath::parse(value?, self.app.config.public_url.as_ref())
    }

    /// Logs a security event that concerns the account with that email.
    pub fn event(&self, name: &str, email: &str) {
        events::event(name, self.ip, &[("email", email)]);
    }

    /// Logs a user in with a new session id. `proof` is that of the second factor, if the user has one.
    ///
    /// # Errors
    /// [`Error::LoginRequired`] if the user was deleted, the password changed, or a second factor was turned
    /// on, in the meantime.
    pub fn log_in(
        &mut self,
        uid: i64,
        hash: &PasswordHash,
        remember: bool,
        proof: Option<Proof>,
    ) -> Result<(), Error> {
        let user_agent = self.request.header("User-Agent").unwrap_or_default();
        let user_agent = &user_agent[..user_agent.floor_char_boundary(MAX_USER_AGENT_BYTES)];
        let login = LoginDetails { remember, user_agent, ip: self.ip, proof };
        let begun = self.app.sessions.begin(uid, hash, login, self.id_hash.as_ref())?;
        let id = begun.ok_or(Error::LoginRequired)?;
        self.issue(id, remember.then_some(self.app.config.session_remembered));
        self.identify()
    }

    /// Ends the visitor's login session on the server, and returns it; `None` for strangers.
    pub fn log_out(&mut self) -> Result<Option<Session>, Error> {
        if let Some(Session { number, user, .. }) = &self.member {
            self.app.sessions.end(user.uid, Which::Only(*number))?;
        }
        self.id_hash = None;
        Ok(self.member.take())
    }

    /// Looks a member's session up in the table once more, after a change of what it knows of its user.
    pub fn refresh(&mut self) -> Result<(), Error> {
        if let Some(id) = &self.id_hash {
            self.app.sessions.expire(id);
        }
        self.identify()
    }

    /// Whether the cookie is that of a login session that has ended. It may also be the cookie of a
    /// stranger's session that was in the memory of another process.
    pub fn has_ended_session(&self) -> bool {
        let ended = |id| !self.app.sessions.is_stranger(id);
        self.member.is_none() && self.id_hash.as_ref().is_some_and(ended)
    }

    /// Redirects the visitor, with a message that the next page shows. A visitor without a session gets
    /// a stranger's session for the message.
    pub fn redirect(&mut self, to: &str, flash: Flash) -> Result<Response, Error> {
        self.flash(flash)?;
        Ok(Response::redirect_303(to.to_owned()))
    }

    /// Leaves a message for the visitor's next page.
    pub fn flash(&mut self, flash: Flash) -> Result<(), Error> {
        if self.carried(|_| ()).is_none() {
            self.begin_stranger(MESSAGE_LIFETIME)?;
        }
        self.carried(|carried| carried.flash(flash));
        Ok(())
    }

    /// Keeps a value in the visitor's session, in memory, for an hour at most. It replaces an earlier value of
    /// the same type. A stranger gets a new session for it, so that nobody who knows the old id gets at it.
    pub fn keep<T>(&mut self, value: T, lasts: Duration) -> Result<(), Error>
    where
        T: Clone + Send + Sync + 'static,
    {
        if self.member.is_none() {
            self.begin_stranger(KEEPING_LIFETIME)?;
        }
        self.carried(|carried| carried.keep(value, lasts));
        Ok(())
    }

    /// A copy of the value of that type that [`keep`](Self::keep) kept. `None` if its time is over.
    pub fn kept<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.carried(|carried| carried.kept())?
    }

    /// Takes the value out. Of requests at the same moment, one gets it. A HEAD request gets none, because
    /// its response shows none.
    pub fn take_kept<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        if self.request.method() == "HEAD" { None } else { self.carried(Carried::take)? }
    }

    /// Takes the messages that wait for this visitor.
    pub fn take_flashes(&self) -> Vec<Flash> {
        self.take_kept().unwrap_or_default()
    }

    fn carried<T>(&self, look: impl FnOnce(&mut Carried) -> T) -> Option<T> {
        self.app.sessions.carried(self.id_hash.as_ref()?, look)
    }

    /// Adds the cookie with the new session id to the response, if there is one.
    pub fn finish(&self, response: &mut Response) {
        if let Some((id, max_age)) = &self.issued {
            set_cookie(response, id, self.app.is_https(self.request), *max_age);
        }
    }

    /// Begins a stranger's session. The cookie expires with it; otherwise a stranger who comes back later would
    /// be told that their session has ended.
    fn begin_stranger(&mut self, lasts: Duration) -> Result<(), Error> {
        let id = self.app.sessions.begin_stranger(self.ip, self.id_hash.as_ref(), lasts)?;
        self.issue(id, Some(lasts));
        Ok(())
    }

    fn issue(&mut self, id: SessionId, max_age: Option<Duration>) {
        self.id_hash = Some(id.hash());
        self.issued = Some((id, max_age));
    }
}

/// The cookie's name. Under https it has the prefix `__Host-`, with which browsers accept it only from
/// this very host by https (RFC 6265bis, 4.1.3.2).
fn cookie_name(https: bool) -> &'static str {
    if https { "__Host-doorward" } else { "doorward" }
}

/// The session id in the request's cookie. `None` if there is none in the form of an id.
fn read_cookie(request: &Request, https: bool) -> Option<SessionId> {
    let headers = request.headers().filter(|(name, _)| name.eq_ignore_ascii_case("Cookie"));
    headers
        .flat_map(|(_, value)| Cookie::split_parse(value))
        .filter_map(Result::ok)
        .find(|cookie| cookie.name() == cookie_name(https))
        .and_then(|cookie| SessionId::parse(cookie.value()))
}

/// Sets the cookie with a session id. The browser keeps it for `max_age`, or until it is closed.
fn set_cookie(response: &mut Response, id: &SessionId, https: bool, max_age: Option<Duration>) {
    let mut cookie = Cookie::build((cookie_name(https), id.expose()))
        .http_only(true)
        .same_site(SameSite::Lax)
        .path("/")
        .secure(https)
        .build();
    cookie.set_max_age(max_age.and_then(|age| cookie::time::Duration::try_from(age).ok()));
    response.headers.push(("Set-Cookie".into(), cookie.to_string().into()));
}
