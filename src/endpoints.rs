//! Answers that are not pages: for reverse proxies, for monitors, and what pages are made of.
//!
//! In: requests, which need no database but where they ask about one. Out: answers without HTML.

use std::sync::LazyLock;

use rouille::{Request, Response};
use sha2::{Digest, Sha256};

use crate::http::forward_auth;
use crate::sessions::Session;
use crate::visit::Visit;
use crate::{App, Error};

/// A file that never changes under its name, because a hash of it is part of the name.
pub struct Asset {
    /// `/assets/{name}-{hash}.{extension}`.
    pub path: String,
    content_type: &'static str,
    content: &'static str,
}

/// The style sheet of every page.
pub static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    asset("style", "css", "text/css; charset=utf-8", include_str!("pages/style.css"))
});

/// The icon of every page.
pub static ICON: LazyLock<Asset> = LazyLock::new(|| {
    asset("icon", "svg", "image/svg+xml; charset=utf-8", include_str!("pages/icon.svg"))
});

fn asset(name: &str, ext: &str, content_type: &'static str, content: &'static str) -> Asset {
    let hash = Sha256::digest(content);
    let path = format!(
        "/assets/{name}-{:02x}{:02x}{:02x}{:02x}.{ext}",
        hash[0], hash[1], hash[2], hash[3]
    );
    Asset { path, content_type, content }
}

/// `GET /assets/…`: the style sheet or the icon, for a browser to keep for a year.
pub fn assets(_app: &App, request: &Request) -> Result<Response, Error> {
    let wanted = |asset: &&Asset| asset.path == request.raw_url();
    let asset = [&*STYLE, &*ICON].into_iter().find(wanted).ok_or(Error::NotFound)?;
    Ok(Response::from_data(asset.content_type, asset.content)
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
