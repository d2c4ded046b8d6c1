//! Email addresses: which are valid, and which belong to the same account.

use email_address::{EmailAddress, Options};

/// The longest email address, in bytes (RFC 5321, 4.5.3.1.3).
pub const MAX_EMAIL_BYTES: usize = 254;

const EMAIL_MISSING: &str = "Enter your email address.";
const EMAIL_ODD: &str = "Enter an email address like ada@example.org.";
const EMAIL_TOO_LONG: &str = "Use an email address of at most 254 characters.";

/// The email in Unicode lower case. Two emails belong to the same account if this function returns the
/// same for both. PostgreSQL's `lower()` is not used, because its result depends on the locale.
pub fn fold(email: &str) -> String {
    email.to_lowercase()
}

/// Why an email is invalid, in a sentence for the visitor. `None` if it is valid.
pub fn problem(email: &str) -> Option<&'static str> {
    let options = Options::default().without_display_text().without_domain_literal();
    if email.is_empty() {
        Some(EMAIL_MISSING)
    } else if email.len() > MAX_EMAIL_BYTES {
        Some(EMAIL_TOO_LONG)
    } else {
        EmailAddress::parse_with_options(email, options).is_err().then_some(EMAIL_ODD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emails_are_folded_as_unicode_says_and_folding_twice_changes_nothing() {
        let folded = [
            ("Ada@Example.ORG", "ada@example.org"),
            ("ÉVA@example.org", "éva@example.org"),
            ("İ@example.org", "i\u{307}@example.org"),
            ("STRASSE@straße.de", "strasse@straße.de"),
        ];
        for (typed, expected) in folded {
            assert_eq!(fold(typed), expected);
            assert_eq!(fold(expected), expected);
        }
    }
}
