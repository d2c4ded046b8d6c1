//! `/login` and `/logout`.

use maud::html;
use rouille::Response;

use super::form::{field, summary, title};
use super::layout;
use crate::accounts::passwords::Password;
use crate::accounts::users::Problem;
use crate::error::Error;
use crate::events::event;
use crate::http::next::{self, ReturnPath};
use crate::sessions::Flash;
use crate::visit::Visit;

/// The page after a login without a `next` value.
pub const AFTER_LOGIN: &str = "/secret";

const LOGIN_REQUIRED: &str = "Please log in to see that page.";
const LOGGED_OUT: &str = "You have been logged out.";
const WRONG: &str = "Incorrect email or password.";

/// Shown to a browser that was redirected here and sends no cookie, so that it cannot get a flash message.
/// If it blocks cookies, each login leads back to this page; this text explains why.
const NO_COOKIE: &str = "Please log in to see that page. If you have just done so, your browser \
     blocks cookies: allow them for this site, then log in again.";

/// `GET /login`.
pub fn show(visit: &mut Visit) -> Result<Response, Error> {
    let mut query = form_urlencoded::parse(visit.request.raw_query_string().as_bytes());
    let next = query.find(|(name, _)| name == "next");
    let next = next.and_then(|(_, next)| return_path(visit, &next));
    if visit.member.is_some() {
        return Ok(redirect(next.as_ref()));
    }
    Ok(page(visit, "", next.as_ref(), &[]))
}

/// `POST /login`.
pub fn submit(visit: &mut Visit) -> Result<Response, Error> {
    let form = visit.form()?;
    let email = form.field("email")?.trim();
    let password = Password::typed(form.field("password")?);
    let next = form.optional("next").and_then(|next| return_path(visit, next));
    let found = visit.app.authentication.authenticate(email, &password, visit.ip)?;
    let Some((user, hash)) = found else {
        let problems = vec![("email", WRONG.to_owned())];
        return Ok(page(visit, email, next.as_ref(), &problems).with_status_code(401));
    };
    let email = user.email.clone();
    visit.log_in(user, &hash, form.optional("remember").is_some())?;
    event("login", visit.ip, &[("email", &email)]);
    Ok(redirect(next.as_ref()))
}

/// `POST /logout`.
pub fn log_out(visit: &mut Visit) -> Result<Response, Error> {
    let Some(session) = visit.log_out()? else { return Ok(Response::redirect_303("/")) };
    event("logout", visit.ip, &[("email", &session.user.email)]);
    visit.redirect("/", Flash::Notice(LOGGED_OUT.to_owned()))
}

/// Redirects a stranger from a members' page to the login page.
pub fn redirect_here(visit: &mut Visit) -> Result<Response, Error> {
    // After the login, a browser can load a page again, but it cannot send a form again.
    let is_page = matches!(visit.request.method(), "GET" | "HEAD");
    let login =
        if is_page { next::login_url(visit.request.raw_url()) } else { "/login".to_owned() };
    visit.redirect(&login, Flash::Alert(LOGIN_REQUIRED.to_owned()))
}

fn return_path(visit: &Visit, next: &str) -> Option<ReturnPath> {
    ReturnPath::parse(next, visit.app.config.public_url.as_ref())
}

fn redirect(next: Option<&ReturnPath>) -> Response {
    Response::redirect_303(next.map_or(AFTER_LOGIN, ReturnPath::as_str).to_owned())
}

fn page(
    visit: &mut Visit,
    email: &str,
    next: Option<&ReturnPath>,
    problems: &[Problem],
) -> Response {
    let content = html! {
        @if next.is_some() && visit.id_hash.is_none() { p.flash { (NO_COOKIE) } }
        (summary(problems))
        h1 { "Log in" }
        form method="post" action="/login" {
            @if let Some(next) = next { input type="hidden" name="next" value=(next.as_str()); }
            // No field is marked as wrong, because the page must not tell which one was.
            (field("email", "Email", "username", email, &[]))
            (field("password", "Password", "current-password", "", &[]))
            p.check {
                input type="checkbox" id="remember" name="remember" value="yes";
                label for="remember" { "Remember me" }
            }
            button type="submit" { "Log in" }
        }
        @if visit.app.may_register() { p.aside { "No account yet? " a href="/register" { "Register" } "." } }
    };
    layout::page(visit, &title("Log in", problems), &[content])
}
