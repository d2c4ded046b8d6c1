//! What can be changed of a user: names and email, and whether the user is disabled. Disabling is in
//! `sessions/`, because it ends sessions.

use super::{email, users};
use crate::database::Database;
use crate::error::Error;

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
        WHERE uid = $1
        RETURNING uid, first_name, last_name, email";
    let folded = to.email.map(email::fold);
    let [first, last, email] =
        [to.first_name, to.last_name, to.email].map(|v| v.map(str::to_owned));
    let changed = users::unless_taken(database.run(move |connection| {
        connection.query_opt(SQL, &[&uid, &first, &last, &email, &folded])
    }))?;
    Ok(changed.is_some())
}

/// Lets a user log in again. `false` if the user is gone, or was not disabled.
pub fn enable(database: &Database, uid: i64) -> Result<bool, Error> {
    const SQL: &str = "
        UPDATE users
        SET disabled_at = NULL
        WHERE uid = $1 AND disabled_at IS NOT NULL";
    Ok(database.run(move |connection| connection.execute(SQL, &[&uid]))? == 1)
}
