//! The list of the member's sessions, and `POST /sessions/end`.

use std::time::SystemTime;

use maud::{Markup, html};
use rouille::Response;

use crate::error::Error;
use crate::events::event;
use crate::pages::login::AFTER_LOGIN;
use crate::sessions::{Flash, Session, Which};
use crate::visit::Visit;

const ENDED: &str = "The session was ended.";
const OTHERS_ENDED: &str = "All other sessions were ended.";
const NO_SUCH_SESSION: &str = "That session had ended already.";
const UNKNOWN: &str = "One you do not know? End it, and change your password.";

/// `POST /sessions/end`.
pub fn end(visit: &mut Visit, session: &Session) -> Result<Response, Error> {
    let form = visit.form()?;
    let wanted = form.field("session")?;
    let which = match wanted.parse::<i64>() {
        Ok(number) => Which::Only(number),
        Err(_) if wanted == "others" => Which::AllBut(session.number),
        Err(_) => return Err(Error::BadRequest(format!("field \"session\" is {wanted:?}"))),
    };
    let ended = visit.app.sessions.end(session.user.uid, which)?;
    let count = ended.to_string();
    event("sessions-ended", visit.ip, &[("email", &session.user.email), ("count", &count)]);
    let flash = match which {
        Which::Only(_) if ended == 0 => Flash::Alert(NO_SUCH_SESSION.to_owned()),
        Which::Only(_) => Flash::Notice(ENDED.to_owned()),
        _ => Flash::Notice(OTHERS_ENDED.to_owned()),
    };
    visit.redirect(AFTER_LOGIN, flash)
}

/// The section with the list.
pub fn section(visit: &Visit, this: &Session) -> Result<Markup, Error> {
    let sessions = visit.app.sessions.list(this.user.uid)?;
    Ok(html! {
        section aria-labelledby="sessions" {
            h2 #sessions { "Your sessions" }
            ul.sessions {
                @for session in sessions.iter() {
                    li {
                        div #{ "session-" (session.number) } {
                            strong { (browser(&session.user_agent)) }
                            " from " (session.ip)
                            @if session.number == this.number { " " span.this { "this one" } }
                            p.hint {
                                "Began " (time(session.created_at))
                                ", last seen " (time(session.last_seen_at))
                            }
                        }
                        @if session.number != this.number { (end_button(session.number, "End")) }
                    }
                }
            }
            @if sessions.len() > 1 {
                p.hint #session-others { (UNKNOWN) }
                (end_button("others", "End all other sessions"))
            }
        }
    })
}

fn end_button(session: impl maud::Render, text: &str) -> Markup {
    html! {
        form method="post" action="/sessions/end" {
            button.quiet type="submit" name="session" value=(session)
                aria-describedby={ "session-" (session) } { (text) }
        }
    }
}

/// A time in UTC, to the minute.
fn time(time: SystemTime) -> Markup {
    let rfc3339 = humantime::format_rfc3339_seconds(time).to_string();
    let (day, clock) = rfc3339.split_once('T').unwrap_or_default();
    html! { time datetime=(rfc3339) { (day) " " (clock.get(..5).unwrap_or_default()) " UTC" } }
}

/// A readable name for the browser and system in a `User-Agent` header. The order matters, because
/// browsers also name other browsers in it: Edge names Chrome, and Chrome names Safari.
fn browser(user_agent: &str) -> Markup {
    let first = |names: &[(&str, &'static str)]| {
        names.iter().find(|(sign, _)| user_agent.contains(sign)).map(|(_, name)| *name)
    };
    let browser = first(&[
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("SamsungBrowser", "Samsung Internet"),
        ("Firefox", "Firefox"),
        ("FxiOS", "Firefox"),
        ("Chrome", "Chrome"),
        ("CriOS", "Chrome"),
        ("Safari", "Safari"),
        ("curl", "curl"),
    ]);
    let system = first(&[
        ("Windows", "Windows"),
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Mac OS", "a Mac"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    html! {
        @match system {
            Some(system) => { (browser.unwrap_or("A browser")) " on " (system) }
            None => { (browser.unwrap_or("An unknown browser")) }
        }
    }
}
