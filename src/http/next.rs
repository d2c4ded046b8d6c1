//! Where a login leads: to a [`ReturnPath`] on this site, or to the default page.

use form_urlencoded::byte_serialize;
use url::Url;

/// The longest path and query, in bytes. Encoding can triple its length; the result still fits into a
/// header and a request line of common servers.
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
        if !value.starts_with('/') || value.contains(is_odd) || value.len() > MAX_BYTES {
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

/// The URL of a page on this site to which `next` travels along.
pub fn with_next(path: &str, next: Option<&ReturnPath>) -> String {
    let Some(ReturnPath(next)) = next else { return path.to_owned() };
    format!("{path}?next={}", byte_serialize(next.as_bytes()).collect::<String>())
}

/// The URL of a login page that leads to `target`, the requested path and query. Without `next` if
/// `target` is too long.
pub fn login_url(target: &str) -> String {
    if target.len() > MAX_BYTES {
        return "/login".to_owned();
    }
    format!("/login?next={}", byte_serialize(target.as_bytes()).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `next`, decoded, that could lead elsewhere or that this site does not write.
    const UNSAFE: &[&str] = &[
        "http://example.com",
        "http:///example.com",
        "https://example.com",
        "ftp://example.com",
        "\\\\example.com",
        "\\\\\\example.com",
        "/\\\\/example.com",
        "\\\\//example.com",
        "/\\/example.com",
        "\\/example.com",
        "/\\example.com",
        "//example.com",
        "///example.com",
        "http:/\\//example.com",
        "http:\\/example.com",
        "http:/\\example.com",
        "javascript:alert(\"XSS\")",
        "\njavascript:alert(x)",
        "java\nscript:alert(x)",
        "\x08//example.com",
        "http://otherserver\\@example.com",
        "http:999999999",
        "view/?param=//example.com",
        "\n",
        "",
        " ",
        " /secret",
        "/ /example.com",
        "/\t/example.com",
        "/\n/example.com",
        "/\u{a0}/example.com",
        "/.//example.com",
        "/..//example.com",
        "/a/..//example.com",
        "/%2e//example.com",
        "//localhost@example.com",
        "/\u{2028}",
        "?next=/",
        "#",
    ];

    /// Values that lead to themselves.
    const SAFE: &[&str] = &[
        "/",
        "/secret",
        "/download/cheat-sheet.txt",
        "/?param=http://example.com",
        "/secret?param=https://example.com",
        "/url%20with%20spaces/",
        "/confirm/me@example.com",
        "/secret?next=//example.com",
        "/a//b",
        "/:80/",
        "/%2f/example.com",
        "/%5cexample.com",
    ];

    fn parsed(value: &str, public_url: Option<&str>) -> Option<String> {
        let url = public_url.map(|url| Url::parse(url).unwrap());
        ReturnPath::parse(value, url.as_ref()).map(|path| path.as_str().to_owned())
    }

    #[test]
    fn asvs_3_7_2_only_paths_on_this_site_are_return_paths() {
        for public_url in [None, Some("http://members.example.org:8080")] {
            for value in UNSAFE {
                assert_eq!(parsed(value, public_url), None, "{value:?}");
            }
            for value in SAFE {
                assert_eq!(parsed(value, public_url).as_deref(), Some(*value));
            }
            let path = parsed("/caf\u{e9}", public_url);
            assert_eq!(path.as_deref(), Some("/caf%C3%A9"), "a header is ASCII");
        }
    }

    #[test]
    fn the_login_page_gets_a_target_back_as_it_was_unless_it_is_too_long() {
        for target in SAFE {
            let url = login_url(target);
            let query = url.strip_prefix("/login?").unwrap().as_bytes();
            let (name, value) = form_urlencoded::parse(query).next().unwrap();
            assert_eq!((&*name, &*value), ("next", *target));
        }
        let longest = format!("/{}", "a".repeat(MAX_BYTES - 1));
        assert!(login_url(&longest).ends_with("aaa"));
        assert_eq!(login_url(&(longest + "a")), "/login");
    }
}
