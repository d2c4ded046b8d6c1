//! `/secret`, and `/download/…`, `/password` and `/sessions/end` behind it: the members' files, the
//! password, and where one is logged in.
//!
//! In: a [`Session`], so strangers never get here. Out: the page, a file, or a redirect back to the
//! page. It is the one most asked for, so its pieces are handed on and not copied together.

use std::time::SystemTime;

use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rouille::{Request, Response, ResponseBody};

use super::form::{Problem, count_form, field, new_password, new_password_fields, summary, title};
use super::{layout, login};
use crate::authentication::authenticate;
use crate::events::event;
use crate::files::{self, CHEAT_SHEET};
use crate::http::headers;
use crate::passwords::Password;
use crate::sessions::{Flash, Listed, Session, Which};
use crate::users;
use crate::visit::Visit;
use crate::{App, Error};

const PASSWORD_CHANGED: &str = "Your password was changed. Every other session was ended.";
const WRONG_PASSWORD: &str = "That is not your current password.";
const SESSION_ENDED: &str = "The session was ended.";
const OTHERS_ENDED: &str = "All other sessions were ended.";
const NO_SUCH_SESSION: &str = "That session had ended already.";
const NO_FILES: &str = "There are no files yet.";
const UNKNOWN_SESSION: &str = "One you do not know? End it, and change your password.";

/// `GET /secret`.
pub fn show(
    app: &App,
    visit: &mut Visit,
    _: &Request,
    session: &Session,
) -> Result<Response, Error> {
    page(app, visit, session, &[])
}

/// `GET /download/{name}`.
pub fn download(app: &App, visit: &mut Visit, _: &Request, _: &Session) -> Result<Response, Error> {
    let name = visit.path.strip_prefix("/download/").unwrap_or_default();
    let name = percent_decode_str(name).decode_utf8().map_err(|_| Error::NotFound)?;
    let body = match &app.config.files {
        Some(folder) => files::open(folder, &name)?.map(ResponseBody::from_file),
        None => (name == CHEAT_SHEET.0).then(|| ResponseBody::from_string(CHEAT_SHEET.1)),
    };
    let data = body.ok_or(Error::NotFound)?;
    Ok(Response { status_code: 200, headers: headers::attachment(&name), data, upgrade: None })
}

/// `POST /password`.
pub fn change_password(
    app: &App,
    visit: &mut Visit,
    request: &Request,
    session: &Session,
) -> Result<Response, Error> {
    let form = app.form(request)?;
    let current = Password::typed(form.field("current_password")?);
    let known = &session.user;
    // As at a login: whoever stole a session has no more guesses here than there.
    let found = authenticate(app, &known.email, &current, visit.ip)?;
    count_form(app, visit)?;
    let (password, mut problems) =
        new_password(app, visit.ip, &form, &[&known.first_name, &known.last_name, &known.email])?;
    if found.is_none() {
        problems.insert(0, ("current_password", WRONG_PASSWORD.to_owned()));
    }
    let Some((user, old)) = found.filter(|_| problems.is_empty()) else {
        return Ok(page(app, visit, session, &problems)?.with_status_code(422));
    };
    app.throttle.accept_form(visit.ip);
    let new = app.passwords.hash(visit.ip, &password)?;
    let ended = users::set_password(&app.database, user.uid, &old, &new)?;
    app.sessions.forget(user.uid, &ended.ok_or(Error::LoginRequired)?);
    event("password-changed", visit.ip, &[("email", &user.email)]);
    visit.log_in(app, user, &new, session.remembered)?;
    visit.redirect(app, login::AFTER_LOGIN, Flash::Notice(PASSWORD_CHANGED.to_owned()))
}

