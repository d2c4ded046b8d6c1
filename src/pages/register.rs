//! `/register`: the form that makes an account.

use maud::html;
use rouille::Response;

use super::form::{field, new_password, new_password_fields, summary, title};
use super::layout;
use super::login::AFTER_LOGIN;
use crate::accounts::authentication::Authentication;
use crate::accounts::passwords::Password;
use crate::accounts::users::{self, NewUser, Problem};
use crate::error::Error;
use crate::events::event;
use crate::sessions::Flash;
use crate::visit::Visit;

const ALREADY_LOGGED_IN: &str = "You are already logged in.";
const EMAIL_TAKEN: &str = "Email already registered. Log in instead.";

/// `GET /register`.
pub fn show(visit: &mut Visit) -> Result<Response, Error> {
    if visit.member.is_some() {
        return visit.redirect(AFTER_LOGIN, Flash::Notice(ALREADY_LOGGED_IN.to_owned()));
    }
    if !visit.app.may_register() {
        return Err(Error::RegistrationClosed);
    }
    Ok(page(visit, NewUser::default(), &[]))
}

/// `POST /register`.
pub fn submit(visit: &mut Visit) -> Result<Response, Error> {
    // A visitor who does not get the form must not be able to send it.
    if visit.member.is_some() || !visit.app.may_register() {
        return show(visit);
    }
    let form = visit.form()?;
    let typed = NewUser {
        first_name: form.field("first_name")?.trim(),
        last_name: form.field("last_name")?.trim(),
        email: form.field("email")?.trim(),
    };
    let mut problems = typed.problems();
    let (password, more) = new_password(visit, &form, typed.known())?;
    problems.extend(more);
    if !problems.is_empty() {
        return Ok(page(visit, typed, &problems).with_status_code(422));
    }
    store(visit, typed, &password)
}

/// Stores the user and logs them in. If the email has an account already, redirects to the login page.
fn store(visit: &mut Visit, typed: NewUser, password: &Password) -> Result<Response, Error> {
    let Authentication { throttle, passwords, .. } = &visit.app.authentication;
    throttle.registration(visit.ip).inspect_err(|_| {
        event("registration-throttled", visit.ip, &[("email", typed.email)]);
    })?;
    throttle.accept_form(visit.ip);
    let hash = passwords.hash(visit.ip, password)?;
    let Some(user) = users::add(&visit.app.database, typed, &hash)? else {
        return visit.redirect("/login", Flash::Alert(EMAIL_TAKEN.to_owned()));
    };
    event("registration", visit.ip, &[("email", typed.email)]);
    visit.log_in(user, &hash, false)?;
    let welcome = format!("Welcome, {}! Your account was created.", typed.first_name);
    visit.redirect(AFTER_LOGIN, Flash::Notice(welcome))
}

fn page(visit: &mut Visit, typed: NewUser, problems: &[Problem]) -> Response {
    let content = html! {
        (summary(problems))
        h1 { "Register" }
        form method="post" action="/register" {
            (field("first_name", "First name", "given-name", typed.first_name, problems))
            (field("last_name", "Last name", "family-name", typed.last_name, problems))
            (field("email", "Email", "email", typed.email, problems))
            @for field in new_password_fields(problems) { (field) }
            button type="submit" { "Register" }
        }
        p.aside { "You have an account? " a href="/login" { "Log in" } "." }
    };
    layout::page(visit, &title("Register", problems), &[content])
}
