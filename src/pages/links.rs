//! The link that a visitor has opened. Its number is kept with the session and leaves the address bar, and so
//! the history, the `Referer` and the log.

use std::time::Duration;

use rouille::Response;

use crate::accounts::email;
use crate::accounts::links::{self, Link, LinkHash};
use crate::accounts::passwords::{Password, PasswordHash};
use crate::accounts::users::User;
use crate::error::Error;
use crate::http::form::Form;
use crate::sessions::Flash;
use crate::visit::Visit;

/// How long a link stays open.
const LASTS: Duration = Duration::from_hours(1);

const ENDED: &str = "That link is no longer valid. Ask for a new one.";

/// The link that the visitor has opened.
#[derive(Clone)]
struct Opened {
    link: LinkHash,
    /// Of the page that it leads to.
    path: &'static str,
    /// Whom it is for.
    email: Box<str>,
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
    visit.keep(Opened { link, path, email }, LASTS)?;
    Ok(Response::redirect_303(path))
}

/// The link to the page with this path that the visitor has opened. `None` if there is none, or it was used or
/// has ended since.
pub fn opened(visit: &Visit, path: &str) -> Result<Option<(LinkHash, Link)>, Error> {
    let Some(Opened { link, .. }) = kept(visit, path) else { return Ok(None) };
    Ok(links::find(&visit.app.database, link)?.map(|found| (link, found)))
}

/// The user whom a link has served, if the visitor has opened that link, and sends its form once more: the
/// answer to a second click on the button must not be that the first one has failed. `None` if the visitor has
/// opened no such link.
///
/// # Errors
/// [`Error::LinkEnded`] if the link has served nobody, or somebody else. As it is a login, also those of
/// `Authentication::authenticate`.
pub fn second_click(
    visit: &Visit,
    path: &str,
    form: &Form,
) -> Result<Option<(User, PasswordHash)>, Error> {
    let typed = form.optional("email").map(|typed| email::fold(typed.trim()));
    let is_same = |opened: &Opened| typed.is_none_or(|typed| typed == email::fold(&opened.email));
    let Some(Opened { email, .. }) = kept(visit, path).filter(is_same) else { return Ok(None) };
    let password = Password::typed(form.field("password")?);
    let user = visit.app.authentication.authenticate(&email, &password, visit.ip)?;
    user.ok_or(Error::LinkEnded).map(Some)
}

/// Redirects a visitor whose link is not valid.
pub fn redirect_ended(visit: &mut Visit) -> Result<Response, Error> {
    visit.redirect("/login", Flash::Alert(ENDED.to_owned()))
}

fn kept(visit: &Visit, path: &str) -> Option<Opened> {
    visit.kept().filter(|opened: &Opened| opened.path == path)
}
