//! `/`: what this is, and where to go from here.

use maud::html;
use rouille::{Request, Response};

use super::layout;
use crate::app::App;
use crate::error::Error;
use crate::visit::Visit;

const OPEN: &str = "Behind this door are files for members. Make an account and you are in; \
     from then on, your email and password open it.";
const CLOSED: &str = "Behind this door are files for members. Whoever runs this site makes the \
     accounts; if you have one, your email and password open the door.";
const INSIDE: &str = "You are logged in. Everything of yours is on the secret page:";

/// `GET /`.
pub fn show(app: &App, visit: &mut Visit, _request: &Request) -> Result<Response, Error> {
    let first_name = visit.user().map(|user| user.first_name.clone());
    let content = if let Some(first_name) = &first_name {
        html! {
            h1 { "Hello, " (first_name) "!" }
            p { (INSIDE) }
            ul.places {
                li { a href="/secret#files" { "Files" } " for members" }
                li { a href="/secret#change-password" { "Password" } ", to change it" }
                li { a href="/secret#sessions" { "Sessions" } ", the browsers you are logged in with" }
            }
            p.actions { a.button href="/secret" { "Go to the secret page" } }
        }
    } else {
        html! {
            h1 { "Hello, Anonymous!" }
            p { (if app.is_open() { OPEN } else { CLOSED }) }
            p.actions {
                @if app.is_open() { a.button href="/register" { "Register" } }
                a.button.second[app.is_open()] href="/login" { "Log in" }
            }
        }
    };
    Ok(layout::page(app, visit, "Home", &[content]))
}
