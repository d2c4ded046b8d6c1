//! Links: an invitation to register, or a new password for who forgot it. Each is worth one use.
//!
//! [`register`] and [`change_password`] use a link up, and do what it allows, in one transaction.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use postgres::Transaction;
use sha2::{Digest, Sha256};
use url::Url;

use super::email;
use super::passwords::PasswordHash;
use super::users::{self, NewUser, User};
use crate::database::Database;
use crate::error::Error;
use crate::random;
use crate::sessions::{Sessions, Which};

/// How long an invitation is valid.
const INVITATION_LASTS: Duration = Duration::from_hours(7 * 24);

/// How long a link for a new password is valid.
const NEW_PASSWORD_LASTS: Duration = Duration::from_hours(24);

/// SHA-256 of the random number in a link; the key of its row. Unlike the number, it allows nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LinkHash([u8; 32]);

/// The URL of a link, which is a secret: whoever knows it has what it allows.
///
/// ```compile_fail,E0277
/// fn print(url: &doorward::accounts::links::LinkUrl) { print!("{url:?}") }
/// ```
/// ```compile_fail,E0277
/// fn print(url: &doorward::accounts::links::LinkUrl) { print!("{url}") }
/// ```
pub struct LinkUrl(String);

/// A link that is valid: what it allows, and whom.
pub enum Link {
    /// To register with this email, in lower case.
    Invitation(String),
    /// To set a new password for this user.
    NewPassword(User),
}

impl LinkHash {
    /// The hash of what stands in a link, which may be any text.
    pub fn of(number: &str) -> LinkHash {
        LinkHash(Sha256::digest(number).into())
    }

    /// The 32 bytes of the hash.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl LinkUrl {
    /// The URL itself. Only who may use the link may see it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Makes an invitation to register with that email. `site` is the public URL.
pub fn invite(database: &Database, email: &str, site: &Url) -> Result<LinkUrl, Error> {
    let number = make(database, "invitation", None, Some(email::fold(email)), INVITATION_LASTS)?;
    Ok(LinkUrl(format!("{site}register?invitation={number}")))
}

/// Makes a link with which that user sets a new password. `site` is the public URL. Links that the user has
/// already stay valid: otherwise a stranger who asks for one would spoil the owner's.
pub fn reset(database: &Database, uid: i64, site: &Url) -> Result<LinkUrl, Error> {
    let number = make(database, "password", Some(uid), None, NEW_PASSWORD_LASTS)?;
    Ok(LinkUrl(format!("{site}password?reset={number}")))
}

/// The link with that hash. `None` if it is unknown, used or ended. This does not use it up, because programs
/// that look for harmful mail open links, too.
pub fn find(database: &Database, hash: LinkHash) -> Result<Option<Link>, Error> {
    const SQL: &str = "
        SELECT links.email AS invited, uid, first_name, last_name, users.email
        FROM links LEFT JOIN users USING (uid)
        WHERE hash = $1
          AND expires_at > now()";
    let row = database.run(move |connection| connection.query_opt(SQL, &[&hash.as_bytes()]))?;
    Ok(row.map(|row| match row.get("invited") {
        Some(email) => Link::Invitation(email),
        None => Link::NewPassword(User::from_row(&row)),
    }))
}

/// Uses an invitation up, with all others to that email, and stores the new user, or does neither. `None` if
/// the invitation is not valid, or the email has an account already.
pub fn register(
    database: &Database,
    invitation: LinkHash,
    new: NewUser,
    hash: &PasswordHash,
) -> Result<Option<User>, Error> {
    const SQL: &str = "
        WITH used AS (
            DELETE FROM links
            WHERE email = $4
              AND EXISTS (
                  SELECT
                  FROM links
                  WHERE hash = $6 AND email = $4 AND expires_at > now()
              )
            RETURNING hash
        )
        INSERT INTO users (first_name, last_name, email, email_folded, pwdhash)
        SELECT $1, $2, $3, $4, $5
        FROM used
        WHERE hash = $6
        RETURNING uid, first_name, last_name, email";
    let [first_name, last_name, email] = new.known().map(str::to_owned);
    let (folded, hash) = (email::fold(new.email), hash.as_str().to_owned());
    let stored = users::unless_taken(database.run(move |connection| {
        let invitation = invitation.as_bytes();
        connection.query_opt(SQL, &[&first_name, &last_name, &email, &folded, &hash, &invitation])
    }));
    Ok(stored?.flatten().as_ref().map(User::from_row))
}

/// Uses a link for a new password up, sets the password, and ends all sessions of the user and their other
/// links, or does nothing of that. Returns how many sessions it ended; `None` if the link is not valid.
pub fn change_password(
    sessions: &Sessions,
    uid: i64,
    link: LinkHash,
    new: &PasswordHash,
) -> Result<Option<usize>, Error> {
    const SQL: &str = "
        WITH ended AS (
            DELETE FROM links
            WHERE uid = $1
            RETURNING hash, expires_at
        )
        UPDATE users
        SET pwdhash = $3
        WHERE uid = $1 AND EXISTS (
            SELECT
            FROM ended
            WHERE hash = $2 AND expires_at > now()
        )";
    let new = new.as_str().to_owned();
    sessions.end_with(uid, Which::All, move |transaction| {
        Ok(transaction.execute(SQL, &[&uid, &link.as_bytes(), &new])? == 1)
    })
}

/// Ends the links with which a user could set a new password.
pub(super) fn end(transaction: &mut Transaction, uid: i64) -> Result<u64, postgres::Error> {
    const SQL: &str = "
        DELETE FROM links
        WHERE uid = $1";
    transaction.execute(SQL, &[&uid])
}

/// Deletes the links that have ended.
pub fn sweep(database: &Database) -> Result<u64, Error> {
    const SQL: &str = "
        DELETE FROM links
        WHERE expires_at <= now()";
    database.run(|connection| connection.execute(SQL, &[]))
}

/// Stores a link, and returns its number.
fn make(
    database: &Database,
    purpose: &'static str,
    uid: Option<i64>,
    email: Option<String>,
    lasts: Duration,
) -> Result<String, Error> {
    const SQL: &str = "
        INSERT INTO links (hash, purpose, uid, email, expires_at)
        VALUES ($1, $2, $3, $4, now() + $5 * INTERVAL '1 second')";
    let number = random_number()?;
    let (hash, lasts) = (LinkHash::of(&number), lasts.as_secs_f64());
    database.run(move |connection| {
        connection.execute(SQL, &[&hash.as_bytes(), &purpose, &uid, &email, &lasts])
    })?;
    Ok(number)
}

/// 256 bits from the operating system's random number generator, as 43 letters, digits, hyphens and
/// underscores.
pub(in crate::accounts) fn random_number() -> Result<String, Error> {
    Ok(BASE64URL_NOPAD.encode(&random::bytes::<32>()?))
}
