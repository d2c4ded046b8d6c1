//! `/login/code`: the second step of a login, for users with a second factor.

use maud::html;
use rouille::Response;

use super::form::{self, Field, WHOLE_FORM, summary, title};
use super::layout;
use super::login::{self, Login};
use crate::accounts::second_factor::{self, Key};
use crate::accounts::users::Problem;
use crate::error::Error;
use crate::sessions::{Flash, Proof};
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
    Ok(page(visit, is_recovery, &[]))
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
    let (database, throttle) = (&visit.app.database, &visit.app.authentication.throttle);
    let checked = second_factor::check(database, throttle, login.user.uid, &key, typed);
    if let Err(Error::Throttled(_)) = checked {
        visit.event("second-factor-throttled", &email);
    }
    let answer = checked.and_then(|proof| finish(visit, login, proof, typed));
    form::or_throttled(answer, |(name, text)| {
        Ok(page(visit, true, &[(name, [&text, USE_RECOVERY_CODE].join(" "))]))
    })
}

/// Logs in who has proved the second factor.
fn finish(
    visit: &mut Visit,
    login: Login,
    proof: Option<Proof>,
    typed: &str,
) -> Result<Response, Error> {
    let Some(proof) = proof else {
        visit.event("second-factor-failed", &login.user.email);
        let is_recovery = typed.contains(char::is_alphabetic);
        let problem = (WHOLE_FORM, WRONG.to_owned());
        return Ok(page(visit, is_recovery, &[problem]).with_status_code(401));
    };
    if proof == Proof::RecoveryCode {
        visit.event("recovery-code-used", &login.user.email);
    }
    login::finish(visit, login, Some(proof))
}

fn page(visit: &mut Visit, is_recovery: bool, problems: &[Problem]) -> Response {
    let (label, autocomplete, other, other_label) = if is_recovery {
        ("Recovery code", "off", "/login/code", "Use a code from your app")
    } else {
        ("Code from your app", "one-time-code", "/login/code?recovery", "Use a recovery code")
    };
    let field = [Field::new("code", label, autocomplete).focus(true)];
    let content = html! {
        (summary(&field, problems))
        h1 { "One more step" }
        form method="post" action="/login/code" {
            @for field in &field { (field) }
            button type="submit" { "Log in" }
        }
        p.aside { a href=(other) { (other_label) } }
    };
    layout::page(visit, "/login", &title("Log in", problems), &[content])
}
