//! The errors, by their reader: the administrator reads a [`StartError`], which ends a start; a visitor
//! gets a page for an [`Error`], which ends a request. An expected outcome, such as a wrong password, is a
//! value, not an error.

use std::error::Error as StdError;
use std::io;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error as ThisError;

/// An error of any library.
pub(crate) type Cause = Box<dyn StdError + Send + Sync>;

/// Why the server or a command cannot start: one line for the administrator.
#[derive(Debug, ThisError)]
pub enum StartError {
    /// A setting is wrong: its name, and what is wrong. The administrator must correct it.
    #[error("{0}: {1}")]
    Setting(&'static str, String),
    /// The database does not answer now.
    #[error("{0}")]
    Database(String),
    /// The operating system refused something: what, and why.
    #[error("{0}: {1}")]
    System(&'static str, #[source] io::Error),
}

/// Why a request does not get its usual response: an error page for the visitor, and one line for the log.
#[derive(Clone, Debug, ThisError)]
pub enum Error {
    /// No connection to the database could be opened, or all are in use: the cause.
    #[error("database: {0}")]
    Database(String),
    /// A statement failed in the database, or the connection was lost.
    #[error("database: {}", one_line(.0.as_ref()))]
    Query(#[source] Arc<postgres::Error>),
    /// Timed out waiting for a limited resource, which it names.
    #[error("no free {0} in time")]
    Busy(&'static str),
    /// An unexpected failure: what, and why.
    #[error("{0}")]
    System(String),
    /// The request is malformed: why.
    #[error("bad request: {0}")]
    BadRequest(String),
    /// The body is larger than the limit.
    #[error("request body over the limit")]
    TooLarge,
    /// The body is not a form.
    #[error("request body is not a form")]
    NotAForm,
    /// The browser reports that another site caused this request.
    #[error("cross-site request")]
    CrossSite,
    /// The page is for members only.
    #[error("login required")]
    LoginRequired,
    /// The link that the visitor has opened is unknown, used or ended.
    #[error("link is not valid")]
    LinkEnded,
    /// There is no such page or file.
    #[error("no such page")]
    NotFound,
    /// The page exists, but not for this method: the value of the header `Allow`.
    #[error("method not among {0}")]
    MethodNotAllowed(String),
    /// New accounts are not accepted.
    #[error("registration is closed")]
    RegistrationClosed,
    /// Too many tries: how long until the next is allowed.
    #[error("too many tries, wait {} s", .0.as_secs())]
    Throttled(Duration),
}

impl From<postgres::Error> for Error {
    fn from(error: postgres::Error) -> Error {
        Error::Query(Arc::new(error))
    }
}

impl Error {
    /// Whether the database cannot answer now. Then the same request can succeed later.
    pub fn is_outage(&self) -> bool {
        match self {
            Error::Database(_) | Error::Busy(_) => true,
            Error::Query(error) => is_outage(error),
            _ => false,
        }
    }

    /// Whether the cause is a mistake in this program, or a failure of its system. Only the log names it.
    pub fn is_mistake(&self) -> bool {
        matches!(self, Error::System(_) | Error::Query(_)) && !self.is_outage()
    }
}

/// Whether the server cannot answer now: the connection was lost, or the code or its class (PostgreSQL's
/// documentation, appendix A) means no connection, a conflict of transactions, no resources, a lock that is
/// not available, a statement cancelled or a server shut down, a failure of its system; or a standby, which
/// only reads.
pub(crate) fn is_outage(error: &postgres::Error) -> bool {
    const OUTAGES: [&str; 7] = ["08", "40", "53", "55P03", "57", "58", "25006"];
    match error.code() {
        Some(code) => OUTAGES.iter().any(|outage| code.code().starts_with(outage)),
        None => error.is_closed() || error.source().is_some_and(<dyn StdError>::is::<io::Error>),
    }
}

/// An error and all its causes, on one line. Without PostgreSQL's `DETAIL`, which may contain a whole row
/// with its password hash.
pub(crate) fn one_line(error: &(dyn StdError + 'static)) -> String {
    let causes = iter::successors(Some(error), |&cause| cause.source());
    let texts = causes.map(|cause| {
        let text = cause.to_string();
        let without_detail = text.split("\nDETAIL:").next().unwrap_or_default();
        without_detail.split_whitespace().collect::<Vec<_>>().join(" ")
    });
    texts.collect::<Vec<_>>().join(": ")
}
