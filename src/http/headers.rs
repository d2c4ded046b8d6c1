//! The security headers of every response, and the headers of a download.

use std::borrow::Cow;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rouille::Response;

/// Pages load only our own style sheet and icon, no site may frame them, and their forms are sent
/// only to this site (OWASP ASVS 5.0, 3.4.3 and 3.4.6).
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const ALWAYS: [(&str, &str); 7] = [
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("X-Content-Type-Options", "nosniff"),
    // With `no-referrer`, browsers would send `Origin: null` with our own forms.
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("X-Frame-Options", "DENY"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
];

/// Adds the security headers, and forbids caching unless the handler set `Cache-Control`: nearly
/// every page depends on who requests it.
pub fn secure(response: &mut Response, https: bool) {
    let headers = &mut response.headers;
    // One allocation for all headers: each allocation takes a lock that thousands of threads share.
    headers.reserve(2 * ALWAYS.len());
    headers.extend(ALWAYS.map(|(name, value)| (name.into(), value.into())));
    if https {
        headers.push(("Strict-Transport-Security".into(), "max-age=31536000".into()));
    }
    if !headers.iter().any(|(name, _)| name == "Cache-Control") {
        headers.push(("Cache-Control".into(), "no-store".into()));
    }
}

/// Headers that make a browser save the response as a file of that name, in any script (RFC 6266,
/// appendix D: an ASCII name for old browsers, then the exact one).
pub fn attachment(name: &str) -> Vec<(Cow<'static, str>, Cow<'static, str>)> {
    let is_plain =
        |c: char| c.is_ascii() && !c.is_ascii_control() && !matches!(c, '"' | '\\' | '%');
    let ascii: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let exact = utf8_percent_encode(name, NON_ALPHANUMERIC);
    let disposition = format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{exact}");
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let content_type = rouille::extension_to_mime(extension).replace("utf8", "utf-8");
    vec![
        ("Content-Type".into(), content_type.into()),
        ("Content-Disposition".into(), disposition.into()),
        // nginx must not buffer the file. For a slow reader it would fill its buffer on disk and then
        // stop reading, and the write timeout would end the download.
        ("X-Accel-Buffering".into(), "no".into()),
    ]
}