/// `POST /sessions/end`.
pub fn end_session(
    app: &App,
    visit: &mut Visit,
    request: &Request,
    session: &Session,
) -> Result<Response, Error> {
    let form = app.form(request)?;
    let wanted = form.field("session")?;
    let which = match wanted.parse::<i64>() {
        Ok(number) => Which::Only(number),
        Err(_) if wanted == "others" => Which::AllBut(session.number),
        Err(_) => return Err(Error::BadRequest(format!("field \"session\" is {wanted:?}"))),
    };
    let ended = app.sessions.end(session.user.uid, which)?;
    let count = ended.to_string();
    event("sessions-ended", visit.ip, &[("email", &session.user.email), ("count", &count)]);
    let flash = match which {
        Which::Only(_) if ended == 0 => Flash::Alert(NO_SUCH_SESSION.to_owned()),
        Which::Only(_) => Flash::Notice(SESSION_ENDED.to_owned()),
        _ => Flash::Notice(OTHERS_ENDED.to_owned()),
    };
    visit.redirect(app, login::AFTER_LOGIN, flash)
}

fn page(
    app: &App,
    visit: &mut Visit,
    session: &Session,
    problems: &[Problem],
) -> Result<Response, Error> {
    let files = match &app.config.files {
        Some(folder) => files::list(folder)?,
        None => vec![(CHEAT_SHEET.0.to_owned(), CHEAT_SHEET.1.len() as u64)],
    };
    let sessions = app.sessions.list(session.user.uid)?;
    let content = [
        summary(problems),
        html! { h1 { "Hello, " (layout::name(&session.user.full_name())) "!" } },
        file_list(&files),
        password_form(session, problems),
        session_list(&sessions, session.number),
    ];
    Ok(layout::page(app, visit, &title("Secret", problems), &content))
}

fn file_list(files: &[(String, u64)]) -> Markup {
    html! {
        section aria-labelledby="files" {
            h2 #files { "Files" }
            @if files.is_empty() { p { (NO_FILES) } }
            ul.files {
                @for (name, bytes) in files {
                    li {
                        a href={ "/download/" (utf8_percent_encode(name, NON_ALPHANUMERIC)) } { (name) }
                        " " span.hint { (size(*bytes)) }
                    }
                }
            }
        }
    }
}

fn password_form(session: &Session, problems: &[Problem]) -> Markup {
    html! {
        section aria-labelledby="change-password" {
            h2 #change-password { "Password" }
            form method="post" action="/password" {
                // Tells password managers whose password this is.
                input type="email" name="username" value=(session.user.email)
                    autocomplete="username" hidden;
                (field("current_password", "Current password", "current-password", "", problems))
                @for field in new_password_fields(problems) { (field) }
                button type="submit" { "Change password" }
            }
        }
    }
}

fn session_list(sessions: &[Listed], this: i64) -> Markup {
    html! {
        section aria-labelledby="sessions" {
            h2 #sessions { "Your sessions" }
            ul.sessions {
                @for session in sessions {
                    li {
                        div #{ "session-" (session.number) } {
                            strong { (browser(&session.user_agent)) }
                            " from " (session.ip)
                            @if session.number == this { " " span.this { "this one" } }
                            p.hint {
                                "Began " (time(session.created_at))
                                ", last seen " (time(session.last_seen_at))
                            }
                        }
                        @if session.number != this { (end_button(session.number, "End")) }
                    }
                }
            }
            @if sessions.len() > 1 {
                p.hint #session-others { (UNKNOWN_SESSION) }
                (end_button("others", "End all other sessions"))
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

/// A time in UTC, to the minute.
fn time(time: SystemTime) -> Markup {
    let rfc3339 = humantime::format_rfc3339_seconds(time).to_string();
    let (day, clock) = rfc3339.split_once('T').unwrap_or_default();
    html! { time datetime=(rfc3339) { (day) " " (clock.get(..5).unwrap_or_default()) " UTC" } }
}

fn size(bytes: u64) -> Markup {
    match bytes {
        0..1_000 => html! { (bytes) " bytes" },
        1_000..1_000_000 => html! { (bytes.div_ceil(1_000)) " kB" },
        _ => html! { (bytes.div_ceil(1_000_000)) " MB" },
    }
}

/// What people call a browser that calls itself `user_agent`. Browsers name those they are like,
/// too, so the order matters.
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
