//! `/password`: what to do about a forgotten password, and the form of a link for a new one.

use maud::{Markup, html};
use rouille::Response;

use super::form::{self, Field, summary, title};
use super::secret::password::change;
use super::{layout, links, new_password};
use crate::accounts::email::MAX_EMAIL_BYTES;
use crate::accounts::links::{Link, LinkHash, change_password};
use crate::accounts::mail::Letter;
use crate::accounts::passwords::Password;
use crate::accounts::users::{Problem, User};
use crate::error::Error;
use crate::http::form::Form;
use crate::sessions::{Flash, Session};
use crate::visit::Visit;

/// The place of the form that changes a member's password.
pub const CHANGE_FORM: &str = "/secret#change-password";

const FORGOTTEN: &str = "Forgot your password?";
const NEEDS_COOKIES: &str = "If a link led you here: it needs cookies. Allow them for this site, then open \
     the link again.";
const CHOOSE: &str = "Choose a new password";
const ON_ITS_WAY: &str = "If there is an account with that email, a link is on its way.";
const CHANGED: &str = "Your password was changed. Log in with it.";

/// `GET /password`.
pub fn show(visit: &mut Visit) -> Result<Response, Error> {
    if let Some(number) = visit.query("reset") {
        return links::open(visit, &number, "/password");
    }
    if let Some((_, user)) = opened(visit)? {
        return Ok(page(visit, &user, &[]));
    }
    if visit.member.is_some() {
        return Ok(Response::redirect_303(CHANGE_FORM));
    }
    let content = html! {
        h1 { (FORGOTTEN) }
        @if visit.app.mail.is_on() {
            p { "Type your email to get a link with which you can choose a new one." }
            form method="post" action="/password" {
                (Field::new("email", "Email", "username"))
                button type="submit" { "Send the link" }
            }
        } @else {
            p { "Ask " (layout::operator(&visit.app.config)) " for a new one." }
        }
        @if visit.id_hash.is_none() { p.hint { (NEEDS_COOKIES) } }
        p.actions { a.button.second href="/login" rel="noreferrer" { "Back to the login" } }
    };
    Ok(layout::page(visit, "", FORGOTTEN, &[content]))
}

/// `POST /password`: of a member who knows the current one, of a visitor with a link, or of one who wants a
/// link.
pub fn submit(visit: &mut Visit) -> Result<Response, Error> {
    let form = visit.form()?;
    let [current, email, new] =
        ["current_password", "email", "password"].map(|name| form.optional(name));
    match (current, email, new) {
        (None, Some(email), _) => send_link(visit, email.trim()),
        (None, None, Some(_)) => change_by_link(visit, &form),
        _ => {
            let session = visit.member.clone().ok_or(Error::LoginRequired)?;
            change(visit, &session, &form)
        }
    }
}

/// `GET /.well-known/change-password`: where password managers lead their users (W3C, "A Well-Known URL
/// for Changing Passwords").
pub fn well_known(_: &mut Visit, _: &Session) -> Result<Response, Error> {
    Ok(Response::redirect_303(CHANGE_FORM))
}

/// Sends a link to whoever owns that email. The visitor learns neither whether there is an account nor whether
/// there were too many tries.
fn send_link(visit: &mut Visit, email: &str) -> Result<Response, Error> {
    if !visit.app.mail.is_on() {
        return show(visit);
    }
    visit.event("link-requested", email);
    let throttle = &visit.app.authentication.throttle;
    if email.len() <= MAX_EMAIL_BYTES && throttle.link(email, visit.ip).is_ok() {
        visit.app.mail.forgotten(email);
    }
    visit.redirect("/login", Flash::Notice(ON_ITS_WAY.to_owned()))
}

fn change_by_link(visit: &mut Visit, form: &Form) -> Result<Response, Error> {
    let Some((link, user)) = opened(visit)? else { return confirm_first_click(visit, form) };
    let answer = check_and_change(visit, link, &user, form);
    form::or_throttled(answer, |problem| Ok(page(visit, &user, &[problem])))
}

fn check_and_change(
    visit: &mut Visit,
    link: LinkHash,
    user: &User,
    form: &Form,
) -> Result<Response, Error> {
    let (password, problems) = new_password::judge(visit, form, user.known())?;
    if !problems.is_empty() {
        return Ok(page(visit, user, &problems).with_status_code(422));
    }
    let new = new_password::accept(visit, &password)?;
    if change_password(&visit.app.sessions, user.uid, link, &new)?.is_none() {
        return confirm_first_click(visit, form);
    }
    visit.event("password-changed", &user.email);
    visit.app.mail.tell(&user.email, Letter::changed("password"));
    visit.redirect("/login", Flash::Notice(CHANGED.to_owned()))
}

/// What becomes of the form of a link that is not valid. If its password is the user's already, it is a second
/// click on the button, and gets the same answer.
fn confirm_first_click(visit: &mut Visit, form: &Form) -> Result<Response, Error> {
    let opened = links::opened(visit, "/password").ok_or(Error::LinkEnded)?;
    let password = Password::typed(form.field("password")?);
    let user = visit.app.authentication.authenticate(&opened.email, &password, visit.ip)?;
    user.ok_or(Error::LinkEnded)?;
    visit.redirect("/login", Flash::Notice(CHANGED.to_owned()))
}

/// The link for a new password that the visitor has opened, and whose it is.
fn opened(visit: &Visit) -> Result<Option<(LinkHash, User)>, Error> {
    Ok(match links::find(visit, "/password")? {
        Some((link, Link::NewPassword(user))) => Some((link, user)),
        _ => None,
    })
}

/// The form for a new password.
fn page(visit: &mut Visit, user: &User, problems: &[Problem]) -> Response {
    let fields = new_password::fields(visit, problems);
    let content: Markup = html! {
        (summary(&fields, problems))
        h1 { (CHOOSE) }
        p { "For " (user.email) ". You will be logged out everywhere." }
        form method="post" action="/password" {
            // Password managers read here whose password this is.
            input type="email" name="username" value=(user.email) autocomplete="username" hidden;
            @for field in &fields { (field) }
            button type="submit" { "Change password" }
        }
    };
    layout::page(visit, "", &title(CHOOSE, problems), &[content])
}
