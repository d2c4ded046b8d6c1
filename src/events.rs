//! The log on standard error: one line for each event.
//!
//! What a visitor sent is quoted, so that it cannot look like an event. Secrets are not logged, because
//! their types cannot be printed. No request waits for the log: a thread of its own writes the lines.
//! When too many wait, further lines are dropped and counted.

use std::env;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::iter;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use log::{Level, LevelFilter, Log, Metadata, Record};

/// At most this many characters of a visitor's value are logged.
const MAX_VALUE_CHARS: usize = 254;

/// At most this many lines wait to be written.
const MAX_WAITING: usize = 2500;

/// How many lines are not written yet.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// How many lines were dropped since the log last said so.
static DROPPED: AtomicUsize = AtomicUsize::new(0);

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
    let is_dated = !is_journal(&out);
    let (lines, arriving) = sync_channel(MAX_WAITING);
    let builder = thread::Builder::new().name("log".to_owned());
    builder.spawn(move || write_lines(&arriving, is_dated, out))?;
    log::set_boxed_logger(Box::new(Logger { is_dated, lines })).map_err(io::Error::other)?;
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

/// A line of the log, with its end.
fn line(is_dated: bool, level: Level, message: &str) -> String {
    if !is_dated {
        return format!("{level} {message}\n");
    }
    let date = humantime::format_rfc3339_millis(SystemTime::now());
    format!("{date} {level} {message}\n")
}

/// Writes lines as they arrive, until the process ends.
fn write_lines(arriving: &Receiver<String>, is_dated: bool, mut out: File) {
    while let Ok(first) = arriving.recv() {
        let lines = iter::once(first).chain(arriving.try_iter());
        let mut batch: Vec<String> = lines.take(MAX_WAITING).collect();
        let taken = batch.len();
        let dropped = DROPPED.swap(0, SeqCst);
        if dropped > 0 {
            let report = format!("log: {dropped} lines were dropped: its reader was slow");
            batch.push(line(is_dated, Level::Warn, &report));
        }
        // If the log cannot be written, there is nowhere to report that; the server goes on.
        let _ = out.write_all(batch.concat().as_bytes());
        WAITING.fetch_sub(taken, SeqCst);
    }
}

/// Sends lines to the thread that writes them.
struct Logger {
    /// Whether lines begin with the date. The journal adds it itself.
    is_dated: bool,
    lines: SyncSender<String>,
}

impl Log for Logger {
    fn enabled(&self, about: &Metadata) -> bool {
        // The database client's other lines contain hashes.
        about.level() <= Level::Warn || about.target().starts_with("doorward")
    }

    fn log(&self, record: &Record) {
        if self.enabled(record.metadata()) {
            WAITING.fetch_add(1, SeqCst);
            let line = line(self.is_dated, record.level(), &message(record));
            if self.lines.try_send(line).is_err() {
                WAITING.fetch_sub(1, SeqCst);
                DROPPED.fetch_add(1, SeqCst);
            }
        }
    }

    /// Waits until every line is written, for a second at most.
    fn flush(&self) {
        let deadline = Instant::now() + FLUSH_TIMEOUT;
        while WAITING.load(SeqCst) > 0 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
    }
}
