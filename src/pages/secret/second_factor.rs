//! The section that sets the second factor up and turns it off, and the three forms in it.

use std::time::{Duration, SystemTime};

use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use qrcodegen::{Mask, QrCode, QrCodeEcc, QrSegment, Version};
use rouille::Response;

use super::page;
use crate::accounts::mail::Letter;
use crate::accounts::second_factor::{self, Key, RecoveryCodes};
use crate::accounts::users::Problem;
use crate::config::SecondFactor;
use crate::error::Error;
use crate::http::forward_auth;
use crate::pages::form::{Field, summary};
use crate::pages::login::AFTER_LOGIN;
use crate::sessions::{Flash, Session};
use crate::visit::Visit;

const OFF: &str = "Off: your password alone logs you in. With a second factor, a login also needs a code \
     from an app on your phone, so that a stolen password is worth nothing.";
const WRONG: &str = "This is not the code that the app shows now. If the next one is refused, too, \
     check the clock of your phone.";
const ON: &str = "The second factor is on. Every other browser was logged out.";
const KEEP_CODES: &str = "Print or copy these recovery codes now: they are not shown again. Each logs you in \
     once without the app.";
const FEW_CODES: &str =
    "Few recovery codes are left. For new ones, turn the second factor off and on again.";
const TURNED_OFF: &str = "The second factor is off.";
const TOO_LATE: &str = "The set-up took too long. Please begin again.";
const REQUIRED: &str = "This site requires a second factor: a code from an app on your phone. Set it up, \
     and then use the site.";

/// The id of the section's heading, and the way to it.
const SECTION: &str = "second-factor";
const HERE: &str = "/secret#second-factor";

/// Where a member may go who still has to set up a required second factor, beside this section's forms.
const SET_UP_PATHS: [&str; 3] = ["/secret", "/login/code", "/logout"];

/// How long a set-up may take, and how long new recovery codes wait to be shown.
const SET_UP_TIME: Duration = Duration::from_mins(30);

/// With so many recovery codes or fewer, the section warns.
const FEW: i32 = 3;

/// `POST /second-factor/new`. A set-up that has begun goes on with the same key.
pub fn begin(visit: &mut Visit, session: &Session) -> Result<Response, Error> {
    if session.recovery_codes.is_none() && visit.kept::<Key>().is_none() {
        visit.keep(Key::random()?, SET_UP_TIME)?;
    }
    Ok(Response::redirect_303(HERE))
}

/// `POST /second-factor/confirm`.
pub fn confirm(visit: &mut Visit, session: &Session) -> Result<Response, Error> {
    let form = visit.form()?;
    let Some(key) = visit.kept::<Key>() else {
        // A second click finds the second factor on.
        if session.recovery_codes.is_none() {
            visit.flash(Flash::Alert(TOO_LATE.to_owned()))?;
        }
        return Ok(Response::redirect_303(HERE));
    };
    let Some(step) = key.step_of(form.field("code")?, SystemTime::now()) else {
        let section = section(visit, session, &[("code", WRONG.to_owned())]);
        return Ok(page(visit, session, Some((SECTION, section)))?.with_status_code(422));
    };
    if let Some(codes) = second_factor::turn_on(&visit.app.sessions, session, &key, step)? {
        visit.keep(codes, SET_UP_TIME)?;
        visit.event("second-factor-on", &session.user.email);
        visit.app.mail.tell(&session.user.email, Letter::changed("second factor"));
    }
    visit.take_kept::<Key>();
    visit.refresh()?;
    Ok(Response::redirect_303(HERE))
}

/// `POST /second-factor/off`, and with `cancel`, the end of a set-up: it must not turn off what another tab has
/// turned on meanwhile.
pub fn turn_off(visit: &mut Visit, session: &Session) -> Result<Response, Error> {
    visit.take_kept::<Key>();
    if visit.form()?.optional("cancel").is_some() {
        return Ok(Response::redirect_303(HERE));
    }
    if second_factor::turn_off(&visit.app.database, session.user.uid)? {
        visit.event("second-factor-off", &session.user.email);
        visit.app.mail.tell(&session.user.email, Letter::changed("second factor"));
    }
    visit.refresh()?;
    visit.redirect(AFTER_LOGIN, Flash::Notice(TURNED_OFF.to_owned()))
}

/// Whether the visitor is a member without the second factor that the settings require.
pub fn is_missing(visit: &Visit) -> bool {
    let has_none = visit.member.as_ref().is_some_and(|it| it.recovery_codes.is_none());
    has_none && visit.app.config.second_factor == SecondFactor::Required
}

