//! The parts of every form: fields with a label and an error message, and a summary of all errors.

use std::time::Duration;

use maud::{Markup, Render, html};
use rouille::Response;

use super::time;
use crate::accounts::email::MAX_EMAIL_BYTES;
use crate::accounts::name::MAX_NAME_CHARS;
use crate::accounts::passwords::MAX_BYTES;
use crate::accounts::users::Problem;
use crate::error::Error;

const FIELDS_WRONG: &str = "Please look at these again:";
const PASSWORD_HINT: &str = "characters. A few uncommon words make a good one.";
const TOO_MANY_TRIES: &str = "Too many tries. This stops people who guess passwords. Come back in";

/// The field of a [`Problem`] that concerns the whole form.
pub const WHOLE_FORM: &str = "";

/// A field of a form, with its error message if it has one.
#[derive(Default)]
pub struct Field<'a> {
    name: &'static str,
    label: &'static str,
    autocomplete: &'static str,
    value: &'a str,
    problem: Option<&'a str>,
    has_focus: bool,
    is_fixed: bool,
    min_chars: usize,
}

impl<'a> Field<'a> {
    /// An empty field. The value of `autocomplete` (HTML Living Standard, 4.10.18.7) also determines the
    /// field's type and limits.
    pub fn new(name: &'static str, label: &'static str, autocomplete: &'static str) -> Field<'a> {
        Field { name, label, autocomplete, ..Field::default() }
    }

    /// What the field contains already.
    pub fn value(self, value: &'a str) -> Field<'a> {
        Field { value, ..self }
    }

    /// Whether the browser puts the cursor into this field.
    pub fn focus(self, has_focus: bool) -> Field<'a> {
        Field { has_focus, ..self }
    }

    /// The fewest characters that a new password may have.
    pub fn min_chars(self, min_chars: usize) -> Field<'a> {
        Field { min_chars, ..self }
    }

    /// Whether visitors can only read the field.
    pub fn fixed(self, is_fixed: bool) -> Field<'a> {
        Field { is_fixed, ..self }
    }

    /// Shows the field's problem, if there is one among these. The first wrong field gets the cursor.
    pub fn problems(self, problems: &'a [Problem]) -> Field<'a> {
        let own = problems.iter().find(|(field, _)| *field == self.name);
        let has_focus = problems.first().is_some_and(|(field, _)| *field == self.name);
        Field { problem: own.map(|(_, text)| text.as_str()), has_focus, ..self }
    }
}

impl Render for Field<'_> {
    fn render(&self) -> Markup {
        let Field { name, label, autocomplete, value, problem, has_focus, is_fixed, min_chars } =
            *self;
        let (kind, min, max) = match autocomplete {
            "email" | "username" => ("email", None, Some(MAX_EMAIL_BYTES)),
            "current-password" => ("password", None, None),
            // One more than the limit, so that the server refuses a password that the browser has
            // truncated.
            "new-password" => ("password", Some(min_chars), Some(MAX_BYTES + 1)),
            _ => ("text", None, Some(MAX_NAME_CHARS)),
        };
        // Of the two fields for a new password, only the first has the hint.
        let hint = min.filter(|_| name == "password");
        let hint = hint.map(|min| format!("At least {min} {PASSWORD_HINT}"));
        let notes =
            [problem.map(|_| "-error"), hint.as_ref().map(|_| "-hint")].into_iter().flatten();
        let ids: Vec<_> = notes.map(|note| [name, note].concat()).collect();
        html! {
            div.field {
                label for=(name) { (label) }
                @if let Some(text) = &hint { p.hint id={ (name) "-hint" } { (text) } }
                @if let Some(text) = problem { p.problem id={ (name) "-error" } { (text) } }
                input type=(kind) id=(name) name=(name)
                    value=[(kind != "password").then_some(value)]
                    autocomplete=(autocomplete)
                    inputmode=[(autocomplete == "one-time-code").then_some("numeric")]
                    dir=[(kind == "text").then_some("auto")]
                    minlength=[min] maxlength=[max]
                    aria-invalid=[problem.map(|_| "true")]
                    aria-describedby=[(!ids.is_empty()).then(|| ids.join(" "))]
                    autofocus[has_focus]
                    readonly[is_fixed]
                    required;
            }
        }
    }
}

/// The problems of a form, each with a link to its field. A problem of the whole form links to the field that
/// has the focus, or to the first one. Empty if there are none.
pub fn summary(fields: &[Field], problems: &[Problem]) -> Markup {
    let field = |name| fields.iter().find(|field| field.name == name);
    let first = fields.iter().find(|field| field.has_focus).or(fields.first());
    html! {
        @if !problems.is_empty() {
            div.flash.alert role="alert" {
                @if problems.len() > 1 { p { (FIELDS_WRONG) } }
                ul {
                    @for (name, text) in problems {
                        @let field = field(*name);
                        li {
                            a href={ "#" (field.or(first).map_or("", |field| field.name)) } {
                                @if let Some(field) = field { (field.label) ": " } (text)
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The answer to a form. After too many tries it is the form again, which says so.
pub fn or_throttled(
    answer: Result<Response, Error>,
    form: impl FnOnce(Problem) -> Result<Response, Error>,
) -> Result<Response, Error> {
    let Err(Error::Throttled(wait)) = answer else { return answer };
    Ok(throttled(form((WHOLE_FORM, too_many_tries(wait)))?, wait))
}

/// Turns a page into the answer to too many tries.
pub fn throttled(page: Response, wait: Duration) -> Response {
    let seconds = wait.as_secs() + 1;
    page.with_status_code(429).with_additional_header("Retry-After", seconds.to_string())
}

/// What a visitor is told after too many tries.
pub fn too_many_tries(wait: Duration) -> String {
    format!("{TOO_MANY_TRIES} {}.", time::until(wait))
}

/// A page's title. It begins with "Error" if its form has problems, because screen readers read it first.
pub fn title(name: &str, problems: &[Problem]) -> String {
    if problems.is_empty() { name.to_owned() } else { ["Error: ", name].concat() }
}
