//! One visitor, for the length of one request: who it is, and what to tell it.
//!
//! In: a request. Out: a member or a stranger, and at the end the cookie that goes with the answer.
//! Here requests meet sessions; of them, `http/` knows no more than the id in the cookie.

use std::net::IpAddr;
use std::time::Duration;

use rouille::{Request, Response};

use crate::http::cookies;
use crate::passwords::PasswordHash;
use crate::sessions::{Flash, IdHash, Login, Session, SessionId, Which};
use crate::users::User;
use crate::{App, Error};

/// Of a browser's name for itself, as much as is kept.
const MAX_USER_AGENT_BYTES: usize = 200;

/// One request's visitor.
pub struct Visit<'a> {
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
    request: &'a Request,
    /// A new id to send along, and for how long the browser is to keep it.
    issued: Option<(SessionId, Option<Duration>)>,
}

impl<'a> Visit<'a> {
    /// A visitor not looked up yet.
    pub fn new(app: &App, request: &'a Request) -> Visit<'a> {
        Visit {
            ip: request.remote_addr().ip().to_canonical(),
            path: request.raw_url().split('?').next().unwrap_or_default(),
            id_hash: cookies::read(request, app.is_https(request)).map(|id| id.hash()),
            looked_up: false,
            member: None,
            request,
            issued: None,
        }
    }

    /// Finds out who it is.
    ///
    /// # Errors
    /// [`Error::Database`] if that cannot be known now.
    pub fn identify(&mut self, app: &App) -> Result<(), Error> {
        self.member = self.id_hash.map_or(Ok(None), |id| app.sessions.find(&id))?;
        self.looked_up = true;
        Ok(())
    }

    /// Logs a user in, under a new id.
    ///
    /// # Errors
    /// [`Error::LoginRequired`] if the user was deleted or the password changed in the meantime.
    pub fn log_in(
        &mut self,
        app: &App,
        user: User,
        hash: &PasswordHash,
        remember: bool,
    ) -> Result<(), Error> {
        let user_agent = self.request.header("User-Agent").unwrap_or_default();
        let user_agent = &user_agent[..user_agent.floor_char_boundary(MAX_USER_AGENT_BYTES)];
        let login = Login { remember, user_agent, ip: self.ip };
        let begun = app.sessions.begin(user, hash, login, self.id_hash.as_ref())?;
        let id = begun.ok_or(Error::LoginRequired)?;
        self.issue(id, remember.then_some(app.config.session_remembered));
        self.identify(app)
    }

    /// Logs the visitor out, on the server. The login that it was; `None` for strangers.
    pub fn log_out(&mut self, app: &App) -> Result<Option<Session>, Error> {
        if let Some(Session { number, user, .. }) = &self.member {
            app.sessions.end(user.uid, Which::Only(*number))?;
        }
        self.id_hash = None;
        Ok(self.member.take())
    }

    /// Sends the visitor to a page, with a message for the next page that it sees. A stranger
    /// without a session gets one for it.
    pub fn redirect(&mut self, app: &App, to: &str, flash: Flash) -> Result<Response, Error> {
        if !self.id_hash.is_some_and(|id| app.sessions.flash(&id, flash.clone())) {
            self.issue(app.sessions.begin_stranger(self.ip, flash)?, None);
        }
        Ok(Response::redirect_303(to.to_owned()))
    }

    /// The messages that wait for this visitor; each is given once. HEAD shows nobody anything,
    /// so it takes none.
    pub fn take_flashes(&mut self, app: &App) -> Vec<Flash> {
        match &self.id_hash {
            Some(id) if self.request.method() != "HEAD" => app.sessions.take_flashes(id),
            _ => Vec::new(),
        }
    }

    /// Sends the visitor's new id along, if there is one.
    pub fn finish(&self, app: &App, response: &mut Response) {
        if let Some((id, max_age)) = &self.issued {
            cookies::set(response, id, app.is_https(self.request), *max_age);
        }
    }

    fn issue(&mut self, id: SessionId, max_age: Option<Duration>) {
        self.id_hash = Some(id.hash());
        self.issued = Some((id, max_age));
    }
}
