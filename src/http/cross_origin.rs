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

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a form with these headers, sent to `localhost`, may change something.
    const CASES: &[(bool, &[(&str, &str)])] = &[
        (true, &[]),
        (true, &[("Sec-Fetch-Site", "same-origin")]),
        (true, &[("Sec-Fetch-Site", "none")]),
        (true, &[("Sec-Fetch-Site", "same-origin"), ("Origin", "https://evil.example")]),
        (false, &[("Sec-Fetch-Site", "same-site")]),
        (false, &[("Sec-Fetch-Site", "cross-site")]),
        (false, &[("Sec-Fetch-Site", "cross-site"), ("Origin", "https://members.example.org")]),
        (false, &[("Sec-Fetch-Site", "")]),
        (false, &[("Sec-Fetch-Site", "something new")]),
        (true, &[("Origin", "http://localhost")]),
        (true, &[("Origin", "http://LOCALHOST:80")]),
        (true, &[("Origin", "https://localhost")]),
        (true, &[("Origin", "https://members.example.org")]),
        (false, &[("Origin", "https://members.example.org:8443")]),
        (false, &[("Origin", "http://localhost:8080")]),
        (false, &[("Origin", "http://localhost.evil.example")]),
        (false, &[("Origin", "https://evil.example")]),
        (false, &[("Origin", "null")]),
        (false, &[("Origin", "")]),
        (false, &[("Origin", "localhost")]),
    ];

    #[test]
    fn asvs_3_5_1_a_form_of_another_site_is_refused_and_our_own_is_not() {
        let public_url = Url::parse("https://members.example.org").unwrap();
        for (expected, headers) in CASES {
            let sent = [&[("Host", "localhost")], *headers].concat();
            let sent = sent.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            let request = Request::fake_http("POST", "/login", sent, Vec::new());
            assert_eq!(is_allowed(&request, Some(&public_url)), *expected, "{headers:?}");
        }
    }
}
