//! The two fields for a new password, in each form that has them.

use super::form::Field;
use crate::accounts::authentication::Authentication;
use crate::accounts::passwords::{NOT_CONFIRMED, Password, PasswordHash};
use crate::accounts::users::Problem;
use crate::error::Error;
use crate::events::event;
use crate::http::form::Form;
use crate::visit::Visit;

/// The two fields for a new password.
pub fn fields<'a>(visit: &Visit, problems: &'a [Problem]) -> [Field<'a>; 2] {
    let min_chars = visit.app.config.password_min;
    [("password", "New password"), ("confirm", "New password again")].map(|(name, label)| {
        Field::new(name, label, "new-password").min_chars(min_chars).problems(problems)
    })
}

/// The password in the two fields, and what is wrong with it. `known` are the visitor's names and email,
/// which a guesser would try. The judging waits in the line of passwords. The form is counted as refused before
/// it, so that simultaneous forms count, too; [`accept`] takes the count back.
///
/// # Errors
/// [`Error::BadRequest`] if a field is missing; [`Error::Throttled`] if this network has sent too many
/// refused forms; [`Error::Busy`] if the turn of the visitor's network does not come within 10 s.
pub fn judge(
    visit: &Visit,
    form: &Form,
    known: [&str; 3],
) -> Result<(Password, Vec<Problem>), Error> {
    let (typed, again) = (form.field("password")?, form.field("confirm")?);
    let password = Password::typed(typed);
    let Authentication { passwords, throttle, .. } = &visit.app.authentication;
    throttle.form(visit.ip).inspect_err(|_| {
        event("form-throttled", visit.ip, &[("path", visit.path)]);
    })?;
    // If it could not be judged, the form was not refused.
    let judged = passwords.weakness(visit.ip, &password, known);
    let weakness = judged.inspect_err(|_| throttle.accept_form(visit.ip))?;
    let weakness = weakness.map(|text| ("password", text));
    let difference = (typed != again).then(|| ("confirm", NOT_CONFIRMED.to_owned()));
    Ok((password, weakness.into_iter().chain(difference).collect()))
}

/// The hash of a password in a form with nothing wrong, which no longer counts as refused.
///
/// # Errors
/// [`Error::Busy`] if the turn of the visitor's network does not come within 10 s.
pub fn accept(visit: &Visit, password: &Password) -> Result<PasswordHash, Error> {
    let Authentication { passwords, throttle, .. } = &visit.app.authentication;
    throttle.accept_form(visit.ip);
    passwords.hash(visit.ip, password)
}
