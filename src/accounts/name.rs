//! Names of people: which ones an account accepts.

use std::sync::LazyLock;

use regex::Regex;

/// The longest first or last name, in characters.
pub const MAX_NAME_CHARS: usize = 100;

const TOO_LONG: &str = "Use at most 100 characters.";
const ODD: &str = "Use letters, spaces and punctuation only.";

/// A name without characters that are invisible or change the direction of text. With one of them it could
/// look like another name, or change the order of the text around it. After a visible character some are
/// allowed: the two joiners, which Persian and Indian spelling and emoji need, the two variation selectors
/// of emoji, and the letters in emoji of flags.
#[expect(clippy::expect_used, reason = "no input reaches it, and the tests run it")]
static NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)^(
            \p{Zs}
            | [^ \p{Z} \p{Cc} \p{Cf} \p{Default_Ignorable_Code_Point} \u{2800} \u{fff0}-\u{fffb} ]
              [ \u{200c} \u{200d} \u{fe0e} \u{fe0f} \u{e0020}-\u{e007f} ]*
        )*$",
    )
    .expect("a valid pattern")
});

/// Why a name is not accepted, in a sentence for the visitor. `None` if it is. `label` is "first name" or
/// "last name".
pub fn problem(name: &str, label: &str) -> Option<String> {
    if name.is_empty() {
        Some(format!("Enter your {label}."))
    } else if name.chars().count() > MAX_NAME_CHARS {
        Some(TOO_LONG.to_owned())
    } else {
        (!NAME.is_match(name)).then(|| ODD.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_people_pass_and_names_that_hide_something_do_not() {
        let persian = "می\u{200c}خواهم";
        let england = "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}";
        for name in
            ["Ada", "Nguyễn Văn", "O'Brien-Smith", persian, "👩\u{200d}🚀", "❤\u{fe0f}", england]
        {
            assert!(NAME.is_match(name), "{name:?}");
        }
        for name in ["<b>", "R2-D2", "علي", "山田"] {
            assert_eq!(problem(name, "first name"), None, "{name:?}");
        }
        let odd = [
            "\u{202e}adA",
            "A\u{200b}da",
            "\u{200d}",
            "\u{200c}\u{200d}",
            "A\u{2066}",
            "A\0",
            "\u{3164}",
            "A \u{200d}da",
            "A\u{2028}da",
            "\u{ad}",
            "\u{2800}",
        ];
        for name in odd {
            assert_eq!(problem(name, "first name").as_deref(), Some(ODD), "{name:?}");
        }
    }
}
