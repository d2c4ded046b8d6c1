//! The error pages.

use maud::{Markup, html};
use rouille::Response;

use super::{form, layout};
use crate::error::Error;
use crate::visit::Visit;

const ONCE_MORE: &str = "Go back, load the page again, and send the form once more.";
const DO_IT_HERE: &str = "If it was you, open this site and do it here.";
const LOOK_AGAIN: &str = "Look at the address again, or start from the home page.";
const USE_LINKS: &str = "Open the page that it is on, and press it there.";
const NO_FORM: &str = "Open the page that the form is on, and send it from there.";
const SHORTER: &str = "Go back, and shorten what you typed.";
const BROKEN: &str = "It is not your doing. Try again; if it stays broken, tell ";
const SOON: &str = "It is not your doing. Try again in a few seconds. If you sent a form, look first \
     whether it has worked.";

/// How long a visitor is told to wait for the database.
const RETRY_AFTER: &str = "5";

/// The response to a request that failed.
pub fn page(visit: &mut Visit, error: &Error) -> Response {
    let (status, title, advice) = explain(visit, error);
    let content = html! {
        h1 { (title) }
        p { (advice) }
        p.actions {
            @if visit.member.is_some() { a.button href="/secret" { "Open " (visit.app.config.members_page) } }
            a.button.second href="/" { "Go to the home page" }
        }
    };
    let response = layout::page(visit, "", title, &[content]).with_status_code(status);
    match error {
        Error::MethodNotAllowed(allow) => response.with_additional_header("Allow", allow.clone()),
        Error::Throttled(wait) => form::throttled(response, *wait),
        _ if status == 503 => response.with_additional_header("Retry-After", RETRY_AFTER),
        _ => response,
    }
}

/// The status, the title, and what a visitor can do about it.
fn explain(visit: &Visit, error: &Error) -> (u16, &'static str, Markup) {
    let operator = layout::operator(&visit.app.config);
    let (status, title, advice) = match error {
        Error::BadRequest(_) => (400, "Part of the form is missing", ONCE_MORE),
        Error::CrossSite => (403, "That came from another site", DO_IT_HERE),
        Error::RegistrationClosed => {
            let advice = html! { "Ask " (operator) " to make an account for you." };
            return (403, "Registration is closed", advice);
        }
        // `router.rs` has already turned all but the last into redirects.
        Error::LoginRequired | Error::LinkEnded | Error::NotFound => {
            (404, "There is no such page", LOOK_AGAIN)
        }
        Error::MethodNotAllowed(_) => (405, "This address only works through a button", USE_LINKS),
        // Our own listener has the same limit. Only an application on another server gets here.
        Error::TooLarge => (413, "That is too large", SHORTER),
        Error::NotAForm => (415, "That is not a form", NO_FORM),
        Error::Throttled(wait) => {
            return (429, "Too many tries", html! { (form::too_many_tries(*wait)) });
        }
        _ if error.is_outage() => (503, "We cannot answer right now", SOON),
        _ => {
            let advice = html! { (BROKEN) (operator) "." };
            return (500, "Something broke", advice);
        }
    };
    (status, title, html! { (advice) })
}
