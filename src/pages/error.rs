//! The error pages.

use maud::html;
use rouille::Response;

use super::layout;
use crate::error::Error;
use crate::visit::Visit;

const ONCE_MORE: &str = "Go back, load the page again, and send the form once more.";
const DO_IT_HERE: &str = "If it was you, open this site and do it here.";
const ASK: &str = "Ask whoever runs this site to make an account for you.";
const LOOK_AGAIN: &str = "Look at the address again, or start from the home page.";
const USE_LINKS: &str = "Open the page and use its links and buttons.";
const WAIT: &str = "This keeps guessers out. Come back in ";
const TELL: &str =
    "It is not your doing. Try again; if it stays broken, tell whoever runs this site.";
const SOON: &str =
    "It is not your doing, and nothing of yours is lost. Try again in a few seconds.";

/// The response to a request that failed.
pub fn page(visit: &mut Visit, error: &Error) -> Response {
    let (status, title, text) = match error {
        Error::BadRequest(_) => (400, "That did not arrive whole", ONCE_MORE),
        Error::CrossSite => (403, "That came from another site", DO_IT_HERE),
        Error::RegistrationClosed => (403, "Registration is closed", ASK),
        // `router.rs` has already turned `LoginRequired` into a redirect to the login page.
        Error::LoginRequired | Error::NotFound => (404, "There is no such page", LOOK_AGAIN),
        Error::MethodNotAllowed(_) => (405, "That page cannot do this", USE_LINKS),
        // Our own listener has the same limit. Only an application on another server gets here.
        Error::TooLarge => (413, "That is too much", "Send a shorter form."),
        Error::NotAForm => (415, "That is not a form", USE_LINKS),
        Error::Throttled(_) => (429, "Too many tries", WAIT),
        _ if error.is_outage() => (503, "We cannot answer right now", SOON),
        _ => (500, "Something broke", TELL),
    };
    let seconds = if let Error::Throttled(wait) = error { wait.as_secs() + 1 } else { 5 };
    let content = html! {
        h1 { (title) }
        p {
            (text)
            @if status == 429 && seconds <= 90 { (seconds) " seconds." }
            @else if status == 429 { (seconds.div_ceil(60)) " minutes." }
        }
        p.actions { a.button.second href="/" { "Go to the home page" } }
    };
    let response = layout::page(visit, title, &[content]).with_status_code(status);
    match (status, error) {
        (_, Error::MethodNotAllowed(allow)) => {
            response.with_additional_header("Allow", allow.clone())
        }
        (429 | 503, _) => response.with_additional_header("Retry-After", seconds.to_string()),
        _ => response,
    }
}
