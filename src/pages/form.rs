//! The parts of every form: fields with a label and an error message, and a summary of all errors at the
//! top.

use maud::{Markup, html};

use crate::accounts::authentication::Authentication;
use crate::accounts::email::MAX_EMAIL_BYTES;
use crate::accounts::passwords::{MAX_BYTES, MIN_CHARS, NOT_CONFIRMED, Password};
use crate::accounts::users::{MAX_NAME_CHARS, Problem};
use crate::error::Error;
use crate::events::event;
use crate::http::form::Form;
use crate::visit::Visit;

const FIELDS_WRONG: &str = "Please look at these again:";
const PASSWORD_HINT: &str = "At least 8 characters. A few uncommon words make a good one.";

/// A field, with its error message if it has one. The value of `autocomplete` (HTML Living Standard,
/// 4.10.18.7) also determines the field's type and limits.
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
        // One more than the limit, so that the server refuses a password that the browser has truncated.
        "new-password" => ("password", Some(MIN_CHARS), Some(MAX_BYTES + 1)),
        _ => ("text", None, Some(MAX_NAME_CHARS)),
    };
    // Of the two fields for a new password, only the first has the hint.
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

/// The password in the two fields, and what is wrong with it. `known` are the visitor's names and email,
/// which a guesser would try. The judging waits in the line of passwords. Because it takes long, the form
/// counts as refused from before it; call `accept_form` if nothing is wrong.
///
/// # Errors
/// [`Error::BadRequest`] if a field is missing; [`Error::Throttled`] if this network has sent too many
/// refused forms; [`Error::Busy`] if the turn of the visitor's network does not come within 10 s.
pub fn new_password(
    visit: &Visit,
    form: &Form,
    known: [&str; 3],
) -> Result<(Password, Vec<Problem>), Error> {
    let (typed, again) = (form.field("password")?, form.field("confirm")?);
    let password = Password::typed(typed);
    let Authentication { passwords, throttle, .. } = &visit.app.authentication;
    throttle.form(visit.ip).inspect_err(|_| {
        event("form-throttled", visit.ip, &[("path", visit.path)]);
    })?;
    // If it could not be judged, the form was not refused.
    let judged = passwords.weakness(visit.ip, &password, known);
    let weakness = judged.inspect_err(|_| throttle.accept_form(visit.ip))?;
    let weakness = weakness.map(|text| ("password", text));
    let difference = (typed != again).then(|| ("confirm", NOT_CONFIRMED.to_owned()));
    Ok((password, weakness.into_iter().chain(difference).collect()))
}

/// The error messages for the top of the page, each with a link to its field.
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

/// A page's title. It begins with "Error" if the form has one, because screen readers read it first.
pub fn title(name: &str, problems: &[Problem]) -> String {
    if problems.is_empty() { name.to_owned() } else { ["Error: ", name].concat() }
}
