//! Warnings about environment variables without effect: misspelt settings, and an invalid `RUST_LOG`.

use std::env;

use log::LevelFilter;
use strsim::levenshtein;

use crate::config;

/// A variable counts as a misspelt setting if at most this many letters differ.
const MAX_TYPOS: usize = 3;

/// A sentence for each variable that seems meant for doorward but has no effect.
pub fn warnings() -> Vec<String> {
    let known = config::variables();
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let unknown = names.filter(|name| name.starts_with("DOORWARD_") && !known.contains(name));
    let mut warnings: Vec<String> = unknown.map(|name| unknown_setting(&name, &known)).collect();
    warnings.sort();
    warnings.extend(env::var("RUST_LOG").ok().and_then(|value| log_level(&value)));
    warnings
}

fn unknown_setting(name: &str, known: &[String]) -> String {
    let near = known.iter().map(|known| (levenshtein(name, known), known));
    match near.filter(|(typos, _)| *typos <= MAX_TYPOS).min() {
        Some((_, nearest)) => format!("{name} is no setting and has no effect; {nearest} is one"),
        None => format!("{name} is no setting and has no effect; `doorward --help` lists all"),
    }
}

/// What is wrong with a value of `RUST_LOG`. `None` if it is fine.
///
/// env_logger takes a word that is not a level for the name of a module, and then logs nothing else.
fn log_level(value: &str) -> Option<String> {
    let is_wrong = |part: &&str| {
        !part.is_empty()
            && !part.contains('=')
            && !part.starts_with("doorward")
            && part.parse::<LevelFilter>().is_err()
    };
    let part = value.split('/').next()?.split(',').map(str::trim).find(is_wrong)?;
    Some(format!("RUST_LOG: {part:?} is no level: write error, warn, info, debug or trace"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_setting_is_named_and_nothing_that_is_far_off() {
        let known = config::variables();
        for (name, end) in [
            ("DOORWARD_LISTN", "; DOORWARD_LISTEN is one"),
            ("DOORWARD_PUBLIC_ULR", "; DOORWARD_PUBLIC_URL is one"),
            ("DOORWARD_MAX_HEADERS_", "; DOORWARD_MAX_HEADERS is one"),
            ("DOORWARD_COLOUR_OF_THE_SKY", "; `doorward --help` lists all"),
        ] {
            let said = unknown_setting(name, &known);
            assert!(said.starts_with(name) && said.ends_with(end), "{said}");
        }
    }

    #[test]
    fn a_level_that_there_is_not_is_named() {
        for fine in ["", "warn", "INFO", "off", "warn,doorward=debug", "debug/regex", "rustls=warn"]
        {
            assert_eq!(log_level(fine), None, "{fine}");
        }
        for wrong in ["loud", "verbose,doorward=debug", "warn, loud"] {
            assert!(log_level(wrong).is_some_and(|said| said.contains("is no level")), "{wrong}");
        }
    }
}
