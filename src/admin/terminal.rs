//! What a command asks for, and what it prints.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use super::CommandError;
use crate::accounts::passwords::{NOT_CONFIRMED, Password, PasswordHash};
use crate::config::Config;

/// Of a line on standard input, as much as is read.
const MAX_LINE_BYTES: u64 = 1024;

/// The hash of a new password.
pub(super) fn choose_password(
    config: &Config,
    known: [&str; 3],
) -> Result<PasswordHash, CommandError> {
    let password = Password::typed(&ask_password()?);
    if let Some(weakness) = password.weakness(known, config.password_min) {
        return Err(CommandError::Refused(format!("password: {weakness}")));
    }
    Ok(password.hash(config.bcrypt_cost)?)
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

/// A line of standard input, without its end.
pub(super) fn read_line() -> Result<String, CommandError> {
    let mut line = String::new();
    let read = io::stdin().lock().take(MAX_LINE_BYTES).read_line(&mut line);
    read.map_err(|error| CommandError::Stream("standard input", error))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Prints to standard output. A reader who has seen enough is no error.
pub(super) fn print(text: &str) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CommandError::Stream("standard output", error))
        }
        _ => Ok(()),
    }
}
