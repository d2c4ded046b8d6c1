//! The list of a user's sessions.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use postgres::Row;

use crate::accounts::second_factor::Proof;

/// A user's sessions, the most recently used first.
pub type List = Arc<[SessionSummary]>;

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
