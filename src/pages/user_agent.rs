//! What a browser is called in the list of sessions.

/// Signs in a `User-Agent` header, and the browsers that they stand for. The order matters, because browsers
/// also name other browsers: Edge names Chrome, and Chrome names Safari.
const BROWSERS: [(&str, &str); 9] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("Chrome", "Chrome"),
    ("CriOS", "Chrome"),
    ("Safari", "Safari"),
    ("curl", "curl"),
];

/// The same for systems: Android names Linux, and an iPhone a Mac.
const SYSTEMS: [(&str, &str); 7] = [
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Mac OS", "a Mac"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
];

/// A readable name for the browser and system in a `User-Agent` header: "Firefox on Linux".
pub fn readable(user_agent: &str) -> String {
    let first = |names: &[(&str, &'static str)]| {
        names.iter().find(|(sign, _)| user_agent.contains(sign)).map(|(_, name)| *name)
    };
    match (first(&BROWSERS), first(&SYSTEMS)) {
        (browser, Some(system)) => format!("{} on {system}", browser.unwrap_or("A browser")),
        (browser, None) => browser.unwrap_or("An unknown browser").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn browsers_that_name_other_browsers_are_called_by_their_own_name() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36";
        let iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605 Version/17 Safari/604";
        for (user_agent, expected) in [
            (chrome, "Chrome on Linux"),
            (&[chrome, " Edg/120.0"].concat(), "Edge on Linux"),
            (iphone, "Safari on iPhone"),
            ("Mozilla/5.0 (Android 14; Mobile; rv:120.0) Firefox/120.0", "Firefox on Android"),
            ("curl/8.4.0", "curl"),
            ("Mozilla/5.0 (Windows NT 10.0)", "A browser on Windows"),
            ("", "An unknown browser"),
        ] {
            assert_eq!(readable(user_agent), expected);
        }
    }
}
