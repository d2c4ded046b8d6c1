//! The pages for requests that the listener refuses before any handler sees them.

use std::collections::BTreeMap;

use maud::{DOCTYPE, html};

use super::layout;
use crate::config::Config;

/// Why the listener refuses a request: the status, a title, and what a visitor can do about it.
const REFUSALS: [(u16, &str, &str); 9] = [
    (400, "We could not read that", "Load the page again. If it stays so, try another browser."),
    (408, "That took too long", "Check your connection, and try again."),
    (413, "That is too large", "Go back, and shorten what you typed."),
    (414, "That address is too long", "Start from the home page."),
    (417, "We cannot do that", "Start from the home page."),
    (431, "Your browser sends too much", "Delete the cookies of this site, and try again."),
    (501, "We cannot do that", "Start from the home page."),
    (503, "We cannot answer right now", "Too many are here at once. Try again in a minute."),
    (505, "We cannot read that", "Try another browser."),
];

/// Each page by its status. No visitor is known yet, so they have no navigation.
pub fn pages(config: &Config) -> BTreeMap<u16, String> {
    let page = |(status, title, advice)| {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                (layout::head(title, config))
                body {
                    header { a.site href="/" { (config.site_name) } }
                    main {
                        h1 { (title) }
                        p { (advice) }
                        p.actions { a.button.second href="/" { "Go to the home page" } }
                    }
                    (layout::footer(config))
                }
            }
        };
        (status, page.into_string())
    };
    REFUSALS.map(page).into()
}
