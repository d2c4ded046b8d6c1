//! `/`: the home page, with links to the other pages.

use maud::html;
use rouille::Response;

use super::layout;
use crate::error::Error;
use crate::visit::Visit;

const OPEN: &str = "Behind this door are files for members. Make an account and you are in; \
     from then on, your email and password open it.";
const CLOSED: &str = "Behind this door are files for members. If you have an account, your email \
     and password open it.";
const INSIDE: &str = "You are logged in. This is behind the door:";

/// `GET /`.
pub fn show(visit: &mut Visit) -> Result<Response, Error> {
    let (config, is_open) = (&visit.app.config, visit.app.may_register());
    let greeting = config.greeting.as_deref().unwrap_or(if is_open { OPEN } else { CLOSED });
    let content = html! {
        @if let Some(session) = &visit.member {
            h1 { "Hello, " (layout::name(&session.user.first_name)) "!" }
            p { (INSIDE) }
            ul.places {
                li { a href="/secret#files" { "Files" } " for members" }
                li { a href="/secret#change-password" { "Password" } ", to change it" }
                li { a href="/secret#second-factor" { "Second factor" } ", to protect your login" }
                li { a href="/secret#sessions" { "Where you are logged in" } ", to log out elsewhere" }
                li { a href="/secret#account" { "Your account" } ", to change your name or to leave" }
            }
            p.actions { a.button href="/secret" { "Open " (config.members_page) } }
        } @else {
            h1 { "Hello, Anonymous!" }
            p { (greeting) }
            p.actions {
                @if is_open { a.button href="/register" rel="noreferrer" { "Register" } }
                a.button.second[is_open] href="/login" rel="noreferrer" { "Log in" }
            }
            @if !is_open { p.aside { "No account yet? Ask " (layout::operator(config)) " to make one." } }
        }
    };
    Ok(layout::page(visit, "/", "Home", &[content]))
}
