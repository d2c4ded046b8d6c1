//! The log on standard error: one line for each event.
//!
//! What a visitor sent is quoted, so that it cannot look like an event. Secrets are not logged, because
//! their types cannot be printed. No request waits for the log: a thread of its own writes the lines.
//! When its buffer is full, further lines are dropped and counted.

use std::env;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::mem;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use log::{Level, LevelFilter, Log, Metadata, Record};
use parking_lot::{Condvar, Mutex};

/// At most this many characters of a visitor's value are logged.
const MAX_VALUE_CHARS: usize = 254;

/// The size of the buffer for lines that wait to be written.
const MAX_WAITING_BYTES: usize = 256 * 1024;

/// The writer's memory shrinks to this size after a flood.
const KEPT_BYTES: usize = 16 * 1024;

/// How long the process waits for the last lines to be written before it ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Starts the log. `RUST_LOG` sets the level. Before the process ends, [`Log::flush`] must be called, or
/// the last lines are lost.
///
/// # Errors
/// If standard error is closed, or no thread can be started.
pub fn start_log() -> io::Result<()> {
    // Not `io::stderr`: while a write to it is blocked, it stays locked for all other threads.
    let out = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let waiting = Mutex::default();
    let queue = Arc::new(Queue { is_dated: !is_journal(&out), waiting, changed: Condvar::new() });
    let writer = Arc::clone(&queue);
    thread::Builder::new().name("log".to_owned()).spawn(move || writer.write_to(out))?;
    log::set_boxed_logger(Box::new(queue)).map_err(io::Error::other)?;
    let level = env::var("RUST_LOG").ok().and_then(|level| level.parse().ok());
    log::set_max_level(level.unwrap_or(LevelFilter::Info));
    std::panic::set_hook(Box::new(|panic| log::error!("panic: {:?}", panic.to_string())));
    Ok(())
}

/// Logs a security event (OWASP ASVS 5.0, 16.3): `event=… address=…`, then the other values, quoted and
/// escaped.
pub fn event(name: &str, address: IpAddr, values: &[(&str, &str)]) {
    let mut line = format!("event={name} address={address}");
    for (key, value) in values {
        let _ = write!(line, " {key}={}", quoted(value));
    }
    log::info!("{line}");
}

/// Quotes a visitor's value for the log: escapes quotes and control characters, and truncates it.
pub(crate) fn quoted(value: &str) -> String {
    let end = value.char_indices().nth(MAX_VALUE_CHARS).map_or(value.len(), |(end, _)| end);
    format!("{:?}", &value[..end])
}

/// A message for the log. Only this file may write `event=` outside quotes. Any other message that contains
/// it, or a control character, is quoted as a whole: a library's message may repeat a visitor's value.
fn message(record: &Record) -> String {
    let text = record.args().to_string();
    let is_event = record.target() == module_path!();
    let is_harmless = !text.contains(char::is_control) && !text.contains("event=");
    if is_event || is_harmless { text } else { format!("{text:?}") }
}

/// Whether systemd connected this file to its journal (systemd.exec(5), `JOURNAL_STREAM`).
fn is_journal(out: &File) -> bool {
    let file = out.metadata().map(|about| format!("{}:{}", about.dev(), about.ino()));
    file.is_ok_and(|file| env::var("JOURNAL_STREAM").is_ok_and(|journal| journal == file))
}

/// The lines that wait to be written. All threads add lines, and one thread writes them.
struct Queue {
    /// Whether lines begin with the date. The journal adds it itself.
    is_dated: bool,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    /// How many lines were dropped after these.
    lost: u64,
    /// Whether the writer is still writing earlier lines.
    is_writing: bool,
}

impl Queue {
    fn line(&self, level: Level, message: &str) -> String {
        if !self.is_dated {
            return format!("{level} {message}\n");
        }
        let date = humantime::format_rfc3339_millis(SystemTime::now());
        format!("{date} {level} {message}\n")
    }

    fn add(&self, line: &[u8]) {
        let mut waiting = self.waiting.lock();
        // After a dropped line, all further lines are dropped, too, until the writer has reported it. So
        // the report stands exactly where lines are missing.
        if waiting.lost > 0 || waiting.lines.len() + line.len() > MAX_WAITING_BYTES {
            waiting.lost += 1;
        } else {
            waiting.lines.extend_from_slice(line);
        }
        self.changed.notify_all();
    }

    /// Writes lines as they arrive, until the process ends.
    fn write_to(&self, mut out: File) {
        let mut lines = Vec::new();
        loop {
            let mut waiting = self.waiting.lock();
            waiting.is_writing = false;
            self.changed.notify_all();
            self.changed.wait_while(&mut waiting, |it| it.lines.is_empty() && it.lost == 0);
            waiting.is_writing = true;
            mem::swap(&mut lines, &mut waiting.lines);
            let lost = mem::take(&mut waiting.lost);
            drop(waiting);
            if lost > 0 {
                let report = format!("log: {lost} lines were dropped here: its reader was slow");
                lines.extend_from_slice(self.line(Level::Warn, &report).as_bytes());
            }
            // If the log cannot be written, there is nowhere to report that; the server goes on.
            let _ = out.write_all(&lines);
            lines.clear();
            lines.shrink_to(KEPT_BYTES);
        }
    }
}

impl Log for Queue {
    fn enabled(&self, about: &Metadata) -> bool {
        // The database client's other lines contain hashes.
        about.level() <= Level::Warn || about.target().starts_with("doorward")
    }

    fn log(&self, record: &Record) {
        if self.enabled(record.metadata()) {
            self.add(self.line(record.level(), &message(record)).as_bytes());
        }
    }

    /// Waits until every line is written, for a second at most.
    fn flush(&self) {
        let is_busy = |it: &mut Waiting| it.is_writing || !it.lines.is_empty() || it.lost > 0;
        self.changed.wait_while_for(&mut self.waiting.lock(), is_busy, FLUSH_TIMEOUT);
    }
}
