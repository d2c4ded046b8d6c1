//! Answers a reverse proxy that asks whether to let a request through to another site.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rouille::{Request, Response};
use url::{Position, Url};

use super::next;

/// Headers in which a proxy sends the path and query that its visitor requested. The first two are
/// customary with nginx; Caddy and Traefik send the third.
const ORIGINAL: [&str; 3] = ["X-Original-URI", "X-Original-URL", "X-Forwarded-Uri"];

/// Lets the request through, with the member's name and email in headers. All three headers are
/// always set, so that a proxy that copies them overwrites any that the visitor sent.
pub fn allow(email: &str, full_name: &str) -> Response {
    Response::text("ok\n")
        .with_additional_header("Remote-User", ascii(email))
        .with_additional_header("Remote-Name", ascii(full_name))
        .with_additional_header("Remote-Email", ascii(email))
}

/// Refuses the request. `Location` names the login page, which leads back to the requested page.
pub fn deny(request: &Request) -> Response {
    let original = ORIGINAL.iter().find_map(|name| request.header(name)).unwrap_or("/");
    // Some proxies send a complete URL. The login page takes only a path and query.
    let url = Url::parse(original);
    let original = url.as_ref().map_or(original, |url| &url[Position::BeforePath..]);
    Response::text("log in first\n")
        .with_status_code(401)
        .with_additional_header("Location", next::login_url(original))
}

/// A header value, percent-encoded if it contains `%` or anything but printable ASCII. Without
/// encoding `%`, two members could have the same name after decoding.
fn ascii(value: &str) -> String {
    if value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'%') {
        value.to_owned()
    } else {
        utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()
    }
}
