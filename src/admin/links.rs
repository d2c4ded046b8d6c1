//! `doorward user invite` and `user reset`: links, printed alone on standard output, or sent by mail.

use url::Url;

use super::terminal::print;
use super::{CommandError, find};
use crate::accounts::links::{self, LinkUrl};
use crate::accounts::mail::{Letter, Server, cause};
use crate::accounts::{email, users};
use crate::config::Config;
use crate::database::Database;
use crate::error::StartError;

const PUBLIC_URL: &str = "DOORWARD_PUBLIC_URL";

pub(super) fn invite(config: &Config, email: &str, by_mail: bool) -> Result<(), CommandError> {
    let (site, server) = (site(config)?, server(config, by_mail)?);
    if let Some(problem) = email::problem(email) {
        return Err(CommandError::Refused(format!("email: {problem}")));
    }
    let database = Database::connect(&config.database_url)?;
    if users::find(&database, email)?.is_some() {
        return Err(CommandError::Refused(format!("{email} has an account already")));
    }
    let link = links::invite(&database, email, site)?;
    hand_over(server, email, &link, &Letter::invitation(&link))
}

pub(super) fn reset(config: &Config, email: &str, by_mail: bool) -> Result<(), CommandError> {
    let (site, server) = (site(config)?, server(config, by_mail)?);
    let (database, user, _) = find(config, email)?;
    let link = links::reset(&database, user.uid, site)?;
    hand_over(server, &user.email, &link, &Letter::new_password(&link))
}

/// The public URL, with which links start.
fn site(config: &Config) -> Result<&Url, StartError> {
    let missing =
        || "not set, but links start with it: write https://members.example.org".to_owned();
    config.public_url.as_ref().ok_or_else(|| StartError::Setting(PUBLIC_URL, missing()))
}

/// The mail server, if a link goes by mail.
fn server(config: &Config, by_mail: bool) -> Result<Option<Server>, CommandError> {
    let server = Server::new(config)?.filter(|_| by_mail);
    if by_mail && server.is_none() {
        return Err(CommandError::Refused("there is no mail: set DOORWARD_SMTP".to_owned()));
    }
    Ok(server)
}

fn hand_over(
    server: Option<Server>,
    to: &str,
    link: &LinkUrl,
    letter: &Letter,
) -> Result<(), CommandError> {
    let Some(server) = server else {
        eprintln!("doorward: a link for {to}; whoever has it can use it, once");
        return print(&format!("{}\n", link.expose()));
    };
    server
        .write(to, letter)
        .map_err(|failure| CommandError::Refused(format!("mail to {to}: {}", cause(&failure))))?;
    eprintln!("doorward: sent a link to {to}");
    Ok(())
}
