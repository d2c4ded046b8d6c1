//! One visitor, for the length of one request: who it is, and what to tell it. The one thing that a
//! handler is given.
//!
//! Here requests meet sessions, by the cookie. No other file writes `Set-Cookie`.

use std::net::IpAddr;
use std::time::Duration;

use cookie::{Cookie, SameSite};
use rouille::{Request, Response};

use crate::accounts::passwords::PasswordHash;
use crate::accounts::users::User;
use crate::app::App;
use crate::error::Error;
use crate::http::form::Form;
use crate::sessions::{Flash, IdHash, Login, Session, SessionId, Which};

/// At most this much of a browser's name for itself is kept.
const MAX_USER_AGENT_BYTES: usize = 200;

/// One request's visitor.
pub struct Visit<'a> {
    /// What the request is for.
    pub app: &'a App,
    /// The request.
    pub request: &'a Request,
    /// The visitor's address.
    pub ip: IpAddr,
    /// The path asked for, without its query.
    pub path: &'a str,
    /// The session of the cookie, of whatever worth: a member's, a stranger's, or long ended. `None`
    /// without a cookie of ours.
    pub id_hash: Option<IdHash>,
    /// Whether it was found out who it is: a broken database may be in the way.
    pub looked_up: bool,
    /// The login that the visitor has. `None` for strangers, and while nobody looked.
    pub member: Option<Session>,
    /// A new id to send along, and for how long the browser is to keep it.
    issued: Option<(SessionId, Option<Duration>)>,
}

impl<'a> Visit<'a> {
    /// A visitor not looked up yet.
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

    /// Finds out who it is.
    ///
    /// # Errors
    /// [`Error::is_outage`] if that cannot be known now.
    pub fn identify(&mut self) -> Result<(), Error> {
        self.member = self.id_hash.map_or(Ok(None), |id| self.app.sessions.find(&id))?;
        self.looked_up = true;
        Ok(())
    }

    /// The form that came with the request, within the limits of the settings.
    ///
    /// # Errors
    /// As [`Form::read`].
    pub fn form(&self) -> Result<Form, Error> {
        Form::read(self.request, self.app.config.limits.max_body_bytes)
    }

    /// Logs a user in, under a new id.
    ///
    /// # Errors
    /// [`Error::LoginRequired`] if the user was deleted or the password changed in the meantime.
    pub fn log_in(&mut self, user: User, hash: &PasswordHash, remember: bool) -> Result<(), Error> {
        let user_agent = self.request.header("User-Agent").unwrap_or_default();
        let user_agent = &user_agent[..user_agent.floor_char_boundary(MAX_USER_AGENT_BYTES)];
        let login = Login { remember, user_agent, ip: self.ip };
        let begun = self.app.sessions.begin(user, hash, login, self.id_hash.as_ref())?;
        let id = begun.ok_or(Error::LoginRequired)?;
        self.issue(id, remember.then_some(self.app.config.session_remembered));
        self.identify()
    }

    /// Logs the visitor out, on the server. The login that it was; `None` for strangers.
    pub fn log_out(&mut self) -> Result<Option<Session>, Error> {
        if let Some(Session { number, user, .. }) = &self.member {
            self.app.sessions.end(user.uid, Which::Only(*number))?;
        }
        self.id_hash = None;
        Ok(self.member.take())
    }

    /// Sends the visitor to a page, with a message for the next page that it sees. A stranger
    /// without a session gets one for it.
    pub fn redirect(&mut self, to: &str, flash: Flash) -> Result<Response, Error> {
        let sessions = &self.app.sessions;
        if !self.id_hash.is_some_and(|id| sessions.flash(&id, flash.clone())) {
            self.issue(sessions.begin_stranger(self.ip, flash)?, None);
        }
        Ok(Response::redirect_303(to.to_owned()))
    }

    /// The messages that wait for this visitor; each is given once. HEAD shows nobody anything,
    /// so it takes none.
    pub fn take_flashes(&mut self) -> Vec<Flash> {
        match &self.id_hash {
            Some(id) if self.request.method() != "HEAD" => self.app.sessions.take_flashes(id),
            _ => Vec::new(),
        }
    }

    /// Sends the visitor's new id along, if there is one.
    pub fn finish(&self, response: &mut Response) {
        if let Some((id, max_age)) = &self.issued {
            set_cookie(response, id, self.app.is_https(self.request), *max_age);
        }
    }

    fn issue(&mut self, id: SessionId, max_age: Option<Duration>) {
        self.id_hash = Some(id.hash());
        self.issued = Some((id, max_age));
    }
}

/// The `__Host-` prefix makes browsers refuse the cookie from anywhere but this host by https
/// (RFC 6265bis, 4.1.3.2), so it is used wherever https is.
fn cookie_name(https: bool) -> &'static str {
    if https { "__Host-doorward" } else { "doorward" }
}

/// The session id that a visitor brings. `None` without one the server could have issued.
fn read_cookie(request: &Request, https: bool) -> Option<SessionId> {
    let headers = request.headers().filter(|(name, _)| name.eq_ignore_ascii_case("Cookie"));
    headers
        .flat_map(|(_, value)| Cookie::split_parse(value))
        .filter_map(Result::ok)
        .find(|cookie| cookie.name() == cookie_name(https))
        .and_then(|cookie| SessionId::parse(cookie.value()))
}

/// Gives a visitor a session id, for as long as the browser is open, or for `max_age`.
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
