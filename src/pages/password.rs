//! `GET /password`: where a password is changed, and what to do about a forgotten one.

use maud::html;
use rouille::Response;

use super::layout;
use crate::error::Error;
use crate::sessions::Session;
use crate::visit::Visit;

/// The place of the form that changes a member's password.
pub const CHANGE_FORM: &str = "/secret#change-password";

/// `GET /password`.
pub fn show(visit: &mut Visit) -> Result<Response, Error> {
    if visit.member.is_some() {
        return Ok(Response::redirect_303(CHANGE_FORM));
    }
    let content = html! {
        h1 { "Forgot your password?" }
        p { "Ask " (layout::operator(&visit.app.config)) " for a new one." }
        p.actions { a.button.second href="/login" rel="noreferrer" { "Back to the login" } }
    };
    Ok(layout::page(visit, "", "Forgot your password?", &[content]))
}

/// `GET /.well-known/change-password`: where password managers lead their users (W3C, "A Well-Known URL
/// for Changing Passwords").
pub fn well_known(_: &mut Visit, _: &Session) -> Result<Response, Error> {
    Ok(Response::redirect_303(CHANGE_FORM))
}
