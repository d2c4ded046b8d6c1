//! What is known of a login session: by the visitor's request, and by the list of a user's sessions.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use postgres::Row;

use crate::accounts::users::User;

/// A login of less than this age is recent (OWASP ASVS 5.0, 7.5.1 and 7.5.2).
const RECENT: Duration = Duration::from_mins(10);

/// With what a user proved the second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The six digits of an app.
    Code,
    /// A recovery code.
    RecoveryCode,
}

impl Proof {
    /// Its name in the table.
    pub fn as_str(self) -> &'static str {
        if self == Proof::Code { "code" } else { "recovery code" }
    }

    /// The proof in a row's column `second_factor`.
    fn from_row(row: &Row) -> Option<Proof> {
        let name: Option<&str> = row.get("second_factor");
        [Proof::Code, Proof::RecoveryCode].into_iter().find(|proof| Some(proof.as_str()) == name)
    }
}

/// What the table records about a login.
#[derive(Clone, Copy)]
pub struct LoginDetails<'a> {
    /// Whether "remember me" was ticked.
    pub remember: bool,
    /// The browser's `User-Agent` header.
    pub user_agent: &'a str,
    /// The visitor's address.
    pub ip: IpAddr,
    /// With what the user proved the second factor. `None` for a password alone.
    pub proof: Option<Proof>,
}

/// A live login session. Only `sessions/` can make one, so a function that takes one as an argument
/// need not check that its visitor is logged in.
#[derive(Clone)]
pub struct Session {
    /// Its public number, by which its user can end it from another browser.
    pub number: i64,
    /// Whether "remember me" was ticked.
    pub remembered: bool,
    /// Who is logged in, at most a second out of date.
    pub user: Arc<User>,
    /// With what its user proved the second factor. `None` for a password alone.
    pub proof: Option<Proof>,
    /// How many recovery codes its user has left. `None` for a user without a second factor.
    pub recovery_codes: Option<i32>,
    /// When its user logged in, by this machine's clock. Private, so that only `sessions/` can make a
    /// session.
    began: SystemTime,
}

impl Session {
    /// The session in a row with the columns number, remembered, `second_factor`, `recovery_codes`, age (in
    /// seconds), and those of its user.
    pub(super) fn from_row(row: &Row) -> Session {
        let age = Duration::try_from_secs_f64(row.get("age")).unwrap_or_default();
        Session {
            number: row.get("number"),
            remembered: row.get("remembered"),
            user: Arc::new(User::from_row(row)),
            proof: Proof::from_row(row),
            recovery_codes: row.get("recovery_codes"),
            began: SystemTime::now() - age,
        }
    }

    /// Whether the login was less than 10 minutes ago, so that its user need not log in again before a
    /// change that a thief of the session must not make.
    pub fn is_recent(&self) -> bool {
        // An error means that the clock was set back: then the login cannot be old.
        self.began.elapsed().unwrap_or_default() < RECENT
    }
}

/// A session as its user sees it in the list.
#[derive(Clone, Debug)]
pub struct SessionSummary {
    /// The session's public number.
    pub number: i64,
    /// When it began.
    pub created_at: SystemTime,
    /// When it was last used, to the minute.
    pub last_seen_at: SystemTime,
    /// The browser's `User-Agent` header at login.
    pub user_agent: String,
    /// The visitor's address at login.
    pub ip: IpAddr,
    /// With what the user proved the second factor. `None` for a password alone.
    pub proof: Option<Proof>,
}

impl SessionSummary {
    pub(super) fn from_row(row: &Row) -> SessionSummary {
        SessionSummary {
            number: row.get("number"),
            created_at: row.get("created_at"),
            last_seen_at: row.get("last_seen_at"),
            user_agent: row.get("user_agent"),
            ip: row.get("ip"),
            proof: Proof::from_row(row),
        }
    }
}

/// Which of a user's sessions to end.
#[derive(Clone, Copy)]
pub enum Which {
    /// All sessions.
    All,
    /// The session with this number.
    Only(i64),
    /// All sessions but the one with this number.
    AllBut(i64),
}

impl Which {
    /// The number of the only session to end, and that of the session to leave.
    pub(super) fn numbers(self) -> (Option<i64>, Option<i64>) {
        match self {
            Which::All => (None, None),
            Which::Only(number) => (Some(number), None),
            Which::AllBut(number) => (None, Some(number)),
        }
    }
}
