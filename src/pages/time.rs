//! Times and durations in words.

use std::time::{Duration, SystemTime};

use maud::{Markup, html};

const UNITS: [(u64, &str); 4] = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];

/// A duration in the largest unit that it is a multiple of: "30 days", "90 minutes".
pub fn exactly(time: Duration) -> String {
    let seconds = time.as_secs();
    let is_whole = |unit: &&(u64, &str)| seconds >= unit.0 && seconds.is_multiple_of(unit.0);
    let (unit, name) = UNITS.iter().find(is_whole).copied().unwrap_or((1, "second"));
    count(seconds / unit, name)
}

/// How long somebody has to wait, never too short: "12 minutes".
pub fn until(time: Duration) -> String {
    let seconds = time.as_secs() + 1;
    if seconds <= 90 { count(seconds, "second") } else { count(seconds.div_ceil(60), "minute") }
}

/// How long ago a moment was, and beside it the moment itself: "3 minutes ago (2026-11-27 18:45 UTC)".
pub fn ago(moment: SystemTime) -> Markup {
    let seconds = moment.elapsed().unwrap_or_default().as_secs();
    let unit = UNITS.iter().find(|(unit, _)| seconds >= *unit && *unit >= 60);
    html! {
        @match unit {
            Some((unit, name)) => { (count(seconds / unit, name)) " ago" }
            None => "just now"
        }
        " (" (utc(moment)) ")"
    }
}

/// A moment in UTC, to the minute.
pub fn utc(moment: SystemTime) -> Markup {
    let rfc3339 = humantime::format_rfc3339_seconds(moment).to_string();
    let (day, clock) = rfc3339.split_once('T').unwrap_or_default();
    html! { time datetime=(rfc3339) { (day) " " (clock.get(..5).unwrap_or_default()) " UTC" } }
}

/// The day of a moment in UTC.
pub fn day(moment: SystemTime) -> Markup {
    let rfc3339 = humantime::format_rfc3339_seconds(moment).to_string();
    let day = rfc3339.split('T').next().unwrap_or_default();
    html! { time datetime=(day) { (day) } }
}

/// A number of things: "1 byte", "2 bytes".
pub fn count(number: u64, name: &str) -> String {
    format!("{number} {name}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_in_the_unit_that_fits() {
        let minutes = |n| Duration::from_mins(n);
        for (time, expected) in [(60 * 24 * 30, "30 days"), (90, "90 minutes"), (60, "1 hour")] {
            assert_eq!(exactly(minutes(time)), expected);
        }
        assert_eq!(until(Duration::ZERO), "1 second");
        assert_eq!(until(minutes(2)), "3 minutes");
    }

    #[test]
    fn a_moment_is_told_in_words_and_in_utc() {
        let told = |seconds| ago(SystemTime::now() - Duration::from_secs(seconds)).into_string();
        assert!(told(0).starts_with("just now (<time"), "{}", told(0));
        assert!(told(200).starts_with("3 minutes ago (<time"), "{}", told(200));
        assert!(told(90_000).starts_with("1 day ago (<time"), "{}", told(90_000));
    }
}
