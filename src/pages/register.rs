//! `/register`: the form that makes an account.

use maud::html;
use rouille::Response;

use super::form::{self, Field, summary, title};
use super::login::{self, AFTER_LOGIN, Login, TypedEmail};
use super::{layout, links, new_password};
use crate::accounts::links::{Link, LinkHash};
use crate::accounts::passwords::Password;
use crate::accounts::users::{self, NewUser, Problem};
use crate::accounts::{self, email};
use crate::error::Error;
use crate::http::form::Form;
use crate::http::next::{self, ReturnPath};
use crate::sessions::{Flash, MESSAGE_LIFETIME};
use crate::visit::Visit;

const ALREADY_LOGGED_IN: &str = "You are already logged in.";
const EMAIL_TAKEN: &str = "Email already registered. Log in instead.";

/// `GET /register`.
pub fn show(visit: &mut Visit) -> Result<Response, Error> {
    if let Some(number) = visit.query("invitation") {
        return links::open(visit, &number, "/register");
    }
    let invited = match links::find(visit, "/register")? {
        Some((_, Link::Invitation(email))) => Some(email),
        _ => None,
    };
    if invited.is_none() && visit.member.is_some() {
        return visit.redirect(AFTER_LOGIN, Flash::Notice(ALREADY_LOGGED_IN.to_owned()));
    }
    if invited.is_none() && !visit.app.may_register() {
        return Err(Error::RegistrationClosed);
    }
    let next = visit.next(visit.query("next").as_deref());
    let typed = NewUser { email: invited.as_deref().unwrap_or_default(), ..NewUser::default() };
    Ok(page(visit, typed, invited.is_some(), next.as_ref(), &[]))
}

/// `POST /register`.
pub fn submit(visit: &mut Visit) -> Result<Response, Error> {
    let form = visit.form()?;
    let email = form.optional("email").unwrap_or_default().trim();
    // The form may be an older one, for another email.
    let opened = links::opened(visit, "/register").filter(|it| *it.email == email::fold(email));
    let invitation = opened.map(|opened| opened.link);
    // A visitor who does not get the form must not be able to send it.
    if invitation.is_none() && (visit.member.is_some() || !visit.app.may_register()) {
        return show(visit);
    }
    let next = visit.next(form.optional("next"));
    let typed = NewUser {
        first_name: form.field("first_name")?.trim(),
        last_name: form.field("last_name")?.trim(),
        email: form.field("email")?.trim(),
    };
    let answer = register(visit, &form, typed, invitation, next.as_ref());
    form::or_throttled(answer, |problem| {
        Ok(page(visit, typed, invitation.is_some(), next.as_ref(), &[problem]))
    })
}

/// Checks the form, stores the user and logs them in.
fn register(
    visit: &mut Visit,
    form: &Form,
    typed: NewUser,
    invitation: Option<LinkHash>,
    next: Option<&ReturnPath>,
) -> Result<Response, Error> {
    if invitation.is_some() && links::find(visit, "/register")?.is_none() {
        let password = Password::typed(form.field("password")?);
        return log_in_instead(visit, typed.email, &password, invitation, next);
    }
    let mut problems = typed.problems();
    let (password, more) = new_password::judge(visit, form, typed.known())?;
    problems.extend(more);
    if !problems.is_empty() {
        let refused = page(visit, typed, invitation.is_some(), next, &problems);
        return Ok(refused.with_status_code(422));
    }
    let counted = visit.app.authentication.throttle.registration(visit.ip);
    counted.inspect_err(|_| visit.event("registration-throttled", typed.email))?;
    let hash = new_password::accept(visit, &password)?;
    let added = match invitation {
        Some(link) => accounts::links::register(&visit.app.database, link, typed, &hash)?,
        None => users::add(&visit.app.database, typed, &hash)?,
    };
    let Some(user) = added else {
        return log_in_instead(visit, typed.email, &password, invitation, next);
    };
    visit.event("registration", typed.email);
    visit.log_in(user.uid, &hash, false, None)?;
    let welcome = format!("Welcome, {}! Your account was created.", typed.first_name);
    visit.flash(Flash::Notice(welcome))?;
    Ok(login::redirect(next))
}

/// Answers a form with an email that is taken, or with an invitation that is not valid. If the password is that
/// of the account, the form was sent twice, and the visitor is logged in.
fn log_in_instead(
    visit: &mut Visit,
    email: &str,
    password: &Password,
    invitation: Option<LinkHash>,
    next: Option<&ReturnPath>,
) -> Result<Response, Error> {
    if let Some((user, hash)) = visit.app.authentication.authenticate(email, password, visit.ip)? {
        return login::log_in(visit, Login { user, hash, remember: false, next: next.cloned() });
    }
    if invitation.is_some() && links::find(visit, "/register")?.is_none() {
        return Err(Error::LinkEnded);
    }
    visit.keep(TypedEmail(email.to_owned()), MESSAGE_LIFETIME)?;
    visit.redirect(&next::with_next("/login", next), Flash::Alert(EMAIL_TAKEN.to_owned()))
}

fn page(
    visit: &mut Visit,
    typed: NewUser,
    is_invited: bool,
    next: Option<&ReturnPath>,
    problems: &[Problem],
) -> Response {
    let [password, confirm] = new_password::fields(visit, problems);
    let fields = [
        Field::new("first_name", "First name", "given-name").value(typed.first_name),
        Field::new("last_name", "Last name", "family-name").value(typed.last_name),
        Field::new("email", "Email", "email").value(typed.email).fixed(is_invited),
        password,
        confirm,
    ]
    .map(|field| field.problems(problems));
    let content = html! {
        (summary(&fields, problems))
        h1 { "Register" }
        form method="post" action="/register" {
            (login::next_field(next))
            @for field in &fields { (field) }
            button type="submit" { "Register" }
        }
        p.aside { "Already have an account? " (login::link("/login", "Log in", next)) "." }
    };
    layout::page(visit, "/register", &title("Register", problems), &[content])
}
