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
const SOON: &str =
    "It is not your doing, and nothing of yours is lost. Try again in a few seconds.";

/// How long a visitor is told to wait for the database.
const RETRY_AFTER: &str = "5";

/// The response to a request that failed.
pub fn page(visit: &mut Visit, error: &Error) -> Response {
    let (status, title) = match error {
        Error::BadRequest(_) => (400, "Part of the form is missing"),
        Error::CrossSite => (403, "That came from another site"),
        Error::RegistrationClosed => (403, "Registration is closed"),
        // `router.rs` has already turned all but the last into redirects.
        Error::LoginRequired | Error::RecentLoginRequired | Error::LinkEnded | Error::NotFound => {
            (404, "There is no such page")
        }
        Error::MethodNotAllowed(_) => (405, "This address only works through a button"),
        // Our own listener has the same limit. Only an application on another server gets here.
        Error::TooLarge => (413, "That is too large"),
        Error::NotAForm => (415, "That is not a form"),
        Error::Throttled(_) => (429, "Too many tries"),
        _ if error.is_outage() => (503, "We cannot answer right now"),
        _ => (500, "Something broke"),
    };
    let content = html! {
        h1 { (title) }
        p { (advice(visit, status, error)) }
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

/// What a visitor can do about it.
fn advice(visit: &Visit, status: u16, error: &Error) -> Markup {
    let text = match (status, error) {
        (_, Error::Throttled(wait)) => return html! { (form::too_many_tries(*wait)) },
        (_, Error::RegistrationClosed) => {
            return html! { "Ask " (layout::operator(&visit.app.config)) " to make an account for you." };
        }
        (500, _) => {
            return html! {
                "It is not your doing. Try again; if it stays broken, tell " (layout::operator(&visit.app.config)) "."
            };
        }
        (400, _) => ONCE_MORE,
        (403, _) => DO_IT_HERE,
        (404, _) => LOOK_AGAIN,
        (405, _) => USE_LINKS,
        (413, _) => SHORTER,
        (415, _) => NO_FORM,
        _ => SOON,
    };
    html! { (text) }
}
