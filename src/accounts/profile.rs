//! What users and administrators change of an account. What also ends the user's sessions does both in one
//! transaction. (`links.rs` changes a password by a link, `second_factor.rs` the second factor.)

use super::passwords::PasswordHash;
use super::{email, links, users};
use crate::database::Database;
use crate::error::Error;
use crate::sessions::{Sessions, Which};

/// What is to be changed of a user.
#[derive(Clone, Copy, Default)]
pub struct Change<'a> {
    /// 1 to 100 characters.
    pub first_name: Option<&'a str>,
    /// 1 to 100 characters.
    pub last_name: Option<&'a str>,
    /// An address that mail can be sent to.
    pub email: Option<&'a str>,
}

/// Changes names and email of a user, those that are given. A new email ends the links for a new password that
/// the old address has got. `false`, with nothing changed, if another account has the email, or the user is
/// gone.
pub fn change(database: &Database, uid: i64, to: Change) -> Result<bool, Error> {
    const SQL: &str = "
        WITH ended AS (
            DELETE FROM links
            WHERE uid = $1 AND $5::TEXT IS NOT NULL
        )
        UPDATE users
        SET first_name = COALESCE($2, first_name),
            last_name = COALESCE($3, last_name),
            email = COALESCE($4, email),
            email_folded = COALESCE($5, email_folded)
        WHERE uid = $1";
    let folded = to.email.map(email::fold);
    let [first, last, email] =
        [to.first_name, to.last_name, to.email].map(|v| v.map(str::to_owned));
    let changed =
        users::unless_taken(database.run(move |connection| {
            connection.execute(SQL, &[&uid, &first, &last, &email, &folded])
        }))?;
    Ok(changed == Some(1))
}

/// Changes a password, and ends all sessions of the user and their links for a new password. Returns how many
/// sessions it ended; `None`, with nothing changed, if `old` is no longer the user's hash.
pub fn change_password(
    sessions: &Sessions,
    uid: i64,
    old: &PasswordHash,
    new: &PasswordHash,
) -> Result<Option<usize>, Error> {
    const SQL: &str = "
        UPDATE users
        SET pwdhash = $3
        WHERE uid = $1 AND pwdhash = $2";
    let (old, new) = (old.as_str().to_owned(), new.as_str().to_owned());
    sessions.end_with(uid, Which::All, move |transaction| {
        links::end(transaction, uid)?;
        Ok(transaction.execute(SQL, &[&uid, &old, &new])? == 1)
    })
}

/// Disables a user, who then cannot log in, and ends all sessions, and the links for a new password. Returns how
/// many sessions; `None` if the user is gone or disabled already.
pub fn disable(sessions: &Sessions, uid: i64) -> Result<Option<usize>, Error> {
    const SQL: &str = "
        UPDATE users
        SET disabled_at = now()
        WHERE uid = $1 AND disabled_at IS NULL";
    sessions.end_with(uid, Which::All, move |transaction| {
        links::end(transaction, uid)?;
        Ok(transaction.execute(SQL, &[&uid])? == 1)
    })
}

/// Lets a user log in again. `false` if the user is gone, or was not disabled.
pub fn enable(database: &Database, uid: i64) -> Result<bool, Error> {
    const SQL: &str = "
        UPDATE users
        SET disabled_at = NULL
        WHERE uid = $1 AND disabled_at IS NOT NULL";
    Ok(database.run(move |connection| connection.execute(SQL, &[&uid]))? == 1)
}

/// Deletes a user with all sessions, links, and invitations to the same email, which would otherwise let the user
/// in again. `None` if there is no such user; else, how many sessions ended.
pub fn remove(sessions: &Sessions, uid: i64) -> Result<Option<usize>, Error> {
    const INVITATIONS: &str = "
        DELETE FROM links
        USING users
        WHERE users.uid = $1 AND links.email = users.email_folded";
    const USER: &str = "
        DELETE FROM users
        WHERE uid = $1";
    sessions.end_with(uid, Which::All, move |transaction| {
        transaction.execute(INVITATIONS, &[&uid])?;
        Ok(transaction.execute(USER, &[&uid])? == 1)
    })
}
