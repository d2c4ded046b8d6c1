//! `doorward user change`, `disable` and `enable`.

use std::sync::Arc;

use super::{CommandError, find, refuse_problem, tell};
use crate::accounts::mail::{Letter, Server};
use crate::accounts::profile::{self, Change};
use crate::accounts::users::NewUser;
use crate::config::Config;
use crate::sessions::Sessions;

pub(super) fn change(config: &Config, email: &str, to: Change) -> Result<(), CommandError> {
    let server = Server::new(config)?;
    let (database, user, _) = find(config, email)?;
    refuse_problem(NewUser {
        first_name: to.first_name.unwrap_or(&user.first_name),
        last_name: to.last_name.unwrap_or(&user.last_name),
        email: to.email.unwrap_or(&user.email),
    })?;
    if !profile::change(&database, user.uid, to)? {
        let taken = to.email.unwrap_or_default();
        return Err(CommandError::Refused(format!("{taken} has an account already")));
    }
    eprintln!("doorward: changed {}", user.email);
    if to.email.is_some() {
        tell(server, &user, Letter::changed("email"));
    }
    Ok(())
}

pub(super) fn disable(config: &Config, email: &str) -> Result<(), CommandError> {
    let (database, user, _) = find(config, email)?;
    let sessions = Sessions::new(Arc::new(database), config);
    let ended = profile::disable(&sessions, user.uid)?;
    let is_so = || CommandError::Refused(format!("{} is disabled already", user.email));
    let ended = ended.ok_or_else(is_so)?;
    eprintln!("doorward: disabled {}, sessions ended: {ended}", user.email);
    Ok(())
}

pub(super) fn enable(config: &Config, email: &str) -> Result<(), CommandError> {
    let (database, user, _) = find(config, email)?;
    if !profile::enable(&database, user.uid)? {
        return Err(CommandError::Refused(format!("{} is not disabled", user.email)));
    }
    eprintln!("doorward: enabled {}", user.email);
    Ok(())
}
