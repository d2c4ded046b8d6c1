//! Reads a form that a browser sent, and refuses what no browser would send.

use std::collections::HashMap;
use std::io::Read;

use percent_encoding::percent_decode;
use rouille::Request;

use crate::error::Error;

const FORM: &str = "application/x-www-form-urlencoded";

/// The fields of a form. Each name is unique, and no value contains a NUL.
pub struct Form(HashMap<String, String>);

impl Form {
    /// Reads the form in a request's body of at most `max_bytes`.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a longer body, [`Error::NotAForm`] for another content type,
    /// [`Error::BadRequest`] for a repeated field, a NUL, or bytes that are not UTF-8.
    pub fn read(request: &Request, max_bytes: usize) -> Result<Form, Error> {
        let content_type = request.header("Content-Type").unwrap_or(FORM);
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case(FORM) {
            return Err(Error::NotAForm);
        }
        let mut body = Vec::new();
        if let Some(data) = request.data() {
            let read = data.take((max_bytes as u64).saturating_add(1)).read_to_end(&mut body);
            read.map_err(|error| Error::BadRequest(format!("the body cannot be read: {error}")))?;
        }
        if body.len() > max_bytes {
            return Err(Error::TooLarge);
        }
        // The parser below replaces invalid UTF-8, which would change a password. The separators are
        // ASCII, so one check of the whole body covers each field.
        if !percent_decode(&body).decode_utf8().is_ok_and(|text| !text.contains('\0')) {
            return Err(Error::BadRequest("the form has a NUL in it or is not UTF-8".to_owned()));
        }
        let fields: HashMap<_, _> = form_urlencoded::parse(&body).into_owned().collect();
        if fields.len() < form_urlencoded::parse(&body).count() {
            return Err(Error::BadRequest("a field is there twice".to_owned()));
        }
        Ok(Form(fields))
    }

    /// A field's value.
    ///
    /// # Errors
    /// [`Error::BadRequest`] if the form has no such field.
    pub fn field(&self, name: &str) -> Result<&str, Error> {
        self.optional(name).ok_or_else(|| Error::BadRequest(format!("field {name:?} is missing")))
    }

    /// A field's value; `None` if it is missing. Browsers do not send a checkbox that is not ticked.
    pub fn optional(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}
