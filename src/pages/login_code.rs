//! `/login/code`: the second step of a login, for users with a second factor.

use maud::html;
use rouille::Response;

use super::form::{self, Field, alert, title};
use super::layout;
use super::login::{self, Login};
use crate::accounts::second_factor::{Key, Proof};
use crate::error::Error;
use crate::events::event;
use crate::sessions::Flash;
use crate::visit::Visit;

const WRONG: &str = "That code is wrong, or was used already.";
const NOT_WAITING: &str = "That came too late, or twice. Unless you are logged in, log in again.";
const USE_RECOVERY_CODE: &str = "A recovery code works at once.";

/// `GET /login/code`. With `recovery` in its query, the field gets a keyboard with letters.
pub fn show(visit: &mut Visit) -> Result<Response, Error> {
    if visit.kept::<(Login, Key)>().is_none() {
        return Ok(Response::redirect_303("/login"));
    }
    let is_recovery = visit.query("recovery").is_some();
    Ok(page(visit, is_recovery, None))
}

/// `POST /login/code`.
pub fn submit(visit: &mut Visit) -> Result<Response, Error> {
    let form = visit.form()?;
    let typed = form.field("code")?;
    let Some((login, key)) = visit.kept::<(Login, Key)>() else {
        // A second click has the cookie from before the login. A message would bring another cookie, which
        // would replace that of the login.
        if visit.has_ended_session() {
            return Ok(Response::redirect_303("/login"));
        }
        return visit.redirect("/login", Flash::Alert(NOT_WAITING.to_owned()));
    };
    let email = login.user.email.clone();
    match visit.app.second_factors.check(login.user.uid, &key, typed) {
        Ok(Some(proof)) => {
            if proof == Proof::RecoveryCode {
                event("recovery-code-used", visit.ip, &[("email", &email)]);
            }
            login::finish(visit, login, Some(proof))
        }
        Ok(None) => {
            event("second-factor-failed", visit.ip, &[("email", &email)]);
            let is_recovery = typed.contains(char::is_alphabetic);
            Ok(page(visit, is_recovery, Some(WRONG)).with_status_code(401))
        }
        Err(Error::Throttled(wait)) => {
            event("second-factor-throttled", visit.ip, &[("email", &email)]);
            let text = [&form::too_many_tries(wait), USE_RECOVERY_CODE].join(" ");
            Ok(form::throttled(page(visit, true, Some(&text)), wait))
        }
        Err(error) => Err(error),
    }
}

fn page(visit: &mut Visit, is_recovery: bool, problem: Option<&str>) -> Response {
    let (label, autocomplete, other, other_label) = if is_recovery {
        ("Recovery code", "off", "/login/code", "Use a code from your app")
    } else {
        ("Code from your app", "one-time-code", "/login/code?recovery", "Use a recovery code")
    };
    let content = html! {
        @if let Some(text) = problem { (alert("code", text)) }
        h1 { "One more step" }
        form method="post" action="/login/code" {
            (Field::new("code", label, autocomplete).focus(true))
            button type="submit" { "Log in" }
        }
        p.aside { a href=(other) { (other_label) } }
    };
    layout::page(visit, "/login", &title("Log in", problem.is_some()), &[content])
}
