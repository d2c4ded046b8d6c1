//! The headers that every answer carries, and those of a file to save.
//!
//! In: an answer, or a file's name. Out: headers that protect the visitor, whoever that is.

use std::borrow::Cow;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rouille::Response;

/// Nothing may load but our own style sheet and icon, nothing may frame us, and forms go nowhere
/// else (OWASP ASVS 5.0, 3.4.3 and 3.4.6).
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const ALWAYS: [(&str, &str); 7] = [
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("X-Content-Type-Options", "nosniff"),
    // Not `no-referrer`: with it, browsers send `Origin: null` with our own forms.
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("X-Frame-Options", "DENY"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
];

/// Adds what protects the visitor, and forbids caching unless the page said otherwise: nearly
/// every page depends on who asks.
pub fn secure(response: &mut Response, https: bool) {
    let headers = &mut response.headers;
    // Room for all at once: growing takes a lock, for which thousands of threads would wait.
    let mut own = std::mem::replace(headers, Vec::with_capacity(2 * ALWAYS.len()));
    headers.append(&mut own);
    headers.extend(ALWAYS.map(|(name, value)| (name.into(), value.into())));
    if https {
        headers.push(("Strict-Transport-Security".into(), "max-age=31536000".into()));
    }
    if !headers.iter().any(|(name, _)| name == "Cache-Control") {
        headers.push(("Cache-Control".into(), "no-store".into()));
    }
}

/// Makes a browser save the answer as a file of that name, whatever letters are in it (RFC 6266,
/// appendix D: a name in ASCII for old browsers, then the true one).
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
        // nginx passes it on as it comes. Else it would fill its disk with what a slow reader has not
        // taken, then take nothing more from us, and we would give it up.
        ("X-Accel-Buffering".into(), "no".into()),
    ]
}
