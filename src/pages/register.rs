//! `/register`: making an account.
//!
//! In: names, an email and a password, twice. Out: a stored and logged-in user, or the form again
//! with what is wrong. Who has an account already is led to where it is of use.

use maud::html;
use rouille::{Request, Response};

use super::form::{Problem, count_form, field, new_password, new_password_fields, summary, title};
use super::{layout, login};
use crate::events::event;
use crate::passwords::Password;
use crate::sessions::Flash;
use crate::users;
use crate::visit::Visit;
use crate::{App, Error};

const ALREADY_LOGGED_IN: &str = "You are already logged in.";
const EMAIL_TAKEN: &str = "Email already registered. Log in instead.";

/// What was typed, but for the passwords: first name, last name and email.
type Typed<'a> = [&'a str; 3];

/// `GET /register`.
pub fn show(app: &App, visit: &mut Visit, _request: &Request) -> Result<Response, Error> {
    if visit.member.is_some() {
        return visit.redirect(
            app,
            login::AFTER_LOGIN,
            Flash::Notice(ALREADY_LOGGED_IN.to_owned()),
        );
    }
    if !app.may_register() {
        return Err(Error::RegistrationClosed);
    }
    Ok(page(app, visit, Typed::default(), &[]))
}

/// `POST /register`.
pub fn submit(app: &App, visit: &mut Visit, request: &Request) -> Result<Response, Error> {
    // Who gets no form may not send one.
    if visit.member.is_some() || !app.may_register() {
        return show(app, visit, request);
    }
    let form = app.form(request)?;
    let first_name = form.field("first_name")?.trim();
    let last_name = form.field("last_name")?.trim();
    let email = form.field("email")?.trim();
    let typed = [first_name, last_name, email];
    count_form(app, visit)?;
    let mut problems = users::problems(first_name, last_name, email);
    let (password, more) = new_password(app, visit.ip, &form, &typed)?;
    problems.extend(more);
    if !problems.is_empty() {
        return Ok(page(app, visit, typed, &problems).with_status_code(422));
    }
    store(app, visit, typed, &password)
}

/// Stores the user and logs them in, or leads who has an account to the login page.
fn store(
    app: &App,
    visit: &mut Visit,
    [first_name, last_name, email]: Typed,
    password: &Password,
) -> Result<Response, Error> {
    app.throttle.registration(visit.ip).inspect_err(|_| {
        event("registration-throttled", visit.ip, &[("email", email)]);
    })?;
    app.throttle.accept_form(visit.ip);
    let hash = app.passwords.hash(visit.ip, password)?;
    let Some(user) = users::add(&app.database, (first_name, last_name), email, &hash)? else {
        return visit.redirect(app, "/login", Flash::Alert(EMAIL_TAKEN.to_owned()));
    };
    event("registration", visit.ip, &[("email", email)]);
    visit.log_in(app, user, &hash, false)?;
    let welcome = format!("Welcome, {first_name}! Your account was created.");
    visit.redirect(app, login::AFTER_LOGIN, Flash::Notice(welcome))
}

fn page(app: &App, visit: &mut Visit, typed: Typed, problems: &[Problem]) -> Response {
    let [first_name, last_name, email] = typed;
    let content = html! {
        (summary(problems))
        h1 { "Register" }
        form method="post" action="/register" {
            (field("first_name", "First name", "given-name", first_name, problems))
            (field("last_name", "Last name", "family-name", last_name, problems))
            (field("email", "Email", "email", email, problems))
            @for field in new_password_fields(problems) { (field) }
            button type="submit" { "Register" }
        }
        p.aside { "You have an account? " a href="/login" { "Log in" } "." }
    };
    layout::page(app, visit, &title("Register", problems), &[content])
}
