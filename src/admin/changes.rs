//! What the user commands do.

use std::io::{self, IsTerminal, Write};
use std::iter;

use url::Url;

use super::{CommandError, Done, LinkFor, Users};
use crate::accounts::email;
use crate::accounts::links::{self, LinkUrl};
use crate::accounts::mail::{Letter, Server, cause};
use crate::accounts::passwords::{NOT_CONFIRMED, Password, PasswordHash};
use crate::accounts::profile::{self, Change};
use crate::accounts::second_factor;
use crate::accounts::users::{self, Account, NewUser, User};
use crate::error::StartError;
use crate::sessions::Which;

impl Users<'_> {
    pub(super) fn add(&self, new: NewUser) -> Done {
        refuse_problem(new)?;
        let hash = self.choose_password(new.known())?;
        let added = users::add(&self.database, new, &hash)?;
        added.ok_or_else(|| format!("{} has an account already", new.email))?;
        Ok(format!("added {}", new.email))
    }

    /// Prints all users: a line each with tabs, or a table on a terminal.
    pub(super) fn list(&self) -> Result<(), CommandError> {
        let shown = |time| humantime::format_rfc3339_seconds(time).to_string();
        let row = |Account { user, registered, disabled, has_second_factor, .. }| {
            let disabled = disabled.map(|time| format!(", disabled since {}", shown(time)));
            let since = shown(registered) + &disabled.unwrap_or_default();
            let factor = if has_second_factor { "on" } else { "off" }.to_owned();
            // Nobody's name may break the line, or speak to the terminal.
            [user.email.into(), user.first_name.into(), user.last_name.into(), since, factor]
                .map(|value: String| value.replace(char::is_control, "\u{fffd}"))
        };
        let users = users::list(&self.database)?.into_iter().map(row);
        if !io::stdout().is_terminal() {
            let lines: String = users.map(|row| row.join("\t") + "\n").collect();
            return Ok(io::stdout().write_all(lines.as_bytes())?);
        }
        let header = ["EMAIL", "FIRST NAME", "LAST NAME", "REGISTERED", "SECOND FACTOR"];
        let rows: Vec<_> = iter::once(header.map(str::to_owned)).chain(users).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
        let [a, b, c, d] = [0, 1, 2, 3].map(|column| width(column).unwrap_or_default());
        for [email, first, last, since, factor] in &rows {
            writeln!(io::stdout(), "{email:a$}  {first:b$}  {last:c$}  {since:d$}  {factor}")?;
        }
        Ok(())
    }

    pub(super) fn set_password(&self, email: &str) -> Done {
        let (mail, Account { user, hash: old, .. }) = (self.mail()?, self.find(email)?);
        let new = self.choose_password(user.known())?;
        let ended = profile::change_password(&self.sessions, user.uid, &old, &new)?;
        let ended =
            ended.ok_or_else(|| format!("{} has another password since you began", user.email))?;
        let done = format!("changed the password of {}, sessions ended: {ended}", user.email);
        Ok(tell(mail, done, &user, "password"))
    }

    pub(super) fn change(&self, email: &str, to: Change) -> Done {
        let (mail, user) = (self.mail()?, self.find(email)?.user);
        refuse_problem(NewUser {
            first_name: to.first_name.unwrap_or(&user.first_name),
            last_name: to.last_name.unwrap_or(&user.last_name),
            email: to.email.unwrap_or(&user.email),
        })?;
        if !profile::change(&self.database, user.uid, to)? {
            return Err(format!("{} has an account already", to.email.unwrap_or_default()).into());
        }
        let (done, mail) = (format!("changed {}", user.email), mail.filter(|_| to.email.is_some()));
        Ok(tell(mail, done, &user, "email"))
    }

    pub(super) fn disable(&self, email: &str) -> Done {
        let user = self.find(email)?.user;
        let ended = profile::disable(&self.sessions, user.uid)?;
        let ended = ended.ok_or_else(|| format!("{} is disabled already", user.email))?;
        Ok(format!("disabled {}, sessions ended: {ended}", user.email))
    }

    pub(super) fn enable(&self, email: &str) -> Done {
        let user = self.find(email)?.user;
        if !profile::enable(&self.database, user.uid)? {
            return Err(format!("{} is not disabled", user.email).into());
        }
        Ok(format!("enabled {}", user.email))
    }

    pub(super) fn turn_second_factor_off(&self, email: &str) -> Done {
        let (mail, user) = (self.mail()?, self.find(email)?.user);
        if !second_factor::turn_off(&self.database, user.uid)? {
            return Err(format!("{} has no second factor", user.email).into());
        }
        let done = format!("turned off the second factor of {}", user.email);
        Ok(tell(mail, done, &user, "second factor"))
    }

    pub(super) fn remove(&self, email: &str, is_sure: bool) -> Done {
        let user = self.find(email)?.user;
        if !is_sure {
            if !io::stdin().is_terminal() {
                return Err("there is no terminal to ask on: add --yes".to_owned().into());
            }
            eprint!("Delete {} ({}) for good? [y/N] ", user.email, user.full_name());
            if !matches!(read_line()?.trim(), "y" | "Y" | "yes") {
                return Err("nothing was deleted".to_owned().into());
            }
        }
        profile::remove(&self.sessions, user.uid)?;
        Ok(format!("removed {}", user.email))
    }

    pub(super) fn log_out(&self, email: &str) -> Done {
        let ended = self.sessions.end(self.find(email)?.user.uid, Which::All)?;
        Ok(format!("sessions ended: {ended}"))
    }

    pub(super) fn invite(&self, to: &LinkFor) -> Done {
        let (email, (site, mail)) = (to.email.trim(), self.site_and_mail(to.mail)?);
        if let Some(problem) = email::problem(email) {
            return Err(format!("email: {problem}").into());
        }
        if users::find(&self.database, email)?.is_some() {
            return Err(format!("{email} has an account already").into());
        }
        let link = links::invite(&self.database, email, site)?;
        hand_over(mail, email, &link, &Letter::invitation(&link))
    }

    pub(super) fn reset(&self, to: &LinkFor) -> Done {
        let ((site, mail), user) = (self.site_and_mail(to.mail)?, self.find(&to.email)?.user);
        let link = links::reset(&self.database, user.uid, site)?;
        hand_over(mail, &user.email, &link, &Letter::new_password(&link))
    }

    /// The public URL, with which links start, and the mail server if a link goes by mail.
    fn site_and_mail(&self, by_mail: bool) -> Result<(&Url, Option<Server>), CommandError> {
        let mail = self.mail()?.filter(|_| by_mail);
        if by_mail && mail.is_none() {
            return Err("there is no mail: set DOORWARD_SMTP".to_owned().into());
        }
        let missing = "not set, but links start with it: write https://members.example.org";
        let missing = || StartError::Setting("DOORWARD_PUBLIC_URL", missing.to_owned());
        Ok((self.config.public_url.as_ref().ok_or_else(missing)?, mail))
    }

    /// The hash of a new password, which is asked for twice on a terminal, or is a line of standard input.
    fn choose_password(&self, known: [&str; 3]) -> Result<PasswordHash, CommandError> {
        let typed = if io::stdin().is_terminal() {
            // Nothing in between: what is typed ahead of the second question would be shown.
            let typed = rpassword::prompt_password("Password: ")?;
            if rpassword::prompt_password("The same again: ")? != typed {
                return Err(NOT_CONFIRMED.to_owned().into());
            }
            typed
        } else {
            read_line()?
        };
        let password = Password::typed(&typed);
        if let Some(weakness) = password.weakness(known, self.config.password_min) {
            return Err(format!("password: {weakness}").into());
        }
        Ok(password.hash(self.config.bcrypt_cost)?)
    }

    /// The mail server, if the settings name one.
    fn mail(&self) -> Result<Option<Server>, StartError> {
        Server::new(self.config)
    }
}