/// What such a member gets instead of a page. `None` for everybody else, and for what a set-up needs. Of
/// the members' page, such a member sees this section alone.
pub fn instead(visit: &Visit) -> Result<Option<Response>, Error> {
    let is_set_up = match visit.path {
        "/login" => visit.request.method() == "POST" || visit.query("again").is_some(),
        path => path.starts_with("/second-factor/") || SET_UP_PATHS.contains(&path),
    };
    if is_set_up || !is_missing(visit) {
        Ok(None)
    } else if visit.path == "/auth" {
        Ok(Some(forward_auth::deny(visit.request)))
    } else {
        Ok(Some(Response::redirect_303(AFTER_LOGIN)))
    }
}

/// The section, with what is wrong with the code.
pub fn section(visit: &Visit, session: &Session, problems: &[Problem]) -> Markup {
    html! {
        section aria-labelledby=(SECTION) {
            h2 id=(SECTION) { "Second factor" }
            @if let Some(left) = session.recovery_codes { (on(left, visit.take_kept().as_ref())) }
            @else if let Some(key) = visit.kept::<Key>() { (set_up(visit, session, &key, problems)) }
            @else {
                p { (if is_missing(visit) { REQUIRED } else { OFF }) }
                (button("/second-factor/new", "Set up the second factor"))
            }
        }
    }
}

fn set_up(visit: &Visit, session: &Session, key: &Key, problems: &[Problem]) -> Markup {
    let text = key.expose();
    let groups: Vec<&str> =
        (0..text.len()).step_by(4).map(|start| &text[start..start + 4]).collect();
    let [site, email] = [&visit.app.config.site_name, &*session.user.email]
        .map(|text| utf8_percent_encode(text, NON_ALPHANUMERIC));
    let url = format!("otpauth://totp/{site}:{email}?secret={text}&issuer={site}");
    let field = [Field::new("code", "Code from the app", "one-time-code").problems(problems)];
    html! {
        (summary(&field, problems))
        p {
            "Scan this with an authenticator app, or " a href=(url) { "open the app on this device" } ":"
        }
        (qr_code(&url))
        p { "Or type this key into the app: " code { (groups.join(" ")) } }
        form method="post" action="/second-factor/confirm" {
            @for field in &field { (field) }
            button type="submit" { "Turn it on" }
        }
        form.actions method="post" action="/second-factor/off" {
            button.quiet type="submit" name="cancel" value="yes" { "Cancel the set-up" }
        }
    }
}

fn on(left: i32, new_codes: Option<&RecoveryCodes>) -> Markup {
    html! {
        @if let Some(codes) = new_codes {
            p.flash.notice role="status" { (ON) }
            p { (KEEP_CODES) }
            pre { (codes.expose()) }
            p.actions { a.button.second href="/secret" { "I have kept them" } }
        } @else {
            p { "On: a login also needs a code from your app. Recovery codes left: " (left) "." }
            @if left <= FEW { p.flash.alert { (FEW_CODES) } }
            (button("/second-factor/off", "Turn off the second factor"))
        }
    }
}

fn button(action: &str, text: &str) -> Markup {
    html! {
        form.actions method="post" action=(action) { button.quiet type="submit" { (text) } }
    }
}

/// A QR code, black on white in the dark, too. Empty if the text is too long for one.
fn qr_code(text: &str) -> Markup {
    // All masks can be read. To look for the best one would take longer than the rest of the page.
    let (segments, mask) = (QrSegment::make_segments(text), Some(Mask::new(0)));
    let (level, least, most) = (QrCodeEcc::Medium, Version::MIN, Version::MAX);
    let code = QrCode::encode_segments_advanced(&segments, level, least, most, mask, true);
    let Ok(code) = code else { return Markup::default() };
    let size = code.size();
    let places = (0..size).flat_map(|y| (0..size).map(move |x| (x, y)));
    let dark = places.filter(|(x, y)| code.get_module(*x, *y));
    // A margin of four squares belongs to the code (ISO/IEC 18004).
    let (from, width) = (-4, size + 8);
    html! {
        svg role="img" aria-label="QR code with the key below" width="240" height="240"
            viewBox={ (from) " " (from) " " (width) " " (width) } shape-rendering="crispEdges" {
            rect x=(from) y=(from) width=(width) height=(width) fill="#fff" {}
            path fill="#000" d={ @for (x, y) in dark { "M" (x) " " (y) "h1v1h-1z" } } {}
        }
    }
}
