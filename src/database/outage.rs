//! Logs the beginning and the end of an outage of the database, instead of a line for each request that
//! fails meanwhile.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use humantime::format_duration;
use parking_lot::Mutex;
use r2d2::HandleError;
use r2d2::event::{AcquireEvent, CheckoutEvent, HandleEvent, TimeoutEvent};

use crate::error::one_line;

/// How often a lasting outage is logged again.
const REPEAT_EVERY: Duration = Duration::from_mins(1);

/// An outage is logged only if it is still going on this long after the previous one ended. So a
/// database that fails again and again does not fill the log.
const MIN_GAP: Duration = Duration::from_secs(10);

/// The cause in the log if the pool does not name one.
const ALL_TAKEN: &str = "every connection to it is in use";

/// Whether the database is away, according to the pool and to failed requests.
#[derive(Clone)]
pub struct Outage(Arc<(String, Mutex<State>)>);

#[derive(Default)]
struct State {
    away: Option<Away>,
    last_end: Option<Instant>,
}

struct Away {
    since: Instant,
    mentioned: Option<Instant>,
    cause: String,
    failed_requests: u64,
}

impl Outage {
    /// Watches the database at that host or socket.
    pub fn new(place: String) -> Outage {
        Outage(Arc::new((place, Mutex::default())))
    }

    /// Counts a request that failed. `false` if the database is not known to be away.
    pub fn counts_failure(&self) -> bool {
        let mut state = self.0.1.lock();
        let Some(away) = &mut state.away else { return false };
        away.failed_requests += 1;
        true
    }

    /// Records that the database did not answer. The cause is `None` if it is unknown.
    pub fn begin(&self, cause: Option<String>) {
        let line = self.0.1.lock().began(Instant::now(), cause);
        if let Some(line) = line {
            log::error!("database at {}: {line}", self.0.0);
        }
    }

    fn end(&self) {
        let line = self.0.1.lock().ended(Instant::now());
        if let Some(line) = line {
            log::warn!("database at {}: {line}", self.0.0);
        }
    }
}

impl State {
    /// Records the outage, and returns the line to log, if any.
    fn began(&mut self, now: Instant, cause: Option<String>) -> Option<String> {
        let is_calm = self.last_end.is_none_or(|end| now - end >= MIN_GAP);
        let away = self.away.get_or_insert_with(|| Away {
            since: now,
            mentioned: None,
            cause: ALL_TAKEN.to_owned(),
            failed_requests: 0,
        });
        if let Some(cause) = cause {
            away.cause = cause;
        }
        let line = match away.mentioned {
            None if is_calm => format!("no answer: {}", away.cause),
            Some(last) if now - last >= REPEAT_EVERY => {
                format!("still no answer, {}: {}", away.summary(now), away.cause)
            }
            _ => return None,
        };
        away.mentioned = Some(now);
        Some(line)
    }

    fn ended(&mut self, now: Instant) -> Option<String> {
        let away = mem::take(&mut self.away).filter(|away| away.mentioned.is_some())?;
        self.last_end = Some(now);
        Some(format!("answers again, {}", away.summary(now)))
    }
}

impl Away {
    fn summary(&self, now: Instant) -> String {
        let time = format_duration(Duration::from_secs((now - self.since).as_secs()));
        format!("after {time} and {} failed requests", self.failed_requests)
    }
}

impl HandleError<postgres::Error> for Outage {
    fn handle_error(&self, error: postgres::Error) {
        self.begin(Some(one_line(&error)));
    }
}

impl HandleEvent for Outage {
    fn handle_acquire(&self, _: AcquireEvent) {
        self.end();
    }

    // The pool tests a connection before it lends it, so the database has just answered.
    fn handle_checkout(&self, _: CheckoutEvent) {
        self.end();
    }

    fn handle_timeout(&self, _: TimeoutEvent) {
        self.begin(None);
    }
}

impl fmt::Debug for Outage {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "Outage of {}", self.0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_a_line_at_its_beginning_one_a_minute_and_one_at_its_end() {
        let (mut state, begin) = (State::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        let refused = || Some("refused".to_owned());
        assert_eq!(state.ended(at(0)), None, "it was never away");
        let lines: Vec<String> = (0..150).filter_map(|n| state.began(at(n), refused())).collect();
        assert_eq!(lines[0], "no answer: refused");
        assert_eq!(lines[1], "still no answer, after 1m and 0 failed requests: refused");
        assert_eq!(lines.len(), 3);
        let end = "answers again, after 2m 31s and 0 failed requests";
        assert_eq!(state.ended(at(151)).as_deref(), Some(end));
        assert_eq!(state.ended(at(152)), None);
    }

    #[test]
    fn a_database_that_comes_and_goes_does_not_fill_the_log() {
        let (mut state, begin) = (State::default(), Instant::now());
        let mut lines = 0;
        for n in 0..600 {
            let now = begin + n * Duration::from_millis(100);
            lines += usize::from(state.began(now, None).is_some());
            lines += usize::from(state.ended(now).is_some());
        }
        assert!((8..=12).contains(&lines), "{lines} lines in a minute");
    }
}
