//! `doorward user …`: the commands that look after users.
//!
//! Standard output has what was asked for, standard error what was done. The commands change the
//! tables alone, where every running server looks once a second.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::sync::Arc;

use clap::Subcommand;
use rand::TryRng;
use rand::rngs::SysRng;

use super::CommandError;
use crate::accounts::passwords::{NOT_CONFIRMED, Password, PasswordHash};
use crate::accounts::second_factor::SecondFactors;
use crate::accounts::users::{self, NewUser, User};
use crate::config::Config;
use crate::database::Database;
use crate::error::Error;
use crate::sessions::{Sessions, Which};

/// Of a line on standard input, as much as is read.
const MAX_LINE_BYTES: u64 = 1024;

/// Letters and digits that nobody takes for another: one is five random bits.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

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
        /// Make up a password and print it, once
        #[arg(long)]
        generate: bool,
    },
    /// List everybody: email, first name, last name, time of registration, second factor
    List,
    /// Set another password, and end the user's sessions
    Password {
        /// Whose password
        email: String,
        /// Make up a password and print it, once
        #[arg(long)]
        generate: bool,
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
        UserCommand::Add { email, first_name, last_name, generate } => {
            let [first_name, last_name, email] = [first_name, last_name, email].map(|v| v.trim());
            add(config, NewUser { first_name, last_name, email }, *generate)
        }
        UserCommand::List => list(config),
        UserCommand::Password { email, generate } => set_password(config, email, *generate),
        UserCommand::Remove { email, yes } => remove(config, email, *yes),
        UserCommand::Logout { email } => log_out(config, email),
        UserCommand::SecondFactor { email, .. } => turn_second_factor_off(config, email),
    }
}

fn add(config: &Config, new: NewUser, generate: bool) -> Result<(), CommandError> {
    if let Some((field, problem)) = new.problems().first() {
        return Err(CommandError::Refused(format!("{}: {problem}", field.replace('_', " "))));
    }
    let database = Database::connect(&config.database_url)?;
    let (hash, made_up) = choose_password(generate, new.known(), config.bcrypt_cost)?;
    if users::add(&database, new, &hash)?.is_none() {
        return Err(CommandError::Refused(format!("{} has an account already", new.email)));
    }
    eprintln!("doorward: added {}", new.email);
    print(&made_up)
}

fn list(config: &Config) -> Result<(), CommandError> {
    let users = users::list(&Database::connect(&config.database_url)?)?;
    let users = users.into_iter().map(|(user, since, has_factor)| {
        let since = humantime::format_rfc3339_seconds(since).to_string();
        let factor = if has_factor { "on" } else { "off" }.to_owned();
        // Nobody's name may break the line, or speak to the terminal.
        [user.email.into(), user.first_name.into(), user.last_name.into(), since, factor]
            .map(|value: String| value.replace(char::is_control, "\u{fffd}"))
    });
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

fn set_password(config: &Config, email: &str, generate: bool) -> Result<(), CommandError> {
    let (database, user, old) = find(config, email)?;
    let (new, made_up) = choose_password(generate, user.known(), config.bcrypt_cost)?;
    let sessions = Sessions::new(Arc::new(database), config);
    let ended = sessions.change_password(user.uid, &old, &new)?.ok_or_else(|| {
        CommandError::Refused(format!("{} has another password since you began", user.email))
    })?;
    eprintln!("doorward: changed the password of {}, sessions ended: {ended}", user.email);
    print(&made_up)
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
    if !users::remove(&database, user.uid)? {
        return Err(nobody(email));
    }
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
    let (database, user, _) = find(config, email)?;
    if !SecondFactors::new(Arc::new(database)).turn_off(user.uid)? {
        return Err(CommandError::Refused(format!("{} has no second factor", user.email)));
    }
    eprintln!("doorward: turned off the second factor of {}", user.email);
    Ok(())
}

/// Who has that email, the hash of the password, and the database they are in.
fn find(config: &Config, email: &str) -> Result<(Database, User, PasswordHash), CommandError> {
    let database = Database::connect(&config.database_url)?;
    let (user, hash) = users::find(&database, email.trim())?.ok_or_else(|| nobody(email))?;
    Ok((database, user, hash))
}

fn nobody(email: &str) -> CommandError {
    let email = email.trim();
    CommandError::Refused(format!(
        "no user has the email {email:?}; `doorward user list` shows them"
    ))
}

/// The hash of a new password, and the line to print if the password was made up here.
fn choose_password(
    generate: bool,
    known: [&str; 3],
    cost: u32,
) -> Result<(PasswordHash, String), CommandError> {
    let text = if generate { random_password()? } else { ask_password()? };
    let password = Password::typed(&text);
    if let Some(weakness) = password.weakness(known) {
        return Err(CommandError::Refused(format!("password: {weakness}")));
    }
    Ok((password.hash(cost)?, if generate { text + "\n" } else { String::new() }))
}

/// Asks twice, with nothing in between: what is typed ahead of the second question would be shown.
fn ask_password() -> Result<String, CommandError> {
    if !io::stdin().is_terminal() {
        return read_line();
    }
    let broken = |error| CommandError::Stream("terminal", error);
    let password = rpassword::prompt_password("Password: ").map_err(broken)?;
    if rpassword::prompt_password("The same again: ").map_err(broken)? != password {
        return Err(CommandError::Refused(NOT_CONFIRMED.to_owned()));
    }
    Ok(password)
}

/// Four groups of five letters and digits: 100 random bits.
fn random_password() -> Result<String, CommandError> {
    let mut bytes = [0; 20];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| Error::System(error.to_string()))?;
    let letters = bytes.map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    Ok(letters.chunks(5).map(String::from_iter).collect::<Vec<_>>().join("-"))
}

/// A line of standard input, without its end.
fn read_line() -> Result<String, CommandError> {
    let mut line = String::new();
    let read = io::stdin().lock().take(MAX_LINE_BYTES).read_line(&mut line);
    read.map_err(|error| CommandError::Stream("standard input", error))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Prints to standard output. A reader who has seen enough is no error.
pub(crate) fn print(text: &str) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CommandError::Stream("standard output", error))
        }
        _ => Ok(()),
    }
}
