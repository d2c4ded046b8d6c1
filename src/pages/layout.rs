//! The shell of every page: header, navigation, flash messages.

use maud::{DOCTYPE, Markup, html};
use rouille::Response;

use crate::app::App;
use crate::endpoints::{ICON, STYLE};
use crate::sessions::Flash;
use crate::visit::{Visit, Visitor};

/// A page with that title and content, and the messages that wait for its visitor.
pub fn page(app: &App, visit: &mut Visit, title: &str, content: &Markup) -> Response {
    let flashes = visit.take_flashes(app);
    let site = &app.config.site_name;
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · " (site) }
                link rel="stylesheet" href=(STYLE.path);
                link rel="icon" type="image/svg+xml" href=(ICON.path);
            }
            // The style sheet draws a door: closed for strangers, open for members.
            body.member[visit.user().is_some()] {
                a.skip href="#main" { "Skip to the content" }
                header {
                    a.site href="/" { (site) }
                    (navigation(app, visit))
                }
                main #main tabindex="-1" {
                    @for flash in &flashes { (message(flash)) }
                    (content)
                }
            }
        }
    };
    Response::html(markup.into_string())
}

fn navigation(app: &App, visit: &Visit) -> Markup {
    let link = |path: &str, text: &str| {
        let current = (visit.path == path).then_some("page");
        html! { li { a href=(path) aria-current=[current] { (text) } } }
    };
    html! {
        nav aria-label="Main" {
            ul {
                (link("/", "Home"))
                (link("/secret", "Secret"))
                @match &visit.visitor {
                    Visitor::Unknown => {}
                    Visitor::Stranger => {
                        @if app.is_open() { (link("/register", "Register")) }
                        (link("/login", "Log in"))
                    }
                    Visitor::Member(_) => li {
                        form method="post" action="/logout" {
                            button.quiet type="submit" { "Log out" }
                        }
                    }
                }
            }
        }
    }
}

fn message(flash: &Flash) -> Markup {
    match flash {
        Flash::Notice(text) => html! { p.flash.notice role="status" { (text) } },
        Flash::Alert(text) => html! { p.flash.alert role="alert" { (text) } },
    }
}
