//! `/register`: the form that makes an account.

use maud::html;
use rouille::Response;

use super::form::{self, Field, alert, new_password, new_password_fields, summary, title};
use super::layout;
use super::login::{self, AFTER_LOGIN, Login, TypedEmail};
use crate::accounts::authentication::Authentication;
use crate::accounts::passwords::Password;
use crate::accounts::users::{self, NewUser, Problem};
use crate::error::Error;
use crate::events::event;
use crate::http::form::Form;
use crate::http::next::{self, ReturnPath};
use crate::sessions::{Flash, MESSAGE_LIFETIME};
use crate::visit::Visit;

const ALREADY_LOGGED_IN: &str = "You are already logged in.";
const EMAIL_TAKEN: &str = "Email already registered. Log in instead.";

/// What is wrong with a form.
enum Refusal<'a> {
    /// Nothing.
    None,
    /// Some of its fields.
    Fields(&'a [Problem]),
    /// This network has sent too many forms.
    Throttled(String),
}

/// `GET /register`.
pub fn show(visit: &mut Visit) -> Result<Response, Error> {
    if visit.member.is_some() {
        return visit.redirect(AFTER_LOGIN, Flash::Notice(ALREADY_LOGGED_IN.to_owned()));
    }
    if !visit.app.may_register() {
        return Err(Error::RegistrationClosed);
    }
    let next = next::in_query(visit.request, visit.app.config.public_url.as_ref());
    Ok(page(visit, NewUser::default(), next.as_ref(), &Refusal::None))
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
    let next = next::in_form(&form, visit.app.config.public_url.as_ref());
    match register(visit, &form, typed, next.as_ref()) {
        Err(Error::Throttled(wait)) => {
            let refusal = Refusal::Throttled(form::too_many_tries(wait));
            Ok(form::throttled(page(visit, typed, next.as_ref(), &refusal), wait))
        }
        answered => answered,
    }
}

/// Checks the form, stores the user and logs them in.
fn register(
    visit: &mut Visit,
    form: &Form,
    typed: NewUser,
    next: Option<&ReturnPath>,
) -> Result<Response, Error> {
    let mut problems = typed.problems();
    let (password, more) = new_password(visit, form, typed.known())?;
    problems.extend(more);
    if !problems.is_empty() {
        let refused = page(visit, typed, next, &Refusal::Fields(&problems));
        return Ok(refused.with_status_code(422));
    }
    let Authentication { throttle, passwords, .. } = &visit.app.authentication;
    throttle.registration(visit.ip).inspect_err(|_| {
        event("registration-throttled", visit.ip, &[("email", typed.email)]);
    })?;
    throttle.accept_form(visit.ip);
    let hash = passwords.hash(visit.ip, &password)?;
    let Some(user) = users::add(&visit.app.database, typed, &hash)? else {
        return log_in_instead(visit, typed.email, &password, next);
    };
    event("registration", visit.ip, &[("email", typed.email)]);
    visit.log_in(user, &hash, false, None)?;
    let welcome = format!("Welcome, {}! Your account was created.", typed.first_name);
    let answer = login::redirect(next);
    visit.flash(Flash::Notice(welcome))?;
    Ok(answer)
}

/// What becomes of a form with an email that has an account already. With this account's password it is a
/// second click on the button, so it is a login.
fn log_in_instead(
    visit: &mut Visit,
    email: &str,
    password: &Password,
    next: Option<&ReturnPath>,
) -> Result<Response, Error> {
    if let Some((user, hash)) = visit.app.authentication.authenticate(email, password, visit.ip)? {
        return login::log_in(visit, Login { user, hash, remember: false, next: next.cloned() });
    }
    visit.keep(TypedEmail(email.to_owned()), MESSAGE_LIFETIME)?;
    visit.redirect(&next::with_next("/login", next), Flash::Alert(EMAIL_TAKEN.to_owned()))
}

fn page(
    visit: &mut Visit,
    typed: NewUser,
    next: Option<&ReturnPath>,
    refusal: &Refusal,
) -> Response {
    let problems = if let Refusal::Fields(problems) = refusal { problems } else { &[][..] };
    let [password, confirm] = new_password_fields(problems);
    let fields = [
        Field::new("first_name", "First name", "given-name").value(typed.first_name),
        Field::new("last_name", "Last name", "family-name").value(typed.last_name),
        Field::new("email", "Email", "email").value(typed.email),
        password,
        confirm,
    ]
    .map(|field| field.problems(problems));
    let content = html! {
        (summary(&fields))
        @if let Refusal::Throttled(text) = refusal { (alert("first_name", text)) }
        h1 { "Register" }
        form method="post" action="/register" {
            (login::next_field(next))
            @for field in &fields { (field) }
            button type="submit" { "Register" }
        }
        p.aside { "Already have an account? " (login::link("/login", "Log in", next)) "." }
    };
    let is_wrong = !matches!(refusal, Refusal::None);
    layout::page(visit, "/register", &title("Register", is_wrong), &[content])
}
