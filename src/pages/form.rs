//! What every form is made of: fields with a label and a message beside them, and a summary of
//! what is wrong at the top.

use maud::{Markup, html};

use crate::accounts::email::MAX_EMAIL_BYTES;
use crate::accounts::passwords::{MAX_BYTES, MIN_CHARS, NOT_CONFIRMED, Password};
use crate::accounts::users::{MAX_NAME_CHARS, Problem};
use crate::error::Error;
use crate::events::event;
use crate::http::form::Form;
use crate::visit::Visit;

const FIELDS_WRONG: &str = "Please look at these again:";
const PASSWORD_HINT: &str = "At least 8 characters. A few uncommon words make a good one.";

/// One field, with what is wrong with it, if anything. `autocomplete` is what a password manager
/// may put in (HTML Living Standard, 4.10.18.7), from which the field's type and limits follow.
pub fn field(
    name: &str,
    label: &str,
    autocomplete: &str,
    value: &str,
    problems: &[Problem],
) -> Markup {
    let (kind, min, max) = match autocomplete {
        "email" | "username" => ("email", None, Some(MAX_EMAIL_BYTES)),
        "current-password" => ("password", None, None),
        // One more than fits: a password that the browser cuts there is refused, not taken.
        "new-password" => ("password", Some(MIN_CHARS), Some(MAX_BYTES + 1)),
        _ => ("text", None, Some(MAX_NAME_CHARS)),
    };
    // A new password has two fields; the first says what makes a good one.
    let hint = (name == "password" && min.is_some()).then_some(PASSWORD_HINT);
    let problem = problems.iter().find(|(field, _)| *field == name).map(|(_, text)| text);
    let notes = [problem.map(|_| "-error"), hint.map(|_| "-hint")].into_iter().flatten();
    let ids: Vec<_> = notes.map(|note| [name, note].concat()).collect();
    html! {
        div.field {
            label for=(name) { (label) }
            @if let Some(text) = hint { p.hint id={ (name) "-hint" } { (text) } }
            @if let Some(text) = problem { p.problem id={ (name) "-error" } { (text) } }
            input type=(kind) id=(name) name=(name)
                value=[(kind != "password").then_some(value)]
                autocomplete=(autocomplete) dir=[(kind == "text").then_some("auto")]
                minlength=[min] maxlength=[max]
                aria-invalid=[problem.map(|_| "true")]
                aria-describedby=[(!ids.is_empty()).then(|| ids.join(" "))]
                required;
        }
    }
}

/// The two fields for a new password.
pub fn new_password_fields(problems: &[Problem]) -> [Markup; 2] {
    [("password", "New password"), ("confirm", "New password again")]
        .map(|(name, label)| field(name, label, "new-password", "", problems))
}

/// Counts a form as refused, until it is found to be right: judging a password takes long.
///
/// # Errors
/// [`Error::Throttled`] if too many from this network were refused.
pub fn count_form(visit: &Visit) -> Result<(), Error> {
    let counted = visit.app.authentication.throttle.form(visit.ip);
    counted.inspect_err(|_| event("form-throttled", visit.ip, &[("path", visit.path)]))
}

/// What was typed into them, and what is wrong with it, given what a guesser would know. Judging it
/// waits in the line of the visitor's network.
///
/// # Errors
/// [`Error::BadRequest`] if one of them is missing; [`Error::Busy`] if its turn does not come.
pub fn new_password(
    visit: &Visit,
    form: &Form,
    known: [&str; 3],
) -> Result<(Password, Vec<Problem>), Error> {
    let (typed, again) = (form.field("password")?, form.field("confirm")?);
    let password = Password::typed(typed);
    let weakness = visit.app.authentication.passwords.weakness(visit.ip, &password, known)?;
    let weakness = weakness.map(|text| ("password", text));
    let difference = (typed != again).then(|| ("confirm", NOT_CONFIRMED.to_owned()));
    Ok((password, weakness.into_iter().chain(difference).collect()))
}

/// What is wrong, at the top of the page, each with a link to its field.
pub fn summary(problems: &[Problem]) -> Markup {
    html! {
        @if !problems.is_empty() {
            div.flash.alert role="alert" {
                @if problems.len() > 1 { p { (FIELDS_WRONG) } }
                ul { @for (name, text) in problems { li { a href={ "#" (name) } { (text) } } } }
            }
        }
    }
}

/// A page's title, which says first that something is wrong: a screen reader reads it first.
pub fn title(name: &str, problems: &[Problem]) -> String {
    if problems.is_empty() { name.to_owned() } else { ["Error: ", name].concat() }
}
