//! `/login` and `/logout`: coming back and leaving.
//!
//! In: an email and a password, and where the visitor wanted to go. Out: a login under a new id,
//! or one message for every wrong pair, whichever half is wrong.

use maud::html;
use rouille::{Request, Response};

use super::form::{Problem, field, summary, title};
use super::layout;
use crate::authentication::authenticate;
use crate::events::event;
use crate::http::next::{self, ReturnPath};
use crate::passwords::Password;
use crate::sessions::Flash;
use crate::visit::Visit;
use crate::{App, Error};

/// Where members land who did not want to go anywhere else.
pub const AFTER_LOGIN: &str = "/secret";

const LOGIN_REQUIRED: &str = "Please log in to see that page.";
const LOGGED_OUT: &str = "You have been logged out.";
const WRONG: &str = "Incorrect email or password.";

/// Said to browsers that were sent here and bring no cookie, so that no message waits for them. Most
/// are merely new; the others block cookies, and would go in circles without a word.
const NO_COOKIE: &str = "Please log in to see that page. If you have just done so, your browser \
     blocks cookies: allow them for this site, then log in again.";

/// `GET /login`.
pub fn show(app: &App, visit: &mut Visit, request: &Request) -> Result<Response, Error> {
    let mut query = form_urlencoded::parse(request.raw_query_string().as_bytes());
    let next = query.find(|(name, _)| name == "next");
    let next = next.and_then(|(_, next)| return_path(app, &next));
    if visit.member.is_some() {
        return Ok(redirect(next.as_ref()));
    }
    Ok(page(app, visit, "", next.as_ref(), &[]))
}

/// `POST /login`.
pub fn submit(app: &App, visit: &mut Visit, request: &Request) -> Result<Response, Error> {
    let form = app.form(request)?;
    let email = form.field("email")?.trim();
    let password = Password::typed(form.field("password")?);
    let next = form.optional("next").and_then(|next| return_path(app, next));
    let Some((user, hash)) = authenticate(app, email, &password, visit.ip)? else {
        let problems = vec![("email", WRONG.to_owned())];
        return Ok(page(app, visit, email, next.as_ref(), &problems).with_status_code(401));
    };
    let email = user.email.clone();
    visit.log_in(app, user, &hash, form.optional("remember").is_some())?;
    event("login", visit.ip, &[("email", &email)]);
    Ok(redirect(next.as_ref()))
}

/// `POST /logout`.
pub fn log_out(app: &App, visit: &mut Visit, _request: &Request) -> Result<Response, Error> {
    let Some(session) = visit.log_out(app)? else { return Ok(Response::redirect_303("/")) };
    event("logout", visit.ip, &[("email", &session.user.email)]);
    visit.redirect(app, "/", Flash::Notice(LOGGED_OUT.to_owned()))
}

/// Sends a stranger who asked for what is for members to log in first.
pub fn lead_here(app: &App, visit: &mut Visit, request: &Request) -> Result<Response, Error> {
    // Only a page can be come back to; a form would have to be sent again.
    let is_page = matches!(request.method(), "GET" | "HEAD");
    let login = if is_page { next::login_url(request.raw_url()) } else { "/login".to_owned() };
    visit.redirect(app, &login, Flash::Alert(LOGIN_REQUIRED.to_owned()))
}

fn return_path(app: &App, next: &str) -> Option<ReturnPath> {
    ReturnPath::parse(next, app.config.public_url.as_ref())
}

fn redirect(next: Option<&ReturnPath>) -> Response {
    Response::redirect_303(next.map_or(AFTER_LOGIN, ReturnPath::as_str).to_owned())
}

fn page(
    app: &App,
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
            // Which half was wrong is not said, so no field is marked.
            (field("email", "Email", "username", email, &[]))
            (field("password", "Password", "current-password", "", &[]))
            p.check {
                input type="checkbox" id="remember" name="remember" value="yes";
                label for="remember" { "Remember me" }
            }
            button type="submit" { "Log in" }
        }
        @if app.may_register() { p.aside { "No account yet? " a href="/register" { "Register" } "." } }
    };
    layout::page(app, visit, &title("Log in", problems), &[content])
}
