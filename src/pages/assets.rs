//! The style sheet and the icon, and what browsers and search engines ask for on their own.

use std::sync::LazyLock;

use data_encoding::HEXLOWER;
use rouille::Response;
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::visit::Visit;

const CSS: &str = include_str!("style.css");
const SVG: &str = include_str!("icon.svg");

/// No page is of use to a search engine.
const ROBOTS: &str = "User-agent: *\nDisallow: /\n";

/// The path of every page's style sheet.
pub static STYLE: LazyLock<String> = LazyLock::new(|| path("style", "css", CSS));

/// The path of every page's icon.
pub static ICON: LazyLock<String> = LazyLock::new(|| path("icon", "svg", SVG));

/// The path contains a hash of the content, so the content at a path never changes.
fn path(name: &str, extension: &str, content: &str) -> String {
    let hash = HEXLOWER.encode(&Sha256::digest(content)[..4]);
    format!("/assets/{name}-{hash}.{extension}")
}

/// `GET /assets/…`: the style sheet or the icon. Browsers may cache it for a year.
pub fn show(visit: &mut Visit) -> Result<Response, Error> {
    let (content_type, content) = match visit.request.raw_url() {
        path if path == *STYLE => ("text/css; charset=utf-8", CSS),
        path if path == *ICON => ("image/svg+xml; charset=utf-8", SVG),
        _ => return Err(Error::NotFound),
    };
    Ok(Response::from_data(content_type, content)
        .with_additional_header("Cache-Control", "public, max-age=31536000, immutable"))
}

/// `GET /robots.txt`.
pub fn robots(_: &mut Visit) -> Result<Response, Error> {
    Ok(Response::text(ROBOTS))
}

/// `GET /favicon.ico`: the icon, for whoever has not read in a page where it is.
pub fn favicon(_: &mut Visit) -> Result<Response, Error> {
    Ok(Response::redirect_301(ICON.as_str()))
}
