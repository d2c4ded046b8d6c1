//! `/`: the home page, with links to the other pages.

use maud::html;
use rouille::Response;

use super::layout;
use crate::error::Error;
use crate::visit::Visit;

const OPEN: &str = "Behind this door are files for members. Make an account and you are in; \
     from then on, your email and password open it.";
const CLOSED: &str = "Behind this door are files for members. Whoever runs this site makes the \
     accounts; if you have one, your email and password open the door.";
const INSIDE: &str = "You are logged in. Everything of yours is on the secret page:";

/// `GET /`.
pub fn show(visit: &mut Visit) -> Result<Response, Error> {
    let content = html! {
        @if let Some(session) = &visit.member {
            h1 { "Hello, " (layout::name(&session.user.first_name)) "!" }
            p { (INSIDE) }
            ul.places {
                li { a href="/secret#files" { "Files" } " for members" }
                li { a href="/secret#change-password" { "Password" } ", to change it" }
                li { a href="/secret#sessions" { "Sessions" } ", the browsers you are logged in with" }
            }
            p.actions { a.button href="/secret" { "Go to the secret page" } }
        } @else {
            h1 { "Hello, Anonymous!" }
            p { (if visit.app.may_register() { OPEN } else { CLOSED }) }
            p.actions {
                @if visit.app.may_register() { a.button href="/register" { "Register" } }
                a.button.second[visit.app.may_register()] href="/login" { "Log in" }
            }
        }
    };
    Ok(layout::page(visit, "Home", &[content]))
}
