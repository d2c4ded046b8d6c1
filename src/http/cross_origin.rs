//! Requests that another site made a browser send.
//!
//! In: a request and the settings' public URL. Out: whether to go on. Browsers say where a request
//! comes from, so no form needs a token. The rules are those of Go 1.25's
//! `http.CrossOriginProtection`.

use rouille::Request;
use url::Url;

/// Whether a request may change something here: it is harmless by its method, or no browser
/// says that another site is behind it.
pub fn is_allowed(request: &Request, public_url: Option<&Url>) -> bool {
    if matches!(request.method(), "GET" | "HEAD" | "OPTIONS") {
        return true;
    }
    match (request.header("Sec-Fetch-Site"), request.header("Origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        // Neither header: not a browser, or one so old that SameSite is all it has.
        (None, None) => true,
        (None, Some(origin)) => is_own(origin, request.header("Host"), public_url),
    }
}

/// Whether an origin is this server's, by the `Host` that the browser asked for or by the settings.
fn is_own(origin: &str, host: Option<&str>, public_url: Option<&Url>) -> bool {
    // The origin of a sandboxed frame or a redirected form is `null`, which is no URL.
    let Ok(origin) = Url::parse(origin) else { return false };
    // Host has no scheme of its own. Borrowing the origin's makes the default ports match.
    let host = host.and_then(|host| Url::parse(&format!("{}://{host}", origin.scheme())).ok());
    host.is_some_and(|host| host.origin() == origin.origin())
        || public_url.is_some_and(|url| url.origin() == origin.origin())
}
