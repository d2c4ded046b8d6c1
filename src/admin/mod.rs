//! The commands for administrators.

use std::io;

use thiserror::Error as ThisError;

use crate::accounts::mail::{Letter, Server, cause};
use crate::accounts::passwords::PasswordHash;
use crate::accounts::users::{self as accounts, NewUser, User};
use crate::config::Config;
use crate::database::Database;
use crate::error::{Error, StartError};

mod changes;
pub mod check;
mod links;
pub mod settings_file;
mod terminal;
pub mod users;

/// Why a command failed: one line for the administrator.
#[derive(Debug, ThisError)]
pub enum CommandError {
    /// It could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It refuses what it was asked to do: why.
    #[error("{0}")]
    Refused(String),
    /// Reading or writing a stream failed: which stream, and why.
    #[error("{0}: {1}")]
    Stream(&'static str, #[source] io::Error),
    /// The database or the operating system failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// Who has that email, disabled or not, the hash of the password, and the database they are in.
fn find(config: &Config, email: &str) -> Result<(Database, User, PasswordHash), CommandError> {
    let database = Database::connect(&config.database_url)?;
    let found = accounts::find(&database, email.trim())?.ok_or_else(|| nobody(email))?;
    Ok((database, found.user, found.hash))
}

fn nobody(email: &str) -> CommandError {
    let email = email.trim();
    CommandError::Refused(format!(
        "no user has the email {email:?}; `doorward user list` shows them"
    ))
}

/// Refuses names and emails that the forms refuse.
fn refuse_problem(new: NewUser) -> Result<(), CommandError> {
    match new.problems().first() {
        Some((field, problem)) => {
            Err(CommandError::Refused(format!("{}: {problem}", field.replace('_', " "))))
        }
        None => Ok(()),
    }
}

/// Tells the owner of an account what has changed, if there is a mail server.
fn tell(server: Option<Server>, user: &User, news: Letter) {
    if let Some(Err(failure)) = server.map(|server| server.write(&user.email, &news)) {
        eprintln!("doorward: could not tell {} by mail: {}", user.email, cause(&failure));
    }
}
