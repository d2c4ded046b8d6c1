//! What can go wrong, by who reads of it: [`StartError`] ends a start, and [`Error`] is what a request
//! meets. What a command is refused for is in `admin/`. What a form may well say (a wrong password, an
//! email that is taken) is a value, not an error.

use std::error::Error as StdError;
use std::io;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use postgres::error::SqlState;
use thiserror::Error as ThisError;

/// Why the server cannot start, or a command cannot begin: one line for the administrator.
#[derive(Debug, ThisError)]
pub enum StartError {
    /// A setting that cannot be used: its name, and what is wrong with it. Waiting mends nothing.
    #[error("{0}: {1}")]
    Setting(&'static str, String),
    /// No database answers now.
    #[error("{0}")]
    Database(String),
    /// The operating system refuses something: what, and why.
    #[error("{0}: {1}")]
    System(&'static str, #[source] io::Error),
}

/// Why a request does not get its usual answer: a page for the visitor, and one line for the log.
#[derive(Clone, Debug, ThisError)]
pub enum Error {
    /// The database is away, or all connections to it are taken: the whole cause, for the log.
    #[error("database: {0}")]
    Database(String),
    /// The database refused a statement, or went away during it.
    #[error("database: {}", one_line(.0.as_ref()))]
    Query(#[source] Arc<postgres::Error>),
    /// Timed out waiting for a limited resource, which it names.
    #[error("no free {0} in time")]
    Busy(&'static str),
    /// Something broke that should not: what, and why.
    #[error("{0}")]
    System(String),
    /// The request cannot be understood, and why.
    #[error("bad request: {0}")]
    BadRequest(String),
    /// The body is larger than the limit.
    #[error("request body over the limit")]
    TooLarge,
    /// The body is not a form.
    #[error("request body is not a form")]
    NotAForm,
    /// A browser says that another site made it send this request.
    #[error("cross-site request")]
    CrossSite,
    /// Only members may see this.
    #[error("login required")]
    LoginRequired,
    /// Only members who have just logged in may do this.
    #[error("recent login required")]
    RecentLoginRequired,
    /// There is no such page or file.
    #[error("no such page")]
    NotFound,
    /// The page exists, but not for this method; the methods it has, as `Allow` lists them.
    #[error("method not among {0}")]
    MethodNotAllowed(String),
    /// New accounts are not accepted.
    #[error("registration is closed")]
    RegistrationClosed,
    /// Too many tries; how long until the next is allowed.
    #[error("too many tries, wait {} s", .0.as_secs())]
    Throttled(Duration),
}

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
            Error::System(_) => true,
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
