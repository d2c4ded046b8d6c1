//! The link that a visitor has opened. Its number is kept with the session and leaves the address bar, and so
//! the history, the `Referer` and the log.

use std::time::Duration;

use rouille::Response;

use crate::accounts::links::{self, Link, LinkHash};
use crate::error::Error;
use crate::sessions::Flash;
use crate::visit::Visit;

/// How long a link stays open.
pub const LASTS: Duration = Duration::from_hours(1);

const ENDED: &str = "That link is no longer valid. Ask for a new one.";

/// The link that the visitor has opened, which may have been used or have ended since.
#[derive(Clone)]
pub struct Opened {
    pub link: LinkHash,
    /// Whom it is for.
    pub email: Box<str>,
    /// Of the page that it leads to.
    path: &'static str,
}

/// Opens a link, and leads to the path of its page.
///
/// # Errors
/// [`Error::LinkEnded`] if it is unknown, used or ended.
pub fn open(visit: &mut Visit, number: &str, path: &'static str) -> Result<Response, Error> {
    let link = LinkHash::of(number);
    let email = match links::find(&visit.app.database, link)?.ok_or(Error::LinkEnded)? {
        Link::Invitation(email) => email.into(),
        Link::NewPassword(user) => user.email,
    };
    visit.keep(Opened { link, email, path }, LASTS)?;
    Ok(Response::redirect_303(path))
}

/// The link to the page with this path that the visitor has opened.
pub fn opened(visit: &Visit, path: &str) -> Option<Opened> {
    visit.kept().filter(|opened: &Opened| opened.path == path)
}

/// What that link allows. `None` if there is none, or it was used or has ended.
pub fn find(visit: &Visit, path: &str) -> Result<Option<(LinkHash, Link)>, Error> {
    let Some(Opened { link, .. }) = opened(visit, path) else { return Ok(None) };
    Ok(links::find(&visit.app.database, link)?.map(|found| (link, found)))
}

/// Redirects a visitor whose link is not valid.
pub fn redirect_ended(visit: &mut Visit) -> Result<Response, Error> {
    visit.redirect("/login", Flash::Alert(ENDED.to_owned()))
}
