//! The form that changes the password, and `POST /password`.

use maud::{Markup, html};
use rouille::Response;

use super::page;
use crate::accounts::mail::Letter;
use crate::accounts::passwords::Password;
use crate::accounts::profile;
use crate::accounts::users::Problem;
use crate::error::Error;
use crate::http::form::Form;
use crate::pages::form::{self, Field, summary};
use crate::pages::login::AFTER_LOGIN;
use crate::pages::new_password;
use crate::sessions::{Flash, Session};
use crate::visit::Visit;

const CHANGED: &str = "Your password was changed. Every other session was ended.";
const WRONG: &str = "That is not your current password.";

/// The id of the section's heading.
const SECTION: &str = "change-password";

/// `POST /password` with the current one.
pub fn change(visit: &mut Visit, session: &Session, form: &Form) -> Result<Response, Error> {
    let answer = check_and_change(visit, session, form);
    form::or_throttled(answer, |problem| refuse(visit, session, &[problem]))
}

fn check_and_change(visit: &mut Visit, session: &Session, form: &Form) -> Result<Response, Error> {
    let current = Password::typed(form.field("current_password")?);
    // This counts as a login, so a thief of a session cannot guess the password here without limit.
    let found = visit.app.authentication.authenticate(&session.user.email, &current, visit.ip)?;
    let (password, mut problems) = new_password::judge(visit, form, session.user.known())?;
    if found.is_none() {
        problems.insert(0, ("current_password", WRONG.to_owned()));
    }
    let Some((user, old)) = found.filter(|_| problems.is_empty()) else {
        return Ok(refuse(visit, session, &problems)?.with_status_code(422));
    };
    let new = new_password::accept(visit, &password)?;
    let changed = profile::change_password(&visit.app.sessions, user.uid, &old, &new)?;
    let (user, hash) = if changed.is_some() {
        visit.event("password-changed", &user.email);
        visit.app.mail.tell(&user.email, Letter::changed("password"));
        (user, new)
    } else {
        // Of two clicks on the button, the first has set this password, and ended the session.
        let is_set = visit.app.authentication.authenticate(&user.email, &password, visit.ip)?;
        is_set.ok_or(Error::LoginRequired)?
    };
    visit.log_in(user.uid, &hash, session.remembered, session.proof)?;
    visit.redirect(AFTER_LOGIN, Flash::Notice(CHANGED.to_owned()))
}

fn refuse(visit: &mut Visit, session: &Session, problems: &[Problem]) -> Result<Response, Error> {
    let section = section(visit, session, problems);
    page(visit, session, Some((SECTION, section)))
}

/// The section with the form.
pub fn section(visit: &Visit, session: &Session, problems: &[Problem]) -> Markup {
    let current = Field::new("current_password", "Current password", "current-password");
    let [password, confirm] = new_password::fields(visit, problems);
    let fields = [current.problems(problems), password, confirm];
    html! {
        section aria-labelledby=(SECTION) {
            h2 id=(SECTION) { "Password" }
            (summary(&fields, problems))
            form method="post" action="/password" {
                // Password managers read here whose password this is.
                input type="email" name="username" value=(session.user.email)
                    autocomplete="username" hidden;
                @for field in &fields { (field) }
                button type="submit" { "Change password" }
            }
        }
    }
}
