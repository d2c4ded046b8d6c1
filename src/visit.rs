//! One visitor, for the length of one request: who it is, and what to tell it.
//!
//! In: a request. Out: a user or a stranger, and at the end the cookie that goes with the answer.

use std::net::IpAddr;
use std::time::Duration;

use rouille::{Request, Response};

use crate::app::App;
use crate::error::Error;
use crate::http::cookies;
use crate::sessions::{Flash, IdHash, Login, Session, SessionId, Which};
use crate::users::User;

/// Of a browser's name for itself, as much as is kept.
const MAX_USER_AGENT_BYTES: usize = 200;

/// Who is asking.
#[derive(Clone)]
pub enum Visitor {
    /// Nobody knows: the database could not be asked, or need not be.
    Unknown,
    /// Somebody who is not logged in.
    Stranger,
    /// Somebody who is.
    Member(Session),
}

/// One request's visitor.
pub struct Visit {
    /// The visitor's address.
    pub ip: IpAddr,
    /// Whether the visitor came by https.
    pub https: bool,
    /// The path asked for, without its query.
    pub path: String,
    /// Whether the visitor brought a cookie of ours, of whatever worth.
    pub has_cookie: bool,
    /// Who it is.
    pub visitor: Visitor,
    user_agent: String,
    is_head: bool,
    session: Option<IdHash>,
    issued: Option<(SessionId, Option<Duration>)>,
}

impl Visit {
    /// A visitor not looked up yet.
    pub fn new(app: &App, request: &Request) -> Visit {
        let https = app.is_https(request);
        let id = cookies::read(request, https);
        let user_agent = request.header("User-Agent").unwrap_or_default();
        Visit {
            ip: request.remote_addr().ip().to_canonical(),
            https,
            path: request.raw_url().split('?').next().unwrap_or_default().to_owned(),
            has_cookie: id.is_some(),
            visitor: Visitor::Unknown,
            user_agent: user_agent[..user_agent.floor_char_boundary(MAX_USER_AGENT_BYTES)]
                .to_owned(),
            is_head: request.method() == "HEAD",
            session: id.map(|id| id.hash()),
            issued: None,
        }
    }

    /// Finds out who it is.
    ///
    /// # Errors
    /// [`Error::Database`] if that cannot be known now.
    pub fn identify(&mut self, app: &App) -> Result<(), Error> {
        let session = self.session.as_ref().map(|id| app.sessions.find(id)).transpose()?.flatten();
        self.visitor = session.map_or(Visitor::Stranger, Visitor::Member);
        Ok(())
    }

    /// The user who is logged in. `None` for strangers.
    pub fn user(&self) -> Option<&User> {
        self.member().map(|session| &*session.user)
    }

    /// The login that the visitor has. `None` for strangers.
    pub fn member(&self) -> Option<&Session> {
        match &self.visitor {
            Visitor::Member(session) => Some(session),
            Visitor::Stranger | Visitor::Unknown => None,
        }
    }

    /// Logs a user in, under a new id.
    ///
    /// # Errors
    /// [`Error::LoginRequired`] if the user was deleted in the meantime.
    pub fn log_in(&mut self, app: &App, user: User, remember: bool) -> Result<(), Error> {
        let login = Login { remember, user_agent: &self.user_agent, ip: self.ip };
        let begun = app.sessions.begin(user, login, self.session.as_ref())?;
        let id = begun.ok_or(Error::LoginRequired)?;
        let max_age = remember.then_some(app.config.session_remembered);
        self.issue(id, max_age);
        self.identify(app)
    }

    /// Logs the visitor out, on the server.
    pub fn log_out(&mut self, app: &App) -> Result<(), Error> {
        if let Some(session) = self.member() {
            app.sessions.end(session.user.uid, Which::Only(session.number))?;
        }
        self.session = None;
        self.visitor = Visitor::Stranger;
        Ok(())
    }

    /// Leaves a message for the next page. A stranger without a session gets one for it.
    pub fn flash(&mut self, app: &App, flash: Flash) -> Result<(), Error> {
        let left = self.session.as_ref().is_some_and(|id| app.sessions.flash(id, flash.clone()));
        if !left {
            self.issue(app.sessions.begin_stranger(flash)?, None);
        }
        Ok(())
    }

    /// The messages that wait for this visitor; each is given once. HEAD shows nobody anything,
    /// so it takes none.
    pub fn take_flashes(&mut self, app: &App) -> Vec<Flash> {
        match &self.session {
            Some(id) if !self.is_head => app.sessions.take_flashes(id),
            _ => Vec::new(),
        }
    }

    /// Sends the visitor's new id along, if there is one.
    pub fn finish(&self, response: &mut Response) {
        if let Some((id, max_age)) = &self.issued {
            cookies::set(response, id, self.https, *max_age);
        }
    }

    fn issue(&mut self, id: SessionId, max_age: Option<Duration>) {
        self.session = Some(id.hash());
        self.issued = Some((id, max_age));
    }
}
