//! Responses for programs: a reverse proxy that asks who a visitor is, and a monitor.

use rouille::Response;

use crate::error::Error;
use crate::http::forward_auth;
use crate::sessions::Session;
use crate::visit::Visit;

/// `GET /healthz`: `ok` if the database answers.
pub fn health(visit: &mut Visit) -> Result<Response, Error> {
    visit.app.database.ping()?;
    Ok(Response::text("ok\n"))
}

/// `GET /auth`: tells a reverse proxy whether to let a visitor through.
pub fn auth(visit: &mut Visit) -> Result<Response, Error> {
    Ok(match &visit.member {
        Some(Session { user, .. }) => forward_auth::allow(&user.email, &user.full_name()),
        None => forward_auth::deny(visit.request),
    })
}
