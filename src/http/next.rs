//! Where to go after logging in: a path on this site, or nowhere.
//!
//! In: whatever a `next` value says. Out: a [`ReturnPath`], the only kind that a login leads to.

use form_urlencoded::byte_serialize;
use url::Url;

/// The longest path and query that [`login_url`] writes. Encoded three bytes for one, it still fits
/// into one header and one request line of any server.
const MAX_BYTES: usize = 2000;

/// A path on this site, with its query, safe to redirect to. Only [`ReturnPath::parse`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnPath(String);

impl ReturnPath {
    /// The path in a `next` value. `None` if a browser could be led anywhere else by it.
    ///
    /// The value is resolved as a browser would resolve it, and the origin it arrives at compared
    /// (OWASP ASVS 5.0, 3.7.2). Browsers drop control characters and read a backslash as a slash,
    /// so a value with either, or with a blank, is not one that this site wrote.
    pub fn parse(value: &str, public_url: Option<&Url>) -> Option<ReturnPath> {
        let is_odd = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
        if !value.starts_with('/') || value.contains(is_odd) {
            return None;
        }
        let base = public_url.cloned().or_else(|| Url::parse("http://localhost/").ok())?;
        let url = base.join(value).ok()?;
        let path = &url[url::Position::BeforePath..];
        // "/.//elsewhere" resolves to the path "//elsewhere", which a browser would read as a host.
        let is_here = url.origin() == base.origin() && !path.starts_with("//");
        is_here.then(|| ReturnPath(path.to_owned()))
    }

    /// The path and query, in ASCII.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The login page that leads to `target`, a path and query as the visitor asked for it, unless that
/// is too long.
pub fn login_url(target: &str) -> String {
    if target.len() > MAX_BYTES {
        return "/login".to_owned();
    }
    format!("/login?next={}", byte_serialize(target.as_bytes()).collect::<String>())
}