/// Prints a link, or sends it.
fn hand_over(mail: Option<Server>, to: &str, link: &LinkUrl, letter: &Letter) -> Done {
    let Some(server) = mail else {
        writeln!(io::stdout(), "{}", link.expose())?;
        return Ok(format!("a link for {to}; whoever has it can use it, once"));
    };
    let sent = server.write(to, letter);
    sent.map_err(|failure| format!("mail to {to}: {}", cause(&failure)))?;
    Ok(format!("sent a link to {to}"))
}

/// Tells the owner of an account what has changed, if there is a mail server. It may be slow, so what was done is
/// printed before.
fn tell(mail: Option<Server>, done: String, user: &User, changed: &str) -> String {
    let Some(server) = mail else { return done };
    eprintln!("doorward: {done}");
    match server.write(&user.email, &Letter::changed(changed)) {
        Ok(()) => format!("told {} by mail", user.email),
        Err(failure) => format!("could not tell {} by mail: {}", user.email, cause(&failure)),
    }
}

/// Refuses names and emails that the forms refuse.
fn refuse_problem(new: NewUser) -> Result<(), String> {
    match new.problems().first() {
        Some((field, problem)) => Err(format!("{}: {problem}", field.replace('_', " "))),
        None => Ok(()),
    }
}

/// A line of standard input, without its end.
fn read_line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
