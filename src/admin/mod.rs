//! The commands for administrators: `doorward user …`, which look after users, and `doorward check`.
//!
//! Standard output has what was asked for, standard error what was done. The commands change the
//! tables alone, where every running server looks once a second.

use std::io;
use std::sync::Arc;

use clap::{Args, Subcommand};
use thiserror::Error as ThisError;

use crate::accounts::profile::Change;
use crate::accounts::users::{self, Account, NewUser};
use crate::config::Config;
use crate::database::Database;
use crate::error::{Error, StartError};
use crate::sessions::Sessions;

mod changes;
pub mod check;
pub mod settings_file;

/// Why a command failed: one line for the administrator.
#[derive(Debug, ThisError)]
pub enum CommandError {
    /// It could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It refuses what it was asked to do: why.
    #[error("{0}")]
    Refused(String),
    /// Reading standard input or writing standard output failed.
    #[error("standard input or output: {0}")]
    Stream(#[from] io::Error),
    /// The database or the operating system failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<String> for CommandError {
    fn from(why: String) -> CommandError {
        CommandError::Refused(why)
    }
}

/// What can be done with users.
#[derive(Subcommand)]
pub enum UserCommand {
    /// Make an account; the password is asked for, or is a line of standard input
    Add {
        /// What the user logs in with
        email: String,
        /// The user's first name
        #[arg(long, value_name = "NAME")]
        first_name: String,
        /// The user's last name
        #[arg(long, value_name = "NAME")]
        last_name: String,
    },
    /// Print a link with which somebody makes an account, once and within 7 days, even while registration is closed
    Invite(LinkFor),
    /// List everybody: email, first name, last name, time of registration, second factor
    List,
    /// Set another password, and end the user's sessions
    Password(Who),
    /// Print a link with which a user sets a new password, once and within 24 hours
    Reset(LinkFor),
    /// Change email or names; the sites behind the door know a user by the email
    Change {
        /// The email of the account
        email: String,
        /// The new email
        #[arg(long = "email", value_name = "EMAIL")]
        #[arg(required_unless_present_any = ["first_name", "last_name"])]
        new_email: Option<String>,
        /// The new first name
        #[arg(long, value_name = "NAME")]
        first_name: Option<String>,
        /// The new last name
        #[arg(long, value_name = "NAME")]
        last_name: Option<String>,
    },
    /// Keep a user from logging in, and end the user's sessions
    Disable(Who),
    /// Let a disabled user log in again
    Enable(Who),
    /// Turn off the second factor of a user who has lost both app and recovery codes
    SecondFactor {
        /// The email of the account
        email: String,
        /// What to do with it
        #[arg(value_parser = ["off"])]
        change: String,
    },
    /// Delete an account, and end its sessions
    Remove {
        /// The email of the account
        email: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// End all sessions of a user
    Logout(Who),
}

/// A user.
#[derive(Args)]
pub struct Who {
    /// The email of the account
    email: String,
}

/// Who gets a link, and how.
#[derive(Args)]
pub struct LinkFor {
    /// The email of the account, or of the one to be made
    email: String,
    /// Send the link to that email instead
    #[arg(long)]
    mail: bool,
}

/// What was done, in words.
type Done = Result<String, CommandError>;

/// What the commands need.
struct Users<'a> {
    config: &'a Config,
    database: Arc<Database>,
    sessions: Sessions,
}

/// Runs a command.
///
/// # Errors
/// [`CommandError::Refused`] if it cannot be done, [`StartError::Database`] without a database.
pub fn run_user(command: &UserCommand, config: &Config) -> Result<(), CommandError> {
    let database = Arc::new(Database::connect(&config.database_url)?);
    let sessions = Sessions::new(Arc::clone(&database), config);
    let users = Users { config, database, sessions };
    let done = match command {
        UserCommand::Add { email, first_name, last_name } => {
            let [first_name, last_name, email] = [first_name, last_name, email].map(|v| v.trim());
            users.add(NewUser { first_name, last_name, email })
        }
        UserCommand::Invite(to) => users.invite(to),
        UserCommand::List => return users.list(),
        UserCommand::Password(who) => users.set_password(&who.email),
        UserCommand::Reset(to) => users.reset(to),
        UserCommand::Change { email, new_email, first_name, last_name } => {
            let [first_name, last_name, new_email] =
                [first_name, last_name, new_email].map(|value| value.as_deref().map(str::trim));
            users.change(email, Change { first_name, last_name, email: new_email })
        }
        UserCommand::Disable(who) => users.disable(&who.email),
        UserCommand::Enable(who) => users.enable(&who.email),
        UserCommand::SecondFactor { email, .. } => users.turn_second_factor_off(email),
        UserCommand::Remove { email, yes } => users.remove(email, *yes),
        UserCommand::Logout(who) => users.log_out(&who.email),
    };
    eprintln!("doorward: {}", done?);
    Ok(())
}

impl Users<'_> {
    /// The account with that email, disabled or not.
    fn find(&self, email: &str) -> Result<Account, CommandError> {
        let email = email.trim();
        let found = users::find(&self.database, email)?;
        let nobody = || format!("no user has the email {email:?}; `doorward user list` shows them");
        Ok(found.ok_or_else(nobody)?)
    }
}
