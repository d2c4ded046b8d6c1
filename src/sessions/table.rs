//! The queries on the sessions table. The database's clock decides, for all processes, what has expired.

use std::sync::Arc;

use postgres::Transaction;

use super::{IdHash, LoginDetails, Proof, Session, SessionSummary, Which};
use crate::accounts::passwords::PasswordHash;
use crate::config::Config;
use crate::database::{Connection, Database};
use crate::error::Error;

/// The most sessions that a user's list shows.
const MAX_LISTED: i64 = 100;

/// The most rows that one sweep deletes.
const MAX_SWEPT: i64 = 5_000;

/// Deletes sessions of a user: all, or only one, or all but one.
const DELETE: &str = "
    DELETE FROM sessions
    WHERE uid = $1
      AND (number = $2 OR $2 IS NULL)
      AND number IS DISTINCT FROM $3
    RETURNING id_hash";

/// The sessions table, and the settings for how long sessions last, in seconds.
pub(super) struct Table {
    database: Arc<Database>,
    idle: f64,
    lifetime: f64,
    remembered: f64,
}

impl Table {
    pub(super) fn new(database: Arc<Database>, config: &Config) -> Table {
        Table {
            database,
            idle: config.session_idle.as_secs_f64(),
            lifetime: config.session_lifetime.as_secs_f64(),
            remembered: config.session_remembered.as_secs_f64(),
        }
    }

    /// Stores a session, and deletes the one it replaces. `None` if the user was deleted or disabled, `hash` is
    /// no longer the user's, or the user has a second factor and did not prove it. Waits for a change of the
    /// user that is under way.
    pub(super) fn insert(
        &self,
        session: &IdHash,
        replaced: Option<&IdHash>,
        uid: i64,
        hash: &PasswordHash,
        LoginDetails { remember, user_agent, ip, proof }: LoginDetails,
    ) -> Result<Option<Session>, Error> {
        const SQL: &str = "
            WITH inserted AS (
                INSERT INTO sessions
                    (id_hash, uid, expires_at, remembered, user_agent, ip, second_factor)
                SELECT $1, uid, now() + $5 * INTERVAL '1 second', $6, $7, $8, $9
                FROM users
                WHERE uid = $3
                  AND pwdhash = $4
                  AND disabled_at IS NULL
                  AND (totp_key IS NULL OR $9::TEXT IS NOT NULL)
                FOR SHARE
                RETURNING number, remembered, second_factor
            ),
            replaced AS (
                DELETE FROM sessions
                WHERE id_hash = $2 AND EXISTS (SELECT FROM inserted)
            )
            SELECT number, remembered, uid, first_name, last_name, email, second_factor,
                cardinality(recovery_codes) AS recovery_codes,
                0::FLOAT8 AS age
            FROM inserted, users
            WHERE uid = $3";
        let lasts = if remember { self.remembered } else { self.idle.min(self.lifetime) };
        let (session, replaced) = (*session, replaced.copied());
        let (hash, user_agent) = (hash.as_str().to_owned(), user_agent.to_owned());
        let proof = proof.map(Proof::as_str);
        let row = self.database.run(move |connection| {
            let (session, replaced) = (session.as_bytes(), replaced.as_ref().map(IdHash::as_bytes));
            connection.query_opt(
                SQL,
                &[&session, &replaced, &uid, &hash, &lasts, &remember, &user_agent, &ip, &proof],
            )
        })?;
        Ok(row.as_ref().map(Session::from_row))
    }

