//! Where a login leads: to a [`ReturnPath`] on this site, or to the default page.

use form_urlencoded::byte_serialize;
use url::Url;

/// The longest path and query that [`login_url`] accepts. Encoding can triple its length; the result
/// still fits into a header and a request line of common servers.
const MAX_BYTES: usize = 2000;

/// A path and query on this site, safe to redirect to. Only [`ReturnPath::parse`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnPath(String);

impl ReturnPath {
    /// The path in a `next` value. `None` if it could lead a browser to another site.
    ///
    /// The value is resolved as a browser resolves it, and the resulting origin must be this site's
    /// (OWASP ASVS 5.0, 3.7.2). Browsers drop control characters and read a backslash as a slash.
    /// This site never writes those or blanks, so a value that contains one is refused.
    pub fn parse(value: &str, public_url: Option<&Url>) -> Option<ReturnPath> {
        let is_odd = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
        if !value.starts_with('/') || value.contains(is_odd) {
            return None;
        }
        let base = public_url.cloned().or_else(|| Url::parse("http://localhost/").ok())?;
        let url = base.join(value).ok()?;
        let path = &url[url::Position::BeforePath..];
        // "/.//elsewhere" resolves to the path "//elsewhere", where a browser reads "elsewhere" as a
        // host.
        let is_here = url.origin() == base.origin() && !path.starts_with("//");
        is_here.then(|| ReturnPath(path.to_owned()))
    }

    /// The path and query, in ASCII.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The URL of a login page that leads to `target`, the requested path and query. Without `next` if
/// `target` is too long.
pub fn login_url(target: &str) -> String {
    if target.len() > MAX_BYTES {
        return "/login".to_owned();
    }
    format!("/login?next={}", byte_serialize(target.as_bytes()).collect::<String>())
}
