//! `/secret`: the members' page. Each section has a file of its own.

use maud::html;
use rouille::Response;

use super::form::{summary, title};
use super::layout;
use crate::accounts::users::Problem;
use crate::error::Error;
use crate::sessions::Session;
use crate::visit::Visit;

pub mod files;
pub mod password;
pub mod sessions;

/// `GET /secret`.
pub fn show(visit: &mut Visit, session: &Session) -> Result<Response, Error> {
    page(visit, session, &[])
}

/// The page, with the errors of one of its forms.
fn page(visit: &mut Visit, session: &Session, problems: &[Problem]) -> Result<Response, Error> {
    let content = [
        summary(problems),
        html! { h1 { "Hello, " (layout::name(&session.user.full_name())) "!" } },
        files::section(visit),
        password::section(session, problems),
        sessions::section(visit, session)?,
    ];
    Ok(layout::page(visit, &title("Secret", problems), &content))
}
