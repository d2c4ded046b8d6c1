//! `/register`: making an account.

use maud::{Markup, html};
use rouille::{Request, Response};

use super::form::{Field, Problems, summary, title};
use super::{layout, login};
use crate::app::App;
use crate::error::Error;
use crate::events::event;
use crate::http::form::Form;
use crate::passwords::{self, NOT_CONFIRMED, Password};
use crate::sessions::Flash;
use crate::users::{self, MAX_EMAIL_BYTES, MAX_NAME_CHARS};
use crate::visit::Visit;

const ALREADY_LOGGED_IN: &str = "You are already logged in.";
const EMAIL_TAKEN: &str = "Email already registered. Log in instead.";
const PASSWORD_HINT: &str = "At least 8 characters. A few uncommon words make a good one.";

/// What was typed, but for the passwords.
#[derive(Default)]
struct Typed<'a> {
    first_name: &'a str,
    last_name: &'a str,
    email: &'a str,
}

/// `GET /register`.
pub fn form(app: &App, visit: &mut Visit, _request: &Request) -> Result<Response, Error> {
    if let Some(elsewhere) = turn_away(app, visit)? {
        return Ok(elsewhere);
    }
    Ok(page(app, visit, &Typed::default(), &Problems::new()))
}

/// `POST /register`.
pub fn submit(app: &App, visit: &mut Visit, request: &Request) -> Result<Response, Error> {
    if let Some(elsewhere) = turn_away(app, visit)? {
        return Ok(elsewhere);
    }
    let form = Form::read(request, app.config.limits.max_body_bytes)?;
    let typed = Typed {
        first_name: form.field("first_name")?.trim(),
        last_name: form.field("last_name")?.trim(),
        email: form.field("email")?.trim(),
    };
    let password = Password::typed(form.field("password")?);
    let mut problems = users::problems(typed.first_name, typed.last_name, typed.email);
    let known = [typed.first_name, typed.last_name, typed.email];
    problems.extend(password_problems(&form, &password, &known)?);
    if !problems.is_empty() {
        return Ok(page(app, visit, &typed, &problems).with_status_code(422));
    }
    store(app, visit, &typed, &password)
}

/// Stores the user and logs them in, or leads who has an account to the login page.
fn store(
    app: &App,
    visit: &mut Visit,
    typed: &Typed,
    password: &Password,
) -> Result<Response, Error> {
    let &Typed { first_name, last_name, email } = typed;
    app.throttle.registration(visit.ip).inspect_err(|_| {
        event("registration-throttled", visit.ip, &[("email", email)]);
    })?;
    let hash = app.passwords.hash(password)?;
    let Some(user) = users::add(&app.database, (first_name, last_name), email, &hash)? else {
        visit.flash(app, Flash::Alert(EMAIL_TAKEN.to_owned()))?;
        return Ok(Response::redirect_303("/login"));
    };
    event("registration", visit.ip, &[("email", email)]);
    visit.log_in(app, user, false)?;
    let welcome = format!("Welcome, {first_name}! Your account was created.");
    visit.flash(app, Flash::Notice(welcome))?;
    Ok(Response::redirect_303(login::HOME))
}

/// What is wrong with a new password and its confirmation, given what a guesser would know.
pub fn password_problems(
    form: &Form,
    password: &Password,
    known: &[&str],
) -> Result<Problems, Error> {
    let mut problems = Problems::new();
    problems.extend(password.weakness(known).map(|text| ("password", text)));
    if form.field("confirm")? != form.field("password")? {
        problems.push(("confirm", NOT_CONFIRMED.to_owned()));
    }
    Ok(problems)
}

/// The two fields for a new password.
pub fn password_fields(problems: &Problems) -> [Markup; 2] {
    let new_password = Field {
        kind: "password",
        autocomplete: "new-password",
        min: Some(passwords::MIN_CHARS),
        max: Some(passwords::MAX_BYTES),
        ..Field::default()
    };
    let hint = Some(PASSWORD_HINT);
    [
        Field { name: "password", label: "New password", hint, ..new_password }.render(problems),
        Field { name: "confirm", label: "New password again", ..new_password }.render(problems),
    ]
}

/// Where members go instead. `None` for strangers, if they may register.
fn turn_away(app: &App, visit: &mut Visit) -> Result<Option<Response>, Error> {
    if visit.user().is_none() {
        return if app.is_open() { Ok(None) } else { Err(Error::RegistrationClosed) };
    }
    visit.flash(app, Flash::Notice(ALREADY_LOGGED_IN.to_owned()))?;
    Ok(Some(Response::redirect_303(login::HOME)))
}

fn page(app: &App, visit: &mut Visit, typed: &Typed, problems: &Problems) -> Response {
    let text = Field { kind: "text", max: Some(MAX_NAME_CHARS), ..Field::default() };
    let content = html! {
        (summary(problems))
        h1 { "Register" }
        form method="post" action="/register" {
            (Field { name: "first_name", label: "First name", autocomplete: "given-name",
                value: typed.first_name, ..text }.render(problems))
            (Field { name: "last_name", label: "Last name", autocomplete: "family-name",
                value: typed.last_name, ..text }.render(problems))
            (Field { name: "email", label: "Email", kind: "email", autocomplete: "email",
                value: typed.email, max: Some(MAX_EMAIL_BYTES), ..Field::default() }.render(problems))
            @for field in password_fields(problems) { (field) }
            button type="submit" { "Register" }
        }
        p.aside { "You have an account? " a href="/login" { "Log in" } "." }
    };
    layout::page(app, visit, &title("Register", problems), &[content])
}
