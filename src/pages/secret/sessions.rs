//! The list of the member's sessions, and `POST /sessions/end`.

use maud::{Markup, html};
use rouille::Response;

use crate::error::Error;
use crate::events::event;
use crate::pages::login::AFTER_LOGIN;
use crate::pages::{time, user_agent};
use crate::sessions::{Flash, Session, SessionSummary, Which};
use crate::visit::Visit;

const ENDED: &str = "That browser was logged out.";
const OTHERS_ENDED: &str = "All other browsers were logged out.";
const NO_SUCH_SESSION: &str = "That browser was logged out already.";
const UNKNOWN: &str = "Don't recognise one? Log it out and change your password.";

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

/// The section with the list: this session, then the others by their last use.
pub fn section(visit: &Visit, this: &Session) -> Result<Markup, Error> {
    let sessions = visit.app.sessions.list(this.user.uid)?;
    let (own, others): (Vec<_>, Vec<_>) = sessions.iter().partition(|s| s.number == this.number);
    Ok(html! {
        section aria-labelledby="sessions" {
            h2 #sessions { "Where you are logged in" }
            ul.sessions {
                @for session in own { li { (description(session, true)) } }
                @for session in &others {
                    li {
                        (description(session, false))
                        (end_button(session.number, "Log out"))
                    }
                }
            }
            @if !others.is_empty() {
                p.hint #session-others { (UNKNOWN) }
                (end_button("others", "Log out all others"))
            }
        }
    })
}

fn description(session: &SessionSummary, is_this: bool) -> Markup {
    html! {
        div #{ "session-" (session.number) } {
            strong { (user_agent::readable(&session.user_agent)) }
            " from " (session.ip)
            @if is_this { " " span.this { "this browser" } }
            p.hint { "Last used " (time::ago(session.last_seen_at)) }
            p.hint {
                "Logged in " (time::ago(session.created_at)) " with a password"
                @if let Some(proof) = session.proof { " and a " (proof.as_str()) }
            }
        }
    }
}

fn end_button(session: impl maud::Render, text: &str) -> Markup {
    html! {
        form method="post" action="/sessions/end" {
            button.quiet type="submit" name="session" value=(session)
                aria-describedby={ "session-" (session) } { (text) }
        }
    }
}
