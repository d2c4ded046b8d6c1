//! Answers to a reverse proxy that asks whether to let a request through to another site.
//!
//! In: a name and an email, or the request of somebody who has none; never a user. Out: the answer,
//! in the headers that proxies read.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rouille::{Request, Response};
use url::{Position, Url};

use super::next;

/// Where proxies write the path and query that the visitor asked them for: nginx by convention,
/// then Caddy and Traefik.
const ORIGINAL: [&str; 3] = ["X-Original-URI", "X-Original-URL", "X-Forwarded-Uri"];

/// Let it through; who it is goes along. All three headers are always there, so that a proxy which
/// copies them leaves nothing of what the visitor sent under the same names.
pub fn allow(email: &str, full_name: &str) -> Response {
    Response::text("ok\n")
        .with_additional_header("Remote-User", ascii(email))
        .with_additional_header("Remote-Name", ascii(full_name))
        .with_additional_header("Remote-Email", ascii(email))
}

/// Keep it out; the login page in `Location` leads back to what it asked for.
pub fn deny(request: &Request) -> Response {
    let original = ORIGINAL.iter().find_map(|name| request.header(name)).unwrap_or("/");
    // Some proxies send the whole address; only its path and query lead back.
    let url = Url::parse(original);
    let original = url.as_ref().map_or(original, |url| &url[Position::BeforePath..]);
    Response::text("log in first\n")
        .with_status_code(401)
        .with_additional_header("Location", next::login_url(original))
}

/// A header value: as it is, or percent-encoded if not all of it is printable ASCII. So is one with
/// a percent sign, or who decodes them all could take one member for another.
fn ascii(value: &str) -> String {
    if value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'%') {
        value.to_owned()
    } else {
        utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()
    }
}
