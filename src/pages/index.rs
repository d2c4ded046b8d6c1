//! `/`: what this is, and where to go from here.

use maud::html;
use rouille::{Request, Response};

use super::layout;
use crate::app::App;
use crate::error::Error;
use crate::visit::Visit;

/// `GET /`.
pub fn show(app: &App, visit: &mut Visit, _request: &Request) -> Result<Response, Error> {
    let first_name = visit.user().map(|user| user.first_name.clone());
    let content = if let Some(first_name) = &first_name {
        html! {
            h1 { "Hello, " (first_name) "!" }
            p {
                "You are logged in. The files for members, your password and the list of places "
                "where you are logged in are on the secret page."
            }
            p.actions { a.button href="/secret" { "Go to the secret page" } }
        }
    } else {
        html! {
            h1 { "Hello, Anonymous!" }
            p {
                "Behind this door are files for members. Make an account and you are in; "
                "come back with your email and password."
            }
            p.actions {
                @if app.is_open() { a.button href="/register" { "Register" } }
                a.button.second href="/login" { "Log in" }
            }
        }
    };
    Ok(layout::page(app, visit, "Home", &content))
}
