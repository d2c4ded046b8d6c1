//! The frame of every page: header, navigation, flash messages and footer.

use maud::{DOCTYPE, Markup, html};
use rouille::Response;

use super::assets::{ICON, STYLE};
use crate::config::Config;
use crate::sessions::Flash;
use crate::visit::Visit;

/// A page with a title, the messages that wait for the visitor, and the pieces of content. `tab` is the
/// path of the page's link in the navigation; pages without one pass an empty text.
pub fn page(visit: &mut Visit, tab: &str, title: &str, content: &[Markup]) -> Response {
    let config = &visit.app.config;
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            (head(title, config))
            // The style sheet draws a door: closed for strangers, open for members.
            body.member[visit.member.is_some()] {
                a.skip href="#main" { "Skip to the content" }
                header {
                    a.site href="/" { (config.site_name) }
                    (navigation(visit, tab))
                }
                main #main tabindex="-1" {
                    @for flash in visit.take_flashes() { (message(&flash)) }
                    @for piece in content { (piece) }
                }
                (footer(config))
            }
        }
    };
    Response::html(markup.into_string())
}

/// A message in its box.
pub fn message(flash: &Flash) -> Markup {
    html! {
        @match flash {
            Flash::Notice(text) => p.flash.notice role="status" { (text) }
            Flash::Alert(text) => p.flash.alert role="alert" { (text) }
        }
    }
}

/// What a page says of itself to browsers and search engines.
pub fn head(title: &str, config: &Config) -> Markup {
    let site = &config.site_name;
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="description" content={ (title) " of " (site) ", a site for members" };
            title { (title) " · " (site) }
            link rel="stylesheet" href=(*STYLE);
            link rel="icon" type="image/svg+xml" href=(*ICON);
        }
    }
}

/// A person's name in a sentence. A name that is written from right to left would reorder the punctuation
/// beside it, so `bdi` isolates any name that is not ASCII.
pub fn name(name: &str) -> Markup {
    html! { @if name.is_ascii() { (name) } @else { bdi { (name) } } }
}

/// The end of every page.
pub fn footer(config: &Config) -> Markup {
    html! { footer { p { "Something does not work? Ask " (operator(config)) "." } } }
}

/// Whom to ask, in a sentence: a link if the settings say how to reach them.
pub fn operator(config: &Config) -> Markup {
    html! {
        @match &config.contact {
            Some(contact) => a href=(contact) { "whoever runs this site" },
            None => "whoever runs this site",
        }
    }
}

fn navigation(visit: &Visit, tab: &str) -> Markup {
    let is_stranger = visit.looked_up && visit.member.is_none();
    let links = [
        ("/", "Home", true),
        ("/secret", visit.app.config.members_page.as_str(), true),
        ("/register", "Register", is_stranger && visit.app.may_register()),
        ("/login", "Log in", is_stranger),
    ];
    html! {
        nav aria-label="Main" {
            ul {
                @for (path, text, _) in links.iter().filter(|(.., is_shown)| *is_shown) {
                    // Without a `Referer`, a click is never taken for a form: see `login.rs`.
                    li { a href=(path) rel="noreferrer" aria-current=[(tab == *path).then_some("page")] { (text) } }
                }
                @if visit.member.is_some() {
                    li {
                        form method="post" action="/logout" { button type="submit" { "Log out" } }
                    }
                }
            }
        }
    }
}
