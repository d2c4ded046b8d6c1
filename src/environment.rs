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
    let level = env::var("RUST_LOG").unwrap_or_default();
    if !level.is_empty() && level.parse::<LevelFilter>().is_err() {
        let levels = "error, warn, info, debug or trace";
        warnings.push(format!("RUST_LOG: {level:?} is no level: write {levels}"));
    }
    warnings
}

fn unknown_setting(name: &str, known: &[String]) -> String {
    let near = known.iter().map(|known| (levenshtein(name, known), known));
    match near.filter(|(typos, _)| *typos <= MAX_TYPOS).min() {
        Some((_, nearest)) => format!("{name} is no setting and has no effect; {nearest} is one"),
        None => format!("{name} is no setting and has no effect; `doorward --help` lists all"),
    }
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
}
