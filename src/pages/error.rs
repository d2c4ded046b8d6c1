//! The pages for what went wrong. They say what to do next, and never the cause; the log does.

use maud::html;
use rouille::Response;

use super::layout;
use crate::app::App;
use crate::error::Error;
use crate::visit::Visit;

/// One error page: its status, its title, and what to do next.
pub struct Words(u16, &'static str, &'static str);

const HOME: &str = "Go to the home page";

const BAD_REQUEST: Words = Words(
    400,
    "That did not arrive whole",
    "Go back, load the page again, and send the form once more.",
);
const CROSS_SITE: Words =
    Words(403, "That came from another site", "If it was you, open this site and do it here.");
const CLOSED: Words =
    Words(403, "Registration is closed", "Ask whoever runs this site to make an account for you.");
const NOT_FOUND: Words =
    Words(404, "There is no such page", "Look at the address again, or start from the home page.");
const WRONG_METHOD: Words =
    Words(405, "That page cannot do this", "Open the page and use its links and buttons.");
const TOO_LARGE: Words = Words(413, "That is too much", "Send a shorter form.");
const NOT_A_FORM: Words =
    Words(415, "That is not a form", "Open the page and use its links and buttons.");
const THROTTLED: Words = Words(429, "Too many tries", "This keeps guessers out. Come back in");
const UNAVAILABLE: Words = Words(
    503,
    "We cannot answer right now",
    "It is not your doing, and nothing of yours is lost. Try again in a few seconds.",
);

/// What is shown when a handler panics.
pub const BROKEN: Words = Words(
    500,
    "Something broke",
    "It is not your doing. Try again; if it stays broken, tell whoever runs this site.",
);

/// The answer to a request that failed.
pub fn answer(app: &App, visit: &mut Visit, error: &Error) -> Response {
    match error {
        Error::BadRequest(_) => page(app, visit, &BAD_REQUEST),
        Error::CrossSite => page(app, visit, &CROSS_SITE),
        Error::LoginRequired | Error::NotFound => page(app, visit, &NOT_FOUND),
        Error::RegistrationClosed => page(app, visit, &CLOSED),
        Error::MethodNotAllowed(allow) => {
            page(app, visit, &WRONG_METHOD).with_additional_header("Allow", allow.clone())
        }
        Error::TooLarge => page(app, visit, &TOO_LARGE),
        Error::NotAForm => page(app, visit, &NOT_A_FORM),
        Error::Throttled(wait) => {
            let seconds = wait.as_secs() + 1;
            page_with(app, visit, &THROTTLED, &in_words(seconds))
                .with_additional_header("Retry-After", seconds.to_string())
        }
        Error::Database(_) | Error::Query(_) | Error::Busy(_) => {
            page(app, visit, &UNAVAILABLE).with_additional_header("Retry-After", "5")
        }
        Error::Setting(..) | Error::System(_) | Error::Refused(_) => page(app, visit, &BROKEN),
    }
}

/// A page with those words.
pub fn page(app: &App, visit: &mut Visit, words: &Words) -> Response {
    page_with(app, visit, words, "")
}

fn page_with(app: &App, visit: &mut Visit, words: &Words, more: &str) -> Response {
    let Words(status, title, text) = *words;
    let content = html! {
        h1 { (title) }
        p { (text) (more) }
        p.actions { a.button.second href="/" { (HOME) } }
    };
    layout::page(app, visit, title, &[content]).with_status_code(status)
}

fn in_words(seconds: u64) -> String {
    match seconds {
        0..=90 => format!(" {seconds} seconds."),
        _ => format!(" {} minutes.", seconds.div_ceil(60)),
    }
}
