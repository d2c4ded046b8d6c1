//! What `doorward check` asks of a database. Nothing is changed there.

use std::time::{Duration, Instant};

use postgres::error::SqlState;
use refinery::Migration;

use super::migrations::migrations;
use super::tls::Verify;
use super::url::Target;
use crate::error::Error;

/// What is known of a database that answers.
pub struct Diagnosis {
    /// The time to connect and log in.
    pub connect: Duration,
    /// The time from a question to its answer.
    pub round_trip: Duration,
    /// What the server calls its version, such as "15.4 (Debian 15.4-1)".
    pub version: String,
    /// Whether nothing leaves this machine on the way there.
    pub is_local: bool,
    /// How much of the server's certificate is verified. `None` if TLS is not insisted on.
    pub verify: Option<Verify>,
    /// The numbers of the migrations that were applied.
    pub applied: Vec<i32>,
    /// The numbers of the migrations that this program has.
    pub known: Vec<i32>,
}

/// Connects, looks around and leaves.
///
/// # Errors
/// As [`Database::connect`](super::Database::connect).
pub fn diagnose(url: &str) -> Result<Diagnosis, Error> {
    let target = Target::parse(url)?;
    let begun = Instant::now();
    let mut client = target.connect()?;
    let connect = begun.elapsed();
    let begun = Instant::now();
    client.simple_query("")?;
    let round_trip = begun.elapsed();
    let version = client.query_one("SHOW server_version", &[])?.get(0);
    let applied = match client.query("SELECT version FROM refinery_schema_history", &[]) {
        Ok(rows) => rows.iter().map(|row| row.get(0)).collect(),
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    Ok(Diagnosis {
        connect,
        round_trip,
        version,
        is_local: target.is_local(),
        verify: target.verify,
        applied,
        known: migrations::runner().get_migrations().iter().map(Migration::version).collect(),
    })
}
