//! Users, and the queries on their table.

use std::time::SystemTime;

use postgres::Row;
use postgres::error::SqlState;

use super::email::{self, MAX_EMAIL_BYTES};
use super::name;
use super::passwords::PasswordHash;
use crate::database::Database;
use crate::error::Error;

/// A person who may log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The primary key, which never changes.
    pub uid: i64,
    /// 1 to 100 characters.
    pub first_name: Box<str>,
    /// 1 to 100 characters.
    pub last_name: Box<str>,
    /// As it was typed. Unique, and capital letters make no difference.
    pub email: Box<str>,
}

/// What somebody types into the registration form, without the password.
#[derive(Clone, Copy, Default)]
pub struct NewUser<'a> {
    /// 1 to 100 characters.
    pub first_name: &'a str,
    /// 1 to 100 characters.
    pub last_name: &'a str,
    /// An address that mail can be sent to.
    pub email: &'a str,
}

/// A user, with what nobody but the server and its administrator knows.
pub struct Account {
    /// Who it is.
    pub user: User,
    /// The hash of the password.
    pub hash: PasswordHash,
    /// When the account was made.
    pub registered: SystemTime,
    /// Since when the user may not log in.
    pub disabled: Option<SystemTime>,
    /// Whether a login also needs a code.
    pub has_second_factor: bool,
}

/// A mistake in a form: the name of the field, and a sentence for the visitor.
pub type Problem = (&'static str, String);

impl User {
    /// What a guesser of the password would know.
    pub fn known(&self) -> [&str; 3] {
        [&self.first_name, &self.last_name, &self.email]
    }

    /// First and last name.
    pub fn full_name(&self) -> String {
        [&*self.first_name, " ", &*self.last_name].concat()
    }

    /// The user in a row with the columns uid, `first_name`, `last_name` and email. Every query
    /// whose row ends here selects them.
    pub(crate) fn from_row(row: &Row) -> User {
        User {
            uid: row.get("uid"),
            first_name: row.get("first_name"),
            last_name: row.get("last_name"),
            email: row.get("email"),
        }
    }
}

impl Account {
    fn from_row(row: &Row) -> Account {
        Account {
            user: User::from_row(row),
            hash: PasswordHash::stored(row.get("pwdhash")),
            registered: row.get("created_at"),
            disabled: row.get("disabled_at"),
            has_second_factor: row.get("has_second_factor"),
        }
    }
}

impl NewUser<'_> {
    /// The mistakes in the names and the email. Empty if there are none.
    pub fn problems(&self) -> Vec<Problem> {
        let problems = [
            ("first_name", name::problem(self.first_name, "first name")),
            ("last_name", name::problem(self.last_name, "last name")),
            ("email", email::problem(self.email).map(str::to_owned)),
        ];
        problems.into_iter().filter_map(|(field, problem)| Some((field, problem?))).collect()
    }

    /// What a guesser of the password would know.
    pub fn known(&self) -> [&str; 3] {
        [self.first_name, self.last_name, self.email]
    }
}

/// Stores a new user. `None` if the email has an account already. The unique constraint decides that,
/// because two simultaneous registrations would both pass a query before the insertion.
pub fn add(database: &Database, new: NewUser, hash: &PasswordHash) -> Result<Option<User>, Error> {
    const SQL: &str = "
        INSERT INTO users (first_name, last_name, email, email_folded, pwdhash)
        VALUES ($1, $2, $3, $4, $5)
        RETURNING uid, first_name, last_name, email";
    let [first_name, last_name, email] = new.known().map(str::to_owned);
    let (folded, hash) = (email::fold(new.email), hash.as_str().to_owned());
    let stored = unless_taken(database.run(move |connection| {
        connection.query_opt(SQL, &[&first_name, &last_name, &email, &folded, &hash])
    }));
    Ok(stored?.flatten().as_ref().map(User::from_row))
}

/// What a statement returned. `None` if the unique constraint refused it, because the email has an account.
pub(super) fn unless_taken<T>(outcome: Result<T, Error>) -> Result<Option<T>, Error> {
    match outcome {
        Ok(stored) => Ok(Some(stored)),
        Err(Error::Query(error)) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The account with that email. Capital letters make no difference.
pub fn find(database: &Database, email: &str) -> Result<Option<Account>, Error> {
    const SQL: &str = "
        SELECT uid, first_name, last_name, email, pwdhash, created_at, disabled_at,
            totp_key IS NOT NULL AS has_second_factor
        FROM users
        WHERE email_folded = $1";
    // No account has such an email. Refusing it early keeps it out of the queue for the database.
    if email.len() > MAX_EMAIL_BYTES {
        return Ok(None);
    }
    let folded = email::fold(email);
    let row = database.run(move |connection| connection.query_opt(SQL, &[&folded]))?;
    Ok(row.as_ref().map(Account::from_row))
}

/// All accounts, ordered by email.
pub fn list(database: &Database) -> Result<Vec<Account>, Error> {
    const SQL: &str = "
        SELECT uid, first_name, last_name, email, pwdhash, created_at, disabled_at,
            totp_key IS NOT NULL AS has_second_factor
        FROM users
        ORDER BY email_folded";
    let rows = database.run(move |connection| connection.query(SQL, &[]))?;
    Ok(rows.iter().map(Account::from_row).collect())
}

/// The highest bcrypt cost of all hashes, read from an index. `None` if there are no users.
pub fn highest_cost(database: &Database) -> Result<Option<u32>, Error> {
    const SQL: &str = "
        SELECT max(substring(pwdhash FROM 5 FOR 2)) AS cost
        FROM users
        WHERE pwdhash ~ '^[$]2[abxy][$][0-9][0-9][$]'";
    let row = database.run(move |connection| connection.query_opt(SQL, &[]))?;
    let cost = row.and_then(|row| row.get::<_, Option<String>>("cost"));
    Ok(cost.and_then(|cost| cost.parse().ok()))
}

/// Replaces a hash by one of the same password at another cost. `false` if it was replaced meanwhile.
pub fn upgrade_hash(
    database: &Database,
    uid: i64,
    old: &PasswordHash,
    new: &PasswordHash,
) -> Result<bool, Error> {
    const SQL: &str = "
        UPDATE users
        SET pwdhash = $3
        WHERE uid = $1 AND pwdhash = $2";
    let (old, new) = (old.as_str().to_owned(), new.as_str().to_owned());
    let changed = database.run(move |connection| connection.execute(SQL, &[&uid, &old, &new]));
    Ok(changed? == 1)
}
