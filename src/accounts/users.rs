//! The queries on the users table, and which names it accepts.

use std::ops::RangeInclusive;
use std::time::SystemTime;

use postgres::Row;
use postgres::error::SqlState;

use super::email::{self, MAX_EMAIL_BYTES};
use super::passwords::PasswordHash;
use crate::database::Database;
use crate::error::Error;

/// The longest first or last name, in characters.
pub const MAX_NAME_CHARS: usize = 100;

const NAME_TOO_LONG: &str = "Use at most 100 characters.";
const NAME_ODD: &str = "Use letters, spaces and punctuation only.";

/// Characters that are invisible or change the direction of text: Unicode's
/// `Default_Ignorable_Code_Point`, its line separators, and two that look blank. A name with one of
/// them could look like another name, or change the order of the text around it.
const INVISIBLE: [RangeInclusive<char>; 18] = [
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{61c}'..='\u{61c}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200f}',
    '\u{2028}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{2800}'..='\u{2800}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fffb}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0000}'..='\u{e0fff}',
];

/// Those of them that are allowed after a visible character: the two joiners, which Persian and Indian
/// spelling and emoji need, the two variation selectors of emoji, and the letters in emoji of flags.
const JOINERS: [RangeInclusive<char>; 3] =
    ['\u{200c}'..='\u{200d}', '\u{fe0e}'..='\u{fe0f}', '\u{e0020}'..='\u{e007f}'];

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

/// A user in the list of all.
pub struct Listed {
    /// Who it is.
    pub user: User,
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

impl NewUser<'_> {
    /// The mistakes in the names and the email. Empty if there are none.
    pub fn problems(&self) -> Vec<Problem> {
        let problems = [
            ("first_name", name_problem(self.first_name, "first name")),
            ("last_name", name_problem(self.last_name, "last name")),
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
    unless_taken(database.run(move |connection| {
        connection.query_opt(SQL, &[&first_name, &last_name, &email, &folded, &hash])
    }))
}

/// The user who was stored. `None` if the unique constraint says that the email has an account already.
pub(super) fn unless_taken(stored: Result<Option<Row>, Error>) -> Result<Option<User>, Error> {
    match stored {
        Ok(row) => Ok(row.as_ref().map(User::from_row)),
        Err(error) if error.sql_state() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The user with that email who may log in, and the hash of the password. Capital letters make no difference.
pub fn find(database: &Database, email: &str) -> Result<Option<(User, PasswordHash)>, Error> {
    find_where(database, email, false)
}

/// The same, for a disabled user, too.
pub fn find_any(database: &Database, email: &str) -> Result<Option<(User, PasswordHash)>, Error> {
    find_where(database, email, true)
}

fn find_where(
    database: &Database,
    email: &str,
    may_be_disabled: bool,
) -> Result<Option<(User, PasswordHash)>, Error> {
    const SQL: &str = "
        SELECT uid, first_name, last_name, email, pwdhash
        FROM users
        WHERE email_folded = $1
          AND (disabled_at IS NULL OR $2)";
    // Nobody has such an email, and it would be kept in memory while the database is slow.
    if email.len() > MAX_EMAIL_BYTES {
        return Ok(None);
    }
    let folded = email::fold(email);
    let row =
        database.run(move |connection| connection.query_opt(SQL, &[&folded, &may_be_disabled]))?;
    Ok(row.map(|row| (User::from_row(&row), PasswordHash::stored(row.get("pwdhash")))))
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

/// All users, ordered by email.
pub fn list(database: &Database) -> Result<Vec<Listed>, Error> {
    const SQL: &str = "
        SELECT uid, first_name, last_name, email, created_at, disabled_at,
            totp_key IS NOT NULL AS has_second_factor
        FROM users
        ORDER BY email_folded";
    let rows = database.run(move |connection| connection.query(SQL, &[]))?;
    let listed = |row: &Row| Listed {
        user: User::from_row(row),
        registered: row.get("created_at"),
        disabled: row.get("disabled_at"),
        has_second_factor: row.get("has_second_factor"),
    };
    Ok(rows.iter().map(listed).collect())
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

fn name_problem(name: &str, label: &str) -> Option<String> {
    if name.is_empty() {
        Some(format!("Enter your {label}."))
    } else if name.chars().count() > MAX_NAME_CHARS {
        Some(NAME_TOO_LONG.to_owned())
    } else {
        (!is_visible(name)).then(|| NAME_ODD.to_owned())
    }
}

/// Whether a text has no invisible characters, except [`JOINERS`] after a visible character.
fn is_visible(text: &str) -> bool {
    let is_in = |ranges: &[RangeInclusive<char>], c| ranges.iter().any(|range| range.contains(&c));
    let mut may_join = false;
    text.chars().all(|c| {
        let is_joiner = is_in(&JOINERS, c);
        let is_fine = if is_joiner { may_join } else { !c.is_control() && !is_in(&INVISIBLE, c) };
        may_join = is_joiner || !c.is_whitespace();
        is_fine
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_people_pass_and_names_that_hide_something_do_not() {
        let persian = "می\u{200c}خواهم";
        let england = "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}";
        for name in
            ["Ada", "Nguyễn Văn", "O'Brien-Smith", persian, "👩\u{200d}🚀", "❤\u{fe0f}", england]
        {
            assert!(is_visible(name), "{name:?}");
        }
        for name in ["<b>", "R2-D2", "علي", "山田"] {
            assert_eq!(name_problem(name, "first name"), None, "{name:?}");
        }
        let odd = [
            "\u{202e}adA",
            "A\u{200b}da",
            "\u{200d}",
            "\u{200c}\u{200d}",
            "A\u{2066}",
            "A\0",
            "\u{3164}",
            "A \u{200d}da",
            "A\u{2028}da",
            "\u{ad}",
            "\u{2800}",
        ];
        for name in odd {
            assert_eq!(name_problem(name, "first name").as_deref(), Some(NAME_ODD), "{name:?}");
        }
    }
}
