//! `/login` and `/logout`.

use std::time::Duration;

use maud::{Markup, html};
use rouille::Response;
use url::Url;

use super::form::{self, Field, WHOLE_FORM, summary, title};
use super::links::{self, Opened};
use super::{layout, time};
use crate::accounts::passwords::{Password, PasswordHash};
use crate::accounts::second_factor;
use crate::accounts::users::{Problem, User};
use crate::error::Error;
use crate::http::next::{self, ReturnPath};
use crate::sessions::{Flash, Proof};
use crate::visit::Visit;

/// The page after a login without a `next` value.
pub const AFTER_LOGIN: &str = "/secret";

const LOGIN_REQUIRED: &str = "Please log in to see that page.";
const SESSION_ENDED: &str = "Your session has ended. Please log in again.";
const NOTHING_CHANGED: &str = "You were logged out in the meantime. Nothing was changed.";
const ONCE_MORE: &str = "Please enter your password once more.";
const NOW_AGAIN: &str = "Thank you. Now press the button once more.";
const LOGGED_OUT: &str = "You have been logged out.";
const WRONG: &str = "Incorrect email or password.";
const NO_COOKIES: &str = "Your browser blocks cookies, so it cannot stay logged in: allow them for \
     this site, then log in again.";

/// How long a login waits for its code.
const CODE_WAIT: Duration = Duration::from_mins(5);

/// The email for the login form of the visitor's next page.
#[derive(Clone)]
pub struct TypedEmail(pub String);

/// A login whose password was right.
#[derive(Clone)]
pub struct Login {
    pub user: User,
    pub hash: PasswordHash,
    pub remember: bool,
    pub next: Option<ReturnPath>,
}

/// What the login form contains already.
struct Typed<'a> {
    email: &'a str,
    next: Option<&'a ReturnPath>,
    remember: bool,
}

/// `GET /login`.
pub fn show(visit: &mut Visit) -> Result<Response, Error> {
    let next = visit.next(visit.query("next").as_deref());
    let Some(session) = visit.member.clone() else {
        let email = visit.kept().map_or(String::new(), |TypedEmail(email)| email);
        let typed = Typed { email: &email, next: next.as_ref(), remember: false };
        let notice = stranger_notice(visit, next.is_some());
        return Ok(page(visit, notice.as_ref(), &typed, &[]));
    };
    if visit.query("again").is_none() {
        return Ok(redirect(next.as_ref()));
    }
    let (email, remember) = (&session.user.email, session.remembered);
    let typed = Typed { email, next: next.as_ref(), remember };
    Ok(page(visit, Some(&Flash::Notice(ONCE_MORE.to_owned())), &typed, &[]))
}

/// `POST /login`.
pub fn submit(visit: &mut Visit) -> Result<Response, Error> {
    let form = visit.form()?;
    let next = visit.next(form.optional("next"));
    let typed = Typed {
        email: form.field("email")?.trim(),
        next: next.as_ref(),
        remember: form.optional("remember").is_some(),
    };
    let answer = check(visit, &typed, &Password::typed(form.field("password")?));
    form::or_throttled(answer, |problem| Ok(page(visit, None, &typed, &[problem])))
}

fn check(visit: &mut Visit, typed: &Typed, password: &Password) -> Result<Response, Error> {
    let found = visit.app.authentication.authenticate(typed.email, password, visit.ip)?;
    let Some((user, hash)) = found else {
        let problem = (WHOLE_FORM, WRONG.to_owned());
        return Ok(page(visit, None, typed, &[problem]).with_status_code(401));
    };
    log_in(visit, Login { user, hash, remember: typed.remember, next: typed.next.cloned() })
}

/// Logs in a user whose password was right. Who has a second factor is asked for a code first.
pub fn log_in(visit: &mut Visit, login: Login) -> Result<Response, Error> {
    if let Some(key) = second_factor::key(&visit.app.database, login.user.uid)? {
        visit.keep((login, key), CODE_WAIT)?;
        return Ok(Response::redirect_303("/login/code"));
    }
    finish(visit, login, None)
}

