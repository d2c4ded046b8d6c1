//! What every form is made of: fields with a label and a message beside them, and a summary of
//! what is wrong at the top.

use maud::{Markup, html};

const LOOK_AGAIN: &str = "Please look at these again:";

/// What is wrong with a form: the name of a field and a sentence about it.
pub type Problems = Vec<(&'static str, String)>;

/// One labelled field.
#[derive(Default)]
pub struct Field<'a> {
    /// What the form calls it, and, after its form's prefix, the page.
    pub name: &'static str,
    /// What people call it.
    pub label: &'a str,
    /// `text`, `email` or `password`.
    pub kind: &'a str,
    /// What a password manager may put in (HTML Living Standard, 4.10.18.7).
    pub autocomplete: &'a str,
    /// What was typed before; never a password.
    pub value: &'a str,
    /// What to know before typing.
    pub hint: Option<&'a str>,
    /// The fewest characters that make sense.
    pub min: Option<usize>,
    /// The most characters that fit.
    pub max: Option<usize>,
}

impl Field<'_> {
    /// The field, with what is wrong with it, if anything.
    pub fn render(&self, problems: &Problems) -> Markup {
        let problem = problems.iter().find(|(name, _)| *name == self.name).map(|(_, text)| text);
        let notes = [problem.map(|_| "-error"), self.hint.map(|_| "-hint")].into_iter().flatten();
        let ids: Vec<_> = notes.map(|note| [self.name, note].concat()).collect();
        html! {
            div.field {
                label for=(self.name) { (self.label) }
                @if let Some(text) = self.hint { p.hint id={ (self.name) "-hint" } { (text) } }
                @if let Some(text) = problem { p.problem id={ (self.name) "-error" } { (text) } }
                input type=(self.kind) id=(self.name) name=(self.name)
                    value=[(self.kind != "password").then_some(self.value)]
                    autocomplete=(self.autocomplete) dir=[(self.kind == "text").then_some("auto")]
                    minlength=[self.min] maxlength=[self.max]
                    aria-invalid=[problem.map(|_| "true")]
                    aria-describedby=[(!ids.is_empty()).then(|| ids.join(" "))]
                    required;
            }
        }
    }
}

/// What is wrong, at the top of the page, each with a link to its field.
pub fn summary(problems: &Problems) -> Markup {
    html! {
        @if !problems.is_empty() {
            div.flash.alert role="alert" {
                @if problems.len() > 1 { p { (LOOK_AGAIN) } }
                ul { @for (name, text) in problems { li { a href={ "#" (name) } { (text) } } } }
            }
        }
    }
}

/// A page's title, which says first that something is wrong: a screen reader reads it first.
pub fn title(name: &str, problems: &Problems) -> String {
    if problems.is_empty() { name.to_owned() } else { format!("Error: {name}") }
}
