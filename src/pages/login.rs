//! `/login` and `/logout`: coming back and leaving.

use maud::html;
use rouille::{Request, Response};

use super::form::{Field, Problems, summary, title};
use super::layout;
use crate::app::App;
use crate::authentication::authenticate;
use crate::error::Error;
use crate::events::event;
use crate::http::form::Form;
use crate::http::next::ReturnPath;
use crate::passwords::Password;
use crate::sessions::Flash;
use crate::users::MAX_EMAIL_BYTES;
use crate::visit::Visit;

/// Where members land who did not want to go anywhere else.
pub const HOME: &str = "/secret";

/// What a stranger is told who asked for a members' page.
pub const LOGIN_REQUIRED: &str = "Please log in to see that page.";

const LOGGED_OUT: &str = "You have been logged out.";
const WRONG: &str = "Incorrect email or password.";

/// The same for browsers that bring no cookie. Most are merely new here; the others would go in
/// circles without a word, since no message can wait for them.
const NO_COOKIE: &str = "Please log in to see that page. If you have just done so, your browser \
     blocks cookies: allow them for this site, then log in again.";

/// `GET /login`.
pub fn form(app: &App, visit: &mut Visit, request: &Request) -> Result<Response, Error> {
    let query = form_urlencoded::parse(request.raw_query_string().as_bytes());
    let next = query.into_iter().find(|(name, _)| name == "next").map(|(_, value)| value);
    let next = next.and_then(|next| return_path(app, &next));
    if visit.user().is_some() {
        return Ok(redirect(next.as_ref()));
    }
    Ok(page(app, visit, "", next.as_ref(), &Problems::new()))
}

/// `POST /login`.
pub fn submit(app: &App, visit: &mut Visit, request: &Request) -> Result<Response, Error> {
    let form = Form::read(request, app.config.limits.max_body_bytes)?;
    let email = form.field("email")?.trim();
    let password = Password::typed(form.field("password")?);
    let next = form.optional("next").and_then(|next| return_path(app, next));
    let Some(user) = authenticate(app, email, &password, visit.ip)? else {
        let problems = vec![("email", WRONG.to_owned())];
        return Ok(page(app, visit, email, next.as_ref(), &problems).with_status_code(401));
    };
    event("login", visit.ip, &[("email", &user.email)]);
    visit.log_in(app, user, form.optional("remember").is_some())?;
    Ok(redirect(next.as_ref()))
}

/// `POST /logout`.
pub fn log_out(app: &App, visit: &mut Visit, _request: &Request) -> Result<Response, Error> {
    if let Some(email) = visit.user().map(|user| user.email.clone()) {
        visit.log_out(app)?;
        event("logout", visit.ip, &[("email", &email)]);
        visit.flash(app, Flash::Notice(LOGGED_OUT.to_owned()))?;
    }
    Ok(Response::redirect_303("/"))
}

fn return_path(app: &App, next: &str) -> Option<ReturnPath> {
    ReturnPath::parse(next, app.config.public_url.as_ref())
}

fn redirect(next: Option<&ReturnPath>) -> Response {
    Response::redirect_303(next.map_or(HOME, ReturnPath::as_str).to_owned())
}

fn page(
    app: &App,
    visit: &mut Visit,
    email: &str,
    next: Option<&ReturnPath>,
    problems: &Problems,
) -> Response {
    // Which half was wrong is not said, so no field is marked.
    let none = Problems::new();
    let content = html! {
        @if next.is_some() && !visit.has_cookie { p.flash { (NO_COOKIE) } }
        (summary(problems))
        h1 { "Log in" }
        form method="post" action="/login" {
            @if let Some(next) = next { input type="hidden" name="next" value=(next.as_str()); }
            (Field { name: "email", label: "Email", kind: "email", autocomplete: "username",
                value: email, max: Some(MAX_EMAIL_BYTES), ..Field::default() }.render(&none))
            (Field { name: "password", label: "Password", kind: "password",
                autocomplete: "current-password", ..Field::default() }.render(&none))
            p.check {
                input type="checkbox" id="remember" name="remember" value="yes";
                label for="remember" { "Remember me" }
            }
            button type="submit" { "Log in" }
        }
        @if app.is_open() { p.aside { "No account yet? " a href="/register" { "Register" } "." } }
    };
    layout::page(app, visit, &title("Log in", problems), &[content])
}
