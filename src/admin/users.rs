//! `doorward user …`: the commands that look after users.
//!
//! Standard output has what was asked for, standard error what was done. The commands change the
//! tables alone, where every running server looks once a second.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use clap::Subcommand;

use super::terminal::{choose_password, print, read_line};
use super::{CommandError, changes, find, links, nobody, refuse_problem, tell};
use crate::accounts::mail::{Letter, Server};
use crate::accounts::profile::{self, Change};
use crate::accounts::second_factor;
use crate::accounts::users::{self, Account, NewUser};
use crate::config::Config;
use crate::database::Database;
use crate::sessions::{Sessions, Which};

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
    Invite {
        /// Whom to invite: what the account will have as its email
        email: String,
        /// Send the link to that email instead
        #[arg(long)]
        mail: bool,
    },
    /// List everybody: email, first name, last name, time of registration, second factor
    List,
    /// Set another password, and end the user's sessions
    Password {
        /// Whose password
        email: String,
    },
    /// Print a link with which a user sets a new password, once and within 24 hours
    Reset {
        /// Whose password
        email: String,
        /// Send the link to that email instead
        #[arg(long)]
        mail: bool,
    },
    /// Change email or names; the sites behind the door know a user by the email
    Change {
        /// Whose account
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
    Disable {
        /// Who shall be kept out
        email: String,
    },
    /// Let a disabled user log in again
    Enable {
        /// Who shall be let in
        email: String,
    },
    /// Turn off the second factor of a user who has lost both app and recovery codes
    SecondFactor {
        /// Whose second factor
        email: String,
        /// What to do with it
        #[arg(value_parser = ["off"])]
        change: String,
    },
    /// Delete an account, and end its sessions
    Remove {
        /// Whose account
        email: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// End all sessions of a user
    Logout {
        /// Whose sessions
        email: String,
    },
}

/// Runs a command.
///
/// # Errors
/// [`CommandError::Refused`] if it cannot be done, [`StartError::Database`](crate::StartError::Database) without a database.
pub fn run(command: &UserCommand, config: &Config) -> Result<(), CommandError> {
    match command {
        UserCommand::Add { email, first_name, last_name } => {
            let [first_name, last_name, email] = [first_name, last_name, email].map(|v| v.trim());
            add(config, NewUser { first_name, last_name, email })
        }
        UserCommand::Invite { email, mail } => links::invite(config, email.trim(), *mail),
        UserCommand::List => list(config),
        UserCommand::Password { email } => set_password(config, email),
        UserCommand::Reset { email, mail } => links::reset(config, email, *mail),
        UserCommand::Change { email, new_email, first_name, last_name } => {
            let [first_name, last_name, new_email] =
                [first_name, last_name, new_email].map(|value| value.as_deref().map(str::trim));
            changes::change(config, email, Change { first_name, last_name, email: new_email })
        }
        UserCommand::Disable { email } => changes::disable(config, email),
        UserCommand::Enable { email } => changes::enable(config, email),
        UserCommand::Remove { email, yes } => remove(config, email, *yes),
        UserCommand::Logout { email } => log_out(config, email),
        UserCommand::SecondFactor { email, .. } => turn_second_factor_off(config, email),
    }
}

fn add(config: &Config, new: NewUser) -> Result<(), CommandError> {
    refuse_problem(new)?;
    let database = Database::connect(&config.database_url)?;
    let hash = choose_password(config, new.known())?;
    if users::add(&database, new, &hash)?.is_none() {
        return Err(CommandError::Refused(format!("{} has an account already", new.email)));
    }
    eprintln!("doorward: added {}", new.email);
    Ok(())
}

fn list(config: &Config) -> Result<(), CommandError> {
    let users = users::list(&Database::connect(&config.database_url)?)?;
    let shown = |time| humantime::format_rfc3339_seconds(time).to_string();
    let users = users.into_iter().map(
        |Account { user, registered, disabled, has_second_factor, .. }| {
            let disabled = disabled.map(|time| format!(", disabled since {}", shown(time)));
            let since = shown(registered) + &disabled.unwrap_or_default();
            let factor = if has_second_factor { "on" } else { "off" }.to_owned();
            // Nobody's name may break the line, or speak to the terminal.
            [user.email.into(), user.first_name.into(), user.last_name.into(), since, factor]
                .map(|value: String| value.replace(char::is_control, "\u{fffd}"))
        },
    );
    if !io::stdout().is_terminal() {
        return print(&users.map(|row| row.join("\t") + "\n").collect::<String>());
    }
    let header =
        ["EMAIL", "FIRST NAME", "LAST NAME", "REGISTERED", "SECOND FACTOR"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(header).chain(users).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let [a, b, c, d] = [0, 1, 2, 3].map(|column| width(column).unwrap_or_default());
    let line = |[email, first, last, since, factor]: &[String; 5]| {
        format!("{email:a$}  {first:b$}  {last:c$}  {since:d$}  {factor}\n")
    };
    print(&rows.iter().map(line).collect::<String>())
}

fn set_password(config: &Config, email: &str) -> Result<(), CommandError> {
    let server = Server::new(config)?;
    let (database, user, old) = find(config, email)?;
    let new = choose_password(config, user.known())?;
    let sessions = Sessions::new(Arc::new(database), config);
    let ended = profile::change_password(&sessions, user.uid, &old, &new)?.ok_or_else(|| {
        CommandError::Refused(format!("{} has another password since you began", user.email))
    })?;
    eprintln!("doorward: changed the password of {}, sessions ended: {ended}", user.email);
    tell(server, &user, Letter::changed("password"));
    Ok(())
}

fn remove(config: &Config, email: &str, sure: bool) -> Result<(), CommandError> {
    let (database, user, _) = find(config, email)?;
    if !sure {
        if !io::stdin().is_terminal() {
            return Err(CommandError::Refused(
                "there is no terminal to ask on: add --yes".to_owned(),
            ));
        }
        eprint!("Delete {} ({}) for good? [y/N] ", user.email, user.full_name());
        if !matches!(read_line()?.trim(), "y" | "Y" | "yes") {
            return Err(CommandError::Refused("nothing was deleted".to_owned()));
        }
    }
    let sessions = Sessions::new(Arc::new(database), config);
    profile::remove(&sessions, user.uid)?.ok_or_else(|| nobody(email))?;
    eprintln!("doorward: removed {}", user.email);
    Ok(())
}

fn log_out(config: &Config, email: &str) -> Result<(), CommandError> {
    let (database, user, _) = find(config, email)?;
    let ended = Sessions::new(Arc::new(database), config).end(user.uid, Which::All)?;
    eprintln!("doorward: sessions ended: {ended}");
    Ok(())
}

fn turn_second_factor_off(config: &Config, email: &str) -> Result<(), CommandError> {
    let server = Server::new(config)?;
    let (database, user, _) = find(config, email)?;
    if !second_factor::turn_off(&database, user.uid)? {
        return Err(CommandError::Refused(format!("{} has no second factor", user.email)));
    }
    eprintln!("doorward: turned off the second factor of {}", user.email);
    tell(server, &user, Letter::changed("second factor"));
    Ok(())
}
