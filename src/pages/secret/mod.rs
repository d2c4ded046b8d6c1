//! `/secret`: the members' page. Each section has a file of its own.

use maud::{Markup, html};
use rouille::Response;

use super::layout;
use crate::error::Error;
use crate::sessions::Session;
use crate::visit::Visit;

pub mod account;
pub mod files;
pub mod password;
pub mod second_factor;
pub mod sessions;

/// The id of a section's heading, and the section.
type Section = (&'static str, Markup);

/// `GET /secret`.
pub fn show(visit: &mut Visit, session: &Session) -> Result<Response, Error> {
    page(visit, session, None)
}

/// The page. `refused` is the section whose form was refused, with its errors, if there is one.
fn page(visit: &mut Visit, session: &Session, refused: Option<Section>) -> Result<Response, Error> {
    let mut title = visit.app.config.members_page.clone();
    // First, because it may fail, and the second factor's section shows new recovery codes only once.
    let sessions = sessions::section(visit, session)?;
    let mut sections = vec![
        ("files", files::section(visit)),
        ("change-password", password::section(visit, session, &[])),
        ("second-factor", second_factor::section(visit, session, &[])),
        ("sessions", sessions),
        ("account", account::section(visit, session, None)),
    ];
    if second_factor::is_missing(visit) {
        sections.retain(|(id, _)| *id == "second-factor");
    }
    if let Some(refused) = refused {
        title.insert_str(0, "Error: ");
        sections.iter_mut().filter(|it| it.0 == refused.0).for_each(|it| *it = refused.clone());
    }
    let heading = html! { h1 { "Hello, " (layout::name(&session.user.full_name())) "!" } };
    let content: Vec<_> = [heading].into_iter().chain(sections.into_iter().map(|s| s.1)).collect();
    Ok(layout::page(visit, "/secret", &title, &content))
}
