//! Answers that are not pages: for reverse proxies, for monitors, and what pages are made of.
//!
//! In: requests. Out: answers without HTML, unless an error makes them a page as everywhere.

use std::sync::LazyLock;

use rouille::{Request, Response};
use sha2::{Digest, Sha256};

use crate::http::forward_auth;
use crate::sessions::Session;
use crate::visit::Visit;
use crate::{App, Error};

const CSS: &str = include_str!("pages/style.css");
const SVG: &str = include_str!("pages/icon.svg");

/// The path of every page's style sheet.
pub static STYLE: LazyLock<String> = LazyLock::new(|| path("style", "css", CSS));

/// The path of every page's icon.
pub static ICON: LazyLock<String> = LazyLock::new(|| path("icon", "svg", SVG));

/// A hash of the content is part of the path, so what is there never changes.
fn path(name: &str, extension: &str, content: &str) -> String {
    let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(content).into();
    format!("/assets/{name}-{a:02x}{b:02x}{c:02x}{d:02x}.{extension}")
}

/// `GET /assets/…`: the style sheet or the icon, for a browser to keep for a year.
pub fn assets(_app: &App, request: &Request) -> Result<Response, Error> {
    let (content_type, content) = match request.raw_url() {
        path if path == *STYLE => ("text/css; charset=utf-8", CSS),
        path if path == *ICON => ("image/svg+xml; charset=utf-8", SVG),
        _ => return Err(Error::NotFound),
    };
    Ok(Response::from_data(content_type, content)
        .with_additional_header("Cache-Control", "public, max-age=31536000, immutable"))
}

/// `GET /healthz`: `ok` while the database answers.
pub fn health(app: &App, _request: &Request) -> Result<Response, Error> {
    app.database.ping()?;
    Ok(Response::text("ok\n"))
}

/// `GET /auth`: whether a reverse proxy may let its visitor through.
pub fn auth(_app: &App, visit: &mut Visit, request: &Request) -> Result<Response, Error> {
    Ok(match &visit.member {
        Some(Session { user, .. }) => forward_auth::allow(&user.email, &user.full_name()),
        None => forward_auth::deny(request),
    })
}