/// Logs in a user who has proved all that they must, and leads to the page that they wanted to see.
pub fn finish(visit: &mut Visit, login: Login, proof: Option<Proof>) -> Result<Response, Error> {
    let Login { user, hash, remember, next } = login;
    // If the session is still recent, nobody asked for this login: the form was open in another tab.
    let is_again = visit
        .member
        .as_ref()
        .is_some_and(|session| session.user.uid == user.uid && !session.is_recent());
    let opened = visit.kept::<Opened>();
    visit.log_in(user.uid, &hash, remember, proof)?;
    // A link that was opened before the login stays open. All else that the old session carried ends with it.
    if let Some(opened) = opened {
        visit.keep(opened, links::LASTS)?;
    }
    if is_again {
        visit.flash(Flash::Notice(NOW_AGAIN.to_owned()))?;
    }
    visit.event("login", &user.email);
    Ok(redirect(next.as_ref()))
}

/// `POST /logout`.
pub fn log_out(visit: &mut Visit) -> Result<Response, Error> {
    let Some(session) = visit.log_out()? else { return Ok(Response::redirect_303("/")) };
    visit.event("logout", &session.user.email);
    visit.redirect("/", Flash::Notice(LOGGED_OUT.to_owned()))
}

/// Redirects a stranger from a members' page to the login page.
pub fn redirect_here(visit: &mut Visit) -> Result<Response, Error> {
    // After the login, a browser can load a page again, but it cannot send a form again.
    if !matches!(visit.request.method(), "GET" | "HEAD") {
        return visit.redirect("/login", Flash::Alert(NOTHING_CHANGED.to_owned()));
    }
    let text = if visit.has_ended_session() { SESSION_ENDED } else { LOGIN_REQUIRED };
    visit.redirect(&next::login_url(visit.request.raw_url()), Flash::Notice(text.to_owned()))
}

/// Asks a member whose login is too old to log in again. The login leads back to the page with all forms of
/// members, where they press the button once more.
pub fn ask_again() -> Response {
    Response::redirect_303("/login?again&next=%2Fsecret")
}

/// Redirects to the page that a visitor wanted to see.
pub fn redirect(next: Option<&ReturnPath>) -> Response {
    // A download leaves the browser on the page of the form, as if the form had failed.
    let next = next.map(ReturnPath::as_str).filter(|path| !path.starts_with("/download/"));
    Response::redirect_303(next.unwrap_or(AFTER_LOGIN).to_owned())
}

/// The notice for a visitor without a cookie, who cannot have a flash message.
fn stranger_notice(visit: &Visit, is_led_here: bool) -> Option<Flash> {
    if visit.id_hash.is_some() {
        return None;
    }
    // The answer to a right password sets a cookie. Whoever comes from one of our forms without a cookie
    // has a browser that blocks it.
    let referer = visit.request.header("Referer").and_then(|url| Url::parse(url).ok());
    let came_from_form = referer.is_some_and(|url| matches!(url.path(), "/login" | "/register"));
    if came_from_form {
        return Some(Flash::Alert(NO_COOKIES.to_owned()));
    }
    is_led_here.then(|| Flash::Notice(LOGIN_REQUIRED.to_owned()))
}

fn page(
    visit: &mut Visit,
    notice: Option<&Flash>,
    typed: &Typed,
    problems: &[Problem],
) -> Response {
    // No field is marked as wrong, because the page must not tell which one was.
    let fields = [
        Field::new("email", "Email", "username").value(typed.email),
        Field::new("password", "Password", "current-password")
            .focus(!problems.is_empty() || !typed.email.is_empty()),
    ];
    let remembered = time::exactly(visit.app.config.session_remembered);
    let content = html! {
        @if let Some(notice) = notice { (layout::message(notice)) }
        (summary(&fields, problems))
        h1 { "Log in" }
        form method="post" action="/login" {
            (next_field(typed.next))
            @for field in &fields { (field) }
            p.check {
                input type="checkbox" id="remember" name="remember" value="yes" checked[typed.remember];
                label for="remember" { "Keep me logged in for " (remembered) }
            }
            button type="submit" { "Log in" }
        }
        p.aside { a href="/password" { "Forgot your password?" } }
        @if visit.app.may_register() && visit.member.is_none() {
            p { "No account yet? " (link("/register", "Register", typed.next)) "." }
        }
    };
    layout::page(visit, "/login", &title("Log in", problems), &[content])
}

/// The hidden field that carries the page that a visitor wanted to see.
pub fn next_field(next: Option<&ReturnPath>) -> Markup {
    html! { @if let Some(next) = next { input type="hidden" name="next" value=(next.as_str()); } }
}

/// A link to a form, with `next` in its query.
pub fn link(path: &str, text: &str, next: Option<&ReturnPath>) -> Markup {
    html! { a href=(next::with_next(path, next)) rel="noreferrer" { (text) } }
}
