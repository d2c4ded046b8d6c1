//! What can go wrong, in one enum, for every part of the program.
//!
//! In: what a library or a part of ours says. Out: one line for the log; for the visitor,
//! [`App`](crate::App) alone turns errors into responses. What a form may well say (a wrong password,
//! an email that is taken) is a value, not an error.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use postgres::error::SqlState;

/// Everything that keeps a request, or the start of the server, from its usual end.
#[derive(Clone, Debug)]
pub enum Error {
    /// A setting that cannot be used: its name and what is wrong with it.
    Setting(&'static str, String),
    /// The database is away, or all connections to it are taken: the whole cause, for the log.
    Database(String),
    /// The database refused a statement, or went away during it.
    Query(Arc<postgres::Error>),
    /// Timed out waiting for a limited resource, which it names.
    Busy(&'static str),
    /// The operating system refused something: what, and why.
    System(String),
    /// A command cannot do what it was asked to, and why.
    Refused(String),
    /// The request cannot be understood, and why.
    BadRequest(String),
    /// The body is larger than the limit.
    TooLarge,
    /// The body is not a form.
    NotAForm,
    /// A browser says that another site made it send this request.
    CrossSite,
    /// Only members may see this.
    LoginRequired,
    /// There is no such page or file.
    NotFound,
    /// The page exists, but not for this method; the methods it has, as `Allow` lists them.
    MethodNotAllowed(String),
    /// New accounts are not accepted.
    RegistrationClosed,
    /// Too many tries; how long until the next is allowed.
    Throttled(Duration),
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::Setting(name, cause) => write!(out, "{name}: {cause}"),
            Error::Database(cause) => write!(out, "database: {cause}"),
            Error::Query(error) => write!(out, "database: {}", one_line(error)),
            Error::Busy(what) => write!(out, "no free {what} in time"),
            Error::System(cause) | Error::Refused(cause) => write!(out, "{cause}"),
            Error::BadRequest(cause) => write!(out, "bad request: {cause}"),
            Error::TooLarge => write!(out, "request body over the limit"),
            Error::NotAForm => write!(out, "request body is not a form"),
            Error::CrossSite => write!(out, "cross-site request"),
            Error::LoginRequired => write!(out, "login required"),
            Error::NotFound => write!(out, "no such page"),
            Error::MethodNotAllowed(allow) => write!(out, "method not among {allow}"),
            Error::RegistrationClosed => write!(out, "registration is closed"),
            Error::Throttled(wait) => write!(out, "too many tries, wait {} s", wait.as_secs()),
        }
    }
}

impl StdError for Error {}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Error {
        Error::Query(Arc::new(error))
    }
}

impl Error {
    /// Whether it is the database that cannot answer now, and not the program that made a mistake.
    pub fn is_outage(&self) -> bool {
        match self {
            Error::Database(_) | Error::Busy(_) => true,
            Error::Query(error) => match (error.code(), error.source()) {
                (Some(code), _) => is_outage(code),
                (None, Some(cause)) => cause.is::<io::Error>(),
                (None, None) => error.is_closed(),
            },
            _ => false,
        }
    }

    /// Whether it is a mistake of ours, or of the system below: the log must say more than the visitor.
    pub fn is_mistake(&self) -> bool {
        match self {
            Error::Setting(..) | Error::System(_) | Error::Refused(_) => true,
            Error::Query(_) => !self.is_outage(),
            _ => false,
        }
    }

    /// What the database says went wrong with a statement, if it was that.
    pub(crate) fn sql_state(&self) -> Option<&SqlState> {
        match self {
            Error::Query(error) => error.code(),
            _ => None,
        }
    }
}

/// Whether a server is away, shutting down, overtaxed, out of room, or for reading only, as a standby
/// is during a failover (PostgreSQL's documentation, appendix A).
pub(crate) fn is_outage(code: &SqlState) -> bool {
    let classes = ["08", "40", "53", "58"];
    classes.iter().any(|class| code.code().starts_with(class))
        || [
            SqlState::QUERY_CANCELED,
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::READ_ONLY_SQL_TRANSACTION,
        ]
        .contains(code)
}

/// An error with all its causes, on one line: libraries tell the reason only in the last. What
/// PostgreSQL adds as `DETAIL` is left out, because it may be a whole row, password hash and all.
pub(crate) fn one_line(error: &dyn StdError) -> String {
    let brief = |error: &dyn StdError| {
        let text = error.to_string();
        text.split("\nDETAIL:").next().unwrap_or_default().to_owned()
    };
    let mut line = brief(error);
    for cause in iter::successors(error.source(), |&cause| cause.source()) {
        let text = brief(cause);
        if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