    /// The session with that hash, and its user. The query also records that the session was seen: at
    /// most once a minute, or once in a quarter of the idle timeout if that is less. A remembered session
    /// has no idle timeout.
    pub(super) fn check(&self, session: &IdHash) -> Result<Option<Session>, Error> {
        const SQL: &str = "
            WITH seen AS (
                UPDATE sessions
                SET last_seen_at = now(),
                    expires_at = CASE
                        WHEN remembered THEN created_at + $4 * INTERVAL '1 second'
                        ELSE LEAST(
                            now() + $2 * INTERVAL '1 second',
                            created_at + $3 * INTERVAL '1 second'
                        )
                    END
                WHERE id_hash = $1
                  AND expires_at > now()
                  AND last_seen_at <= now() - $5 * INTERVAL '1 second'
            )
            SELECT number, remembered, uid, first_name, last_name, email, second_factor,
                cardinality(recovery_codes) AS recovery_codes,
                EXTRACT(EPOCH FROM now() - sessions.created_at)::FLOAT8 AS age
            FROM sessions JOIN users USING (uid)
            WHERE id_hash = $1
              AND expires_at > now()";
        let (session, touch) = (*session, (self.idle / 4.0).min(60.0));
        let (idle, lifetime, remembered) = (self.idle, self.lifetime, self.remembered);
        let row = self.database.run(move |connection| {
            connection.query_opt(SQL, &[&session.as_bytes(), &idle, &lifetime, &remembered, &touch])
        })?;
        Ok(row.as_ref().map(Session::from_row))
    }

    /// A user's live sessions, the most recently used first.
    pub(super) fn list(&self, uid: i64) -> Result<Vec<SessionSummary>, Error> {
        const SQL: &str = "
            SELECT number, created_at, last_seen_at, user_agent, ip, second_factor
            FROM sessions
            WHERE uid = $1
              AND expires_at > now()
            ORDER BY last_seen_at DESC, number DESC
            LIMIT $2";
        let rows =
            self.database.run(move |connection| connection.query(SQL, &[&uid, &MAX_LISTED]))?;
        Ok(rows.iter().map(SessionSummary::from_row).collect())
    }

    /// Deletes sessions of a user, and returns their hashes.
    pub(super) fn delete(&self, uid: i64, which: Which) -> Result<Vec<IdHash>, Error> {
        let (only, except) = which.numbers();
        let delete =
            move |connection: &mut Connection| connection.query(DELETE, &[&uid, &only, &except]);
        Ok(self.database.run(delete)?.iter().filter_map(IdHash::from_row).collect())
    }

    /// Makes a change to the row of a user, deletes sessions of theirs, and returns the hashes of these, in
    /// one transaction. `None`, with nothing changed, if `change` returns `false`.
    pub(super) fn delete_with(
        &self,
        uid: i64,
        which: Which,
        change: impl FnOnce(&mut Transaction) -> Result<bool, postgres::Error> + Send + 'static,
    ) -> Result<Option<Vec<IdHash>>, Error> {
        const LOCK: &str = "
            SELECT
            FROM users
            WHERE uid = $1
            FOR UPDATE";
        self.database.run(move |connection| {
            let mut transaction = connection.transaction()?;
            // First, because it waits for logins under way, whose sessions must be deleted, too.
            transaction.execute(LOCK, &[&uid])?;
            // Before the change, which may delete the user with the sessions.
            let (only, except) = which.numbers();
            let ended = transaction.query(DELETE, &[&uid, &only, &except])?;
            if !change(&mut transaction)? {
                return Ok(None);
            }
            transaction.commit()?;
            Ok(Some(ended.iter().filter_map(IdHash::from_row).collect()))
        })
    }

    /// Deletes the oldest expired sessions, and returns how many: at most 5,000, to stay within the deadline of a
    /// statement. The rest is expired anyway, and is deleted by the next sweep.
    pub(super) fn sweep(&self) -> Result<u64, Error> {
        const SQL: &str = "
            DELETE FROM sessions
            WHERE id_hash IN (
                SELECT id_hash
                FROM sessions
                WHERE expires_at <= now()
                ORDER BY expires_at
                LIMIT $1
                FOR UPDATE SKIP LOCKED
            )";
        self.database.run(|connection| connection.execute(SQL, &[&MAX_SWEPT]))
    }
}
