//! The member's own account: the form that changes the names, and the button that deletes everything.

use maud::{Markup, html};
use rouille::Response;

use super::page;
use crate::accounts::profile::{self, Change};
use crate::accounts::users::{NewUser, Problem};
use crate::error::Error;
use crate::pages::form::{Field, summary};
use crate::pages::layout;
use crate::pages::login::AFTER_LOGIN;
use crate::sessions::{Flash, Session};
use crate::visit::Visit;

const CHANGED: &str = "Your name was changed.";
const DELETED: &str = "Your account was deleted.";
const FOR_GOOD: &str =
    "This deletes your account with everything in it, for good. Nobody can bring it back.";

/// The id of the section's heading.
const SECTION: &str = "account";

/// What was typed into the form, and what is wrong with it.
type Refused<'a> = (NewUser<'a>, &'a [Problem]);

/// `POST /name`.
pub fn rename(visit: &mut Visit, session: &Session) -> Result<Response, Error> {
    let form = visit.form()?;
    let (first_name, last_name) =
        (form.field("first_name")?.trim(), form.field("last_name")?.trim());
    let typed = NewUser { first_name, last_name, email: &session.user.email };
    let problems = typed.problems();
    if !problems.is_empty() {
        let section = section(visit, session, Some((typed, &problems)));
        return Ok(page(visit, session, Some((SECTION, section)))?.with_status_code(422));
    }
    let change = Change { first_name: Some(first_name), last_name: Some(last_name), email: None };
    profile::change(&visit.app.database, session.user.uid, change)?;
    visit.refresh()?;
    visit.redirect(AFTER_LOGIN, Flash::Notice(CHANGED.to_owned()))
}

/// `POST /account/delete`.
pub fn delete(visit: &mut Visit, session: &Session) -> Result<Response, Error> {
    profile::remove(&visit.app.sessions, session.user.uid)?;
    visit.event("account-deleted", &session.user.email);
    visit.redirect("/", Flash::Notice(DELETED.to_owned()))
}

/// The section with both.
pub fn section(visit: &Visit, session: &Session, refused: Option<Refused>) -> Markup {
    let user = &session.user;
    let now = NewUser { first_name: &user.first_name, last_name: &user.last_name, email: "" };
    let (shown, problems) = refused.unwrap_or((now, &[]));
    let fields = [
        Field::new("first_name", "First name", "given-name").value(shown.first_name),
        Field::new("last_name", "Last name", "family-name").value(shown.last_name),
    ]
    .map(|field| field.problems(problems));
    html! {
        section aria-labelledby=(SECTION) {
            h2 id=(SECTION) { "Your account" }
            (summary(&fields, problems))
            p {
                "Your email is " (user.email) ". Other sites know you by it, so you cannot change it yourself. Ask " (layout::operator(&visit.app.config)) "."
            }
            form method="post" action="/name" {
                @for field in &fields { (field) }
                button type="submit" { "Change name" }
            }
            details {
                summary { "Delete your account" }
                p { (FOR_GOOD) }
                form method="post" action="/account/delete" {
                    button.quiet type="submit" { "Delete my account" }
                }
            }
        }
    }
}
