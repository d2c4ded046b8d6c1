//! Emails: which may have an account, and which are the same.

use email_address::{EmailAddress, Options};

/// An email address's most bytes (RFC 5321, 4.5.3.1.3).
pub const MAX_EMAIL_BYTES: usize = 254;

const EMAIL_MISSING: &str = "Enter your email address.";
const EMAIL_ODD: &str = "Enter an email address like ada@example.org.";
const EMAIL_TOO_LONG: &str = "Use an email address of at most 254 characters.";

/// An email as accounts are found by: Unicode lower case. This is the one place that decides which
/// emails are the same; PostgreSQL's `lower()` means something else in each locale.
pub fn fold(email: &str) -> String {
    email.to_lowercase()
}

/// Why no account can have that email, in a sentence for whoever typed it.
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
