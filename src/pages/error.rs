//! The pages for what went wrong. They say what to do next, and never the cause; the log does.

use maud::html;
use rouille::Response;

use super::layout;
use crate::app::App;
use crate::error::Error;
use crate::visit::Visit;

/// One error page: its status and its words.
pub struct Words {
    status: u16,
    title: &'static str,
    text: &'static str,
}

const fn words(status: u16, title: &'static str, text: &'static str) -> Words {
    Words { status, title, text }
}

const BAD_REQUEST: Words = words(
    400,
    "That did not arrive whole",
    "Go back, load the page again, and send the form once more.",
);
const CROSS_SITE: Words =
    words(403, "That came from another site", "If it was you, open this site and do it here.");
const CLOSED: Words =
    words(403, "Registration is closed", "Ask whoever runs this site to make an account for you.");
const NOT_FOUND: Words =
    words(404, "There is no such page", "Look at the address again, or start from the home page.");
const WRONG_METHOD: Words =
    words(405, "That page cannot do this", "Open the page and use its links and buttons.");
const TOO_LARGE: Words = words(413, "That is too much", "Send a shorter form.");
const NOT_A_FORM: Words =
    words(415, "That is not a form", "Open the page and use its links and buttons.");
const THROTTLED: Words =
    words(429, "Too many tries", "To keep guessers out, you have to wait a little.");
const UNAVAILABLE: Words = words(
    503,
    "We cannot answer right now",
    "It is not your doing, and nothing of yours is lost. Try again in a few seconds.",
);

/// What is shown when a handler panics.
pub const BROKEN: Words = words(
    500,
    "Something broke",
    "It is not your doing. Try again; if it stays, tell whoever runs this site.",
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
            let content = html! {
                h1 { (THROTTLED.title) }
                p { (THROTTLED.text) " Come back in " (in_words(seconds)) "." }
            };
            layout::page(app, visit, THROTTLED.title, &content)
                .with_status_code(THROTTLED.status)
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
    let content = html! {
        h1 { (words.title) }
        p { (words.text) }
        p.actions { a.button.second href="/" { "Go to the home page" } }
    };
    layout::page(app, visit, words.title, &content).with_status_code(words.status)
}

fn in_words(seconds: u64) -> String {
    match seconds {
        0..=90 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}
