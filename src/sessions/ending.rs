//! What ends the sessions of a user together with a change of the user.

use postgres::Transaction;

use super::{Sessions, Which};
use crate::accounts::passwords::PasswordHash;
use crate::error::Error;

impl Sessions {
    /// Changes a password, and ends all sessions of the user and their links for a new password, in one
    /// transaction. Returns how many sessions it ended; `None`, with nothing changed, if `old` is no longer
    /// the user's hash.
    pub fn change_password(
        &self,
        uid: i64,
        old: &PasswordHash,
        new: &PasswordHash,
    ) -> Result<Option<usize>, Error> {
        const SQL: &str = "
            WITH ended AS (
                DELETE FROM links
                WHERE uid = $1
            )
            UPDATE users
            SET pwdhash = $3
            WHERE uid = $1 AND pwdhash = $2";
        let (old, new) = (old.as_str().to_owned(), new.as_str().to_owned());
        self.end_with(uid, Which::All, move |transaction| {
            Ok(transaction.execute(SQL, &[&uid, &old, &new])? == 1)
        })
    }

    /// Disables a user, who then cannot log in, and ends all sessions, and the links for a new password.
    /// Returns how many sessions; `None` if the user is gone or disabled already.
    pub fn disable(&self, uid: i64) -> Result<Option<usize>, Error> {
        const SQL: &str = "
            WITH ended AS (
                DELETE FROM links
                WHERE uid = $1
            )
            UPDATE users
            SET disabled_at = now()
            WHERE uid = $1 AND disabled_at IS NULL";
        self.end_with(uid, Which::All, move |transaction| {
            Ok(transaction.execute(SQL, &[&uid])? == 1)
        })
    }

    /// Deletes a user with all sessions, links, and invitations to the same email, which would otherwise let
    /// the user in again. `None` if there is no such user; else, how many sessions ended.
    pub fn remove_user(&self, uid: i64) -> Result<Option<usize>, Error> {
        const SQL: &str = "
            WITH removed AS (
                DELETE FROM users
                WHERE uid = $1
                RETURNING email_folded
            ),
            ended AS (
                DELETE FROM links
                USING removed
                WHERE links.email = removed.email_folded
            )
            SELECT
            FROM removed";
        self.end_with(uid, Which::All, move |transaction| {
            Ok(transaction.execute(SQL, &[&uid])? == 1)
        })
    }

    /// Makes a change to the row of a user and ends sessions of theirs, in one transaction. Returns how many
    /// it ended; `None`, with nothing changed, if `change` returns `false`.
    pub(crate) fn end_with(
        &self,
        uid: i64,
        which: Which,
        change: impl FnOnce(&mut Transaction) -> Result<bool, postgres::Error> + Send + 'static,
    ) -> Result<Option<usize>, Error> {
        let Some(ended) = self.table.delete_with(uid, which, change)? else { return Ok(None) };
        self.forget(uid, &ended);
        Ok(Some(ended.len()))
    }
}
