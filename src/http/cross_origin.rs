//! Refuses requests that another site made a browser send (cross-site request forgery).
//!
//! Browsers say in headers where a request comes from, so no form needs a token. The rules are those
//! of Go 1.25's `http.CrossOriginProtection`.

use rouille::Request;
use url::Url;

/// Whether a request may be handled: its method changes nothing, or no header says that another site
/// caused it.
pub fn is_allowed(request: &Request, public_url: Option<&Url>) -> bool {
    if matches!(request.method(), "GET" | "HEAD" | "OPTIONS") {
        return true;
    }
    match (request.header("Sec-Fetch-Site"), request.header("Origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        // Without both headers it is not a browser, or an old one. SameSite cookies protect the latter.
        (None, None) => true,
        (None, Some(origin)) => is_own(origin, request.header("Host"), public_url),
    }
}

/// Whether an origin is this server's: that of the request's `Host`, or that of the public URL.
fn is_own(origin: &str, host: Option<&str>, public_url: Option<&Url>) -> bool {
    // Sandboxed frames and redirected forms send the origin `null`, which does not parse.
    let Ok(origin) = Url::parse(origin) else { return false };
    // `Host` has no scheme. With the origin's scheme, default ports compare as equal.
    let host = host.and_then(|host| Url::parse(&format!("{}://{host}", origin.scheme())).ok());
    host.is_some_and(|host| host.origin() == origin.origin())
        || public_url.is_some_and(|url| url.origin() == origin.origin())
}
