//! The session cookie. No other file writes `Set-Cookie`.
//!
//! In: a request. Out: the session id in its cookie; and the same the other way round.

use std::time::Duration;

use cookie::{Cookie, SameSite};
use rouille::{Request, Response};

use crate::sessions::SessionId;

/// The `__Host-` prefix makes browsers refuse the cookie from anywhere but this host by https
/// (RFC 6265bis, 4.1.3.2), so it is used wherever https is.
fn name(https: bool) -> &'static str {
    if https { "__Host-doorward" } else { "doorward" }
}

/// The session id that a visitor brings. `None` without one the server could have issued.
pub fn read(request: &Request, https: bool) -> Option<SessionId> {
    let headers = request.headers().filter(|(name, _)| name.eq_ignore_ascii_case("Cookie"));
    headers
        .flat_map(|(_, value)| Cookie::split_parse(value))
        .filter_map(Result::ok)
        .find(|cookie| cookie.name() == name(https))
        .and_then(|cookie| SessionId::parse(cookie.value()))
}

/// Gives a visitor a session id, for as long as the browser is open, or for `max_age`.
pub fn set(response: &mut Response, id: &SessionId, https: bool, max_age: Option<Duration>) {
    let mut cookie = Cookie::build((name(https), id.expose()))
        .http_only(true)
        .same_site(SameSite::Lax)
        .path("/")
        .secure(https)
        .build();
    cookie.set_max_age(max_age.and_then(|age| cookie::time::Duration::try_from(age).ok()));
    response.headers.push(("Set-Cookie".into(), cookie.to_string().into()));
}
