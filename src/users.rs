//! The users table: every query on it.
//!
//! In: names, emails and hashes that have been validated. Out: [`User`]s. Never sees a password,
//! a request or a response.

use postgres::Row;
use postgres::error::SqlState;

use crate::database::Database;
use crate::error::Error;
use crate::passwords::PasswordHash;
use crate::sessions::IdHash;

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
        format!("{} {}", self.first_name, self.last_name)
    }

    /// The user in a row with the columns uid, `first_name`, `last_name` and email.
    pub(crate) fn from_row(row: &Row) -> User {
        User {
            uid: row.get("uid"),
            first_name: row.get("first_name"),
            last_name: row.get("last_name"),
            email: row.get("email"),
        }
    }
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

/// Changes a password and ends all the user's sessions, both or neither. What they were.
pub fn set_password(
    database: &Database,
    uid: i64,
    hash: &PasswordHash,
) -> Result<Vec<IdHash>, Error> {
    const SQL: &str = "
        WITH changed AS (
            UPDATE users
            SET pwdhash = $2
            WHERE uid = $1
        )
        DELETE FROM sessions
        WHERE uid = $1
        RETURNING id_hash";
    let ended = database.query(SQL, &[&uid, &hash.as_str()])?;
    Ok(ended.iter().filter_map(IdHash::from_row).collect())
}

/// Replaces a hash by a costlier one of the same password, unless the password was changed since.
pub fn upgrade_hash(
    database: &Database,
    uid: i64,
    old: &PasswordHash,
    new: &PasswordHash,
) -> Result<(), Error> {
    const SQL: &str = "
        UPDATE users
        SET pwdhash = $3
        WHERE uid = $1 AND pwdhash = $2";
    database.execute(SQL, &[&uid, &old.as_str(), &new.as_str()])?;
    Ok(())
}

/// Deletes a user, and with the user every session. `false` if there was none.
pub fn remove(database: &Database, uid: i64) -> Result<bool, Error> {
    const SQL: &str = "
        DELETE FROM users
        WHERE uid = $1";
    Ok(database.execute(SQL, &[&uid])? == 1)
}
