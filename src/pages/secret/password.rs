//! The form that changes the password, and `POST /password`.

use maud::{Markup, html};
use rouille::Response;

use super::page;
use crate::accounts::authentication::Authentication;
use crate::accounts::passwords::Password;
use crate::accounts::users::Problem;
use crate::error::Error;
use crate::events::event;
use crate::pages::form::{field, new_password, new_password_fields};
use crate::pages::login::AFTER_LOGIN;
use crate::sessions::{Flash, Session};
use crate::visit::Visit;

const CHANGED: &str = "Your password was changed. Every other session was ended.";
const WRONG: &str = "That is not your current password.";

/// `POST /password`.
pub fn change(visit: &mut Visit, session: &Session) -> Result<Response, Error> {
    let Authentication { throttle, passwords, .. } = &visit.app.authentication;
    let form = visit.form()?;
    let current = Password::typed(form.field("current_password")?);
    // This counts as a login, so a thief of a session cannot guess the password here without limit.
    let found = visit.app.authentication.authenticate(&session.user.email, &current, visit.ip)?;
    let (password, mut problems) = new_password(visit, &form, session.user.known())?;
    if found.is_none() {
        problems.insert(0, ("current_password", WRONG.to_owned()));
    }
    let Some((user, old)) = found.filter(|_| problems.is_empty()) else {
        return Ok(page(visit, session, &problems)?.with_status_code(422));
    };
    throttle.accept_form(visit.ip);
    let new = passwords.hash(visit.ip, &password)?;
    visit.app.sessions.change_password(user.uid, &old, &new)?.ok_or(Error::LoginRequired)?;
    event("password-changed", visit.ip, &[("email", &user.email)]);
    visit.log_in(user, &new, session.remembered)?;
    visit.redirect(AFTER_LOGIN, Flash::Notice(CHANGED.to_owned()))
}

/// The section with the form.
pub fn section(session: &Session, problems: &[Problem]) -> Markup {
    html! {
        section aria-labelledby="change-password" {
            h2 #change-password { "Password" }
            form method="post" action="/password" {
                // Password managers read here whose password this is.
                input type="email" name="username" value=(session.user.email)
                    autocomplete="username" hidden;
                (field("current_password", "Current password", "current-password", "", problems))
                @for field in new_password_fields(problems) { (field) }
                button type="submit" { "Change password" }
            }
        }
    }
}
