//! The users table: the queries on it, and which names and emails may stand in it.
//!
//! In: names and emails that [`problems`] finds nothing wrong with, and hashes. Out: [`User`]s.
//! Never sees a password, a request or a response.

use email_address::{EmailAddress, Options};
use postgres::Row;
use postgres::error::SqlState;

use crate::database::Database;
use crate::error::Error;
use crate::passwords::PasswordHash;
use crate::sessions::IdHash;

/// A name's most characters.
pub const MAX_NAME_CHARS: usize = 100;

/// An email address's most bytes (RFC 5321, 4.5.3.1.3).
pub const MAX_EMAIL_BYTES: usize = 254;

const NAME_TOO_LONG: &str = "Use at most 100 characters.";
const NAME_ODD: &str = "Use letters, blanks and punctuation only.";
const EMAIL_MISSING: &str = "Enter your email address.";
const EMAIL_ODD: &str = "Enter an email address like ada@example.org.";
const EMAIL_TOO_LONG: &str = "Use an email address of at most 254 characters.";

/// Replaces a hash, unless it was replaced already.
const SET_HASH: &str = "
    UPDATE users
    SET pwdhash = $3
    WHERE uid = $1 AND pwdhash = $2";

/// A person who may log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// What the database calls the user by; never changes.
    pub uid: i64,
    /// 1 to 100 characters.
    pub first_name: Box<str>,
    /// 1 to 100 characters.
    pub last_name: Box<str>,
    /// As it was typed; unique whatever its capitals.
    pub email: Box<str>,
}

impl User {
    /// First and last name.
    pub fn full_name(&self) -> String {
        [&*self.first_name, " ", &*self.last_name].concat()
    }

    /// The user in a row with the columns uid, `first_name`, `last_name` and email. The queries here
    /// select them, and so does the one in `sessions/table.rs` that brings a session's user along.
    pub(crate) fn from_row(row: &Row) -> User {
        User {
            uid: row.get("uid"),
            first_name: row.get("first_name"),
            last_name: row.get("last_name"),
            email: row.get("email"),
        }
    }
}

/// Why nobody can have those names or that email: which of `first_name`, `last_name` and `email`
/// is wrong, and a sentence for whoever typed it. Empty if all is well.
pub fn problems(first_name: &str, last_name: &str, email: &str) -> Vec<(&'static str, String)> {
    let problems = [
        ("first_name", name_problem(first_name, "first name")),
        ("last_name", name_problem(last_name, "last name")),
        ("email", email_problem(email).map(str::to_owned)),
    ];
    problems.into_iter().filter_map(|(field, problem)| Some((field, problem?))).collect()
}

/// Stores a new user. `None` if the email has an account already: the unique index says so, since
/// looking first would let two simultaneous registrations both pass.
pub fn add(
    database: &Database,
    (first_name, last_name): (&str, &str),
    email: &str,
    hash: &PasswordHash,
) -> Result<Option<User>, Error> {
    const SQL: &str = "
        INSERT INTO users (first_name, last_name, email, pwdhash)
        VALUES ($1, $2, $3, $4)
        RETURNING uid, first_name, last_name, email";
    match database.query_opt(SQL, &[&first_name, &last_name, &email, &hash.as_str()]) {
        Ok(row) => Ok(row.as_ref().map(User::from_row)),
        Err(Error::Query(error)) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The user with that email, whatever its capitals, and the hash of the password.
pub fn find(database: &Database, email: &str) -> Result<Option<(User, PasswordHash)>, Error> {
    const SQL: &str = "
        SELECT uid, first_name, last_name, email, pwdhash
        FROM users
        WHERE lower(email) = lower($1)";
    let row = database.query_opt(SQL, &[&email])?;
    Ok(row.map(|row| (User::from_row(&row), PasswordHash::stored(row.get("pwdhash")))))
}

/// Every user, with the time of registration in UTC, by email.
pub fn list(database: &Database) -> Result<Vec<(User, std::time::SystemTime)>, Error> {
    const SQL: &str = "
        SELECT uid, first_name, last_name, email, created_at
        FROM users
        ORDER BY lower(email)";
    let rows = database.query(SQL, &[])?;
    Ok(rows.iter().map(|row| (User::from_row(row), row.get("created_at"))).collect())
}

/// Changes a password and ends all the user's sessions, both or neither. What they were, for
/// [`Sessions::forget`](crate::sessions::Sessions::forget); `None` if the password is not the old
/// one any more.
pub fn set_password(
    database: &Database,
    uid: i64,
    old: &PasswordHash,
    new: &PasswordHash,
) -> Result<Option<Vec<IdHash>>, Error> {
    const END_SESSIONS: &str = "
        DELETE FROM sessions
        WHERE uid = $1
        RETURNING id_hash";
    database.transaction(|transaction| {
        // First, because it waits for logins under way, whose sessions the other must find.
        if transaction.execute(SET_HASH, &[&uid, &old.as_str(), &new.as_str()])? == 0 {
            return Ok(None);
        }
        let ended = transaction.query(END_SESSIONS, &[&uid])?;
        Ok(Some(ended.iter().filter_map(IdHash::from_row).collect()))
    })
}

/// Replaces a hash by a costlier one of the same password, unless the password was changed since.
pub fn upgrade_hash(
    database: &Database,
    uid: i64,
    old: &PasswordHash,
    new: &PasswordHash,
) -> Result<(), Error> {
    database.execute(SET_HASH, &[&uid, &old.as_str(), &new.as_str()])?;
    Ok(())
}

/// Deletes a user, and with the user every session. `false` if there was none.
pub fn remove(database: &Database, uid: i64) -> Result<bool, Error> {
    const SQL: &str = "
        DELETE FROM users
        WHERE uid = $1";
    Ok(database.execute(SQL, &[&uid])? == 1)
}

fn name_problem(name: &str, label: &str) -> Option<String> {
    if name.is_empty() {
        Some(format!("Enter your {label}."))
    } else if name.chars().count() > MAX_NAME_CHARS {
        Some(NAME_TOO_LONG.to_owned())
    } else {
        name.contains(char::is_control).then(|| NAME_ODD.to_owned())
    }
}

fn email_problem(email: &str) -> Option<&'static str> {
    let options = Options::default().without_display_text().without_domain_literal();
    if email.is_empty() {
        Some(EMAIL_MISSING)
    } else if email.len() > MAX_EMAIL_BYTES {
        Some(EMAIL_TOO_LONG)
    } else {
        EmailAddress::parse_with_options(email, options).is_err().then_some(EMAIL_ODD)
    }
}
