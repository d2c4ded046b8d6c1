//! The frame of every page: header, navigation and flash messages.

use maud::{DOCTYPE, Markup, html};
use rouille::Response;

use super::assets::{ICON, STYLE};
use crate::sessions::Flash;
use crate::visit::Visit;

/// A page with a title, the messages that wait for the visitor, and the pieces of content.
pub fn page(visit: &mut Visit, title: &str, content: &[Markup]) -> Response {
    let site = &visit.app.config.site_name;
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · " (site) }
                link rel="stylesheet" href=(*STYLE);
                link rel="icon" type="image/svg+xml" href=(*ICON);
            }
            // The style sheet draws a door: closed for strangers, open for members.
            body.member[visit.member.is_some()] {
                a.skip href="#main" { "Skip to the content" }
                header {
                    a.site href="/" { (site) }
                    (navigation(visit))
                }
                main #main tabindex="-1" {
                    @for flash in visit.take_flashes() {
                        @match flash {
                            Flash::Notice(text) => p.flash.notice role="status" { (text) }
                            Flash::Alert(text) => p.flash.alert role="alert" { (text) }
                        }
                    }
                    @for piece in content { (piece) }
                }
            }
        }
    };
    Response::html(markup.into_string())
}

/// A person's name in a sentence. A name that is written from right to left would reorder the punctuation
/// beside it, so `bdi` isolates any name that is not ASCII.
pub fn name(name: &str) -> Markup {
    html! { @if name.is_ascii() { (name) } @else { bdi { (name) } } }
}

fn navigation(visit: &Visit) -> Markup {
    let is_stranger = visit.looked_up && visit.member.is_none();
    let links = [
        ("/", "Home", true),
        ("/secret", "Secret", true),
        ("/register", "Register", is_stranger && visit.app.may_register()),
        ("/login", "Log in", is_stranger),
    ];
    html! {
        nav aria-label="Main" {
            ul {
                @for (path, text, _) in links.iter().filter(|(.., is_shown)| *is_shown) {
                    li { a href=(path) aria-current=[(visit.path == *path).then_some("page")] { (text) } }
                }
                @if visit.member.is_some() {
                    li {
                        form method="post" action="/logout" {
                            button.quiet type="submit" { "Log out" }
                        }
                    }
                }
            }
        }
    }
}
