//! The log, on standard error: one line an event.
//!
//! Whatever a visitor sent stands in quotes, so that no line can look like another event's. Secrets
//! never get here: their types cannot be printed. No request waits for whoever reads the log: a
//! thread of its own writes the lines, and lines that find no room are counted instead.

use std::env;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use log::{LevelFilter, Record};
use parking_lot::{Condvar, Mutex};

/// At most this many characters of a value that a visitor typed are logged.
const MAX_VALUE_CHARS: usize = 254;

/// Lines that wait to be written may take this much memory.
const MAX_WAITING_BYTES: usize = 256 * 1024;

/// The memory that the writer keeps for the next lines after a flood.
const KEPT_BYTES: usize = 16 * 1024;

/// How long the end of the process waits for the last lines to be written.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// The running log. Dropping it waits, for a second at most, until every line is written.
#[must_use = "the last lines are lost without it"]
pub struct RunningLog(Arc<Queue>);

/// Starts the log. `RUST_LOG` changes how much it says, by module; the database client stays
/// quiet whatever it says, because its debug lines hold hashes.
///
/// # Errors
/// If standard error is closed, or no thread can be started.
pub fn start_log() -> io::Result<RunningLog> {
    // Not `io::stderr`: a line of ours that cannot be written would lock it for everybody.
    let out = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let is_dated = !is_journal(&out);
    let queue = Arc::new(Queue::default());
    let (waiting, running) = (Arc::clone(&queue), RunningLog(Arc::clone(&queue)));
    thread::Builder::new().name("log".to_owned()).spawn(move || queue.write_to(out, is_dated))?;
    env_logger::Builder::new()
        .filter_level(LevelFilter::Info)
        .parse_default_env()
        .filter_module("postgres", LevelFilter::Warn)
        .filter_module("tokio_postgres", LevelFilter::Warn)
        .filter_module("refinery_core", LevelFilter::Warn)
        .format(move |out, record| out.write_all(line(record, is_dated).as_bytes()))
        .target(env_logger::Target::Pipe(Box::new(Lines(waiting))))
        .init();
    std::panic::set_hook(Box::new(|panic| log::error!("panic: {:?}", panic.to_string())));
    Ok(running)
}

/// Logs a security event (OWASP ASVS 5.0, 16.3): `event=… address=…`, then the other values in
/// quotes, with quotes and control characters in them escaped.
pub fn event(name: &str, address: IpAddr, values: &[(&str, &str)]) {
    let mut line = format!("event={name} address={address}");
    for (key, value) in values {
        let _ = write!(line, " {key}={}", quoted(value));
    }
    log::info!("{line}");
}

/// What a visitor sent, as the log shows it: in quotes, with quotes and control characters in it
/// escaped, and cut if it is long.
pub(crate) fn quoted(value: &str) -> String {
    format!("{:?}", value.chars().take(MAX_VALUE_CHARS).collect::<String>())
}

/// A line of the log, with its date unless the journal has one of its own. Only this file writes
/// `event=` without quotes: any other text with that or a control character in it, such as what a
/// library says of a value, is quoted as a whole.
fn line(record: &Record, is_dated: bool) -> String {
    let mut text = record.args().to_string();
    let is_event = record.target() == module_path!();
    if !is_event && (text.contains("event=") || text.contains(char::is_control)) {
        text = format!("{text:?}");
    }
    dated(&format!("{} {text}\n", record.level()), is_dated)
}

fn dated(line: &str, is_dated: bool) -> String {
    if !is_dated {
        return line.to_owned();
    }
    format!("{} {line}", humantime::format_rfc3339_millis(SystemTime::now()))
}

/// Whether systemd connected this file to its journal (systemd.exec(5), `JOURNAL_STREAM`).
fn is_journal(out: &File) -> bool {
    let file = out.metadata().map(|about| format!("{}:{}", about.dev(), about.ino()));
    file.is_ok_and(|file| env::var("JOURNAL_STREAM").is_ok_and(|journal| journal == file))
}

/// Lines on their way from any thread to the one that writes them.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    /// How many lines found no room after these.
    lost: u64,
    /// Whether the writer is busy with what came before.
    is_writing: bool,
}

impl Queue {
    fn add(&self, line: &[u8]) {
        let mut waiting = self.waiting.lock();
        // Once a line is lost, so are the following until that is said: the gap is in one place.
        if waiting.lost > 0 || waiting.lines.len() + line.len() > MAX_WAITING_BYTES {
            waiting.lost += 1;
        } else {
            waiting.lines.extend_from_slice(line);
        }
        self.changed.notify_all();
    }

    /// Writes lines as they come, for as long as the process lives.
    fn write_to(&self, mut out: File, is_dated: bool) {
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
                let text =
                    format!("WARN log: {lost} lines were dropped here: its reader was slow\n");
                lines.extend_from_slice(dated(&text, is_dated).as_bytes());
            }
            // Nobody is left to tell if the log is closed or its disk is full: pages go on.
            let _ = out.write_all(&lines);
            lines.clear();
            lines.shrink_to(KEPT_BYTES);
        }
    }
}

/// What `env_logger` writes to: each write is one line.
struct Lines(Arc<Queue>);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for RunningLog {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting.lock();
        let is_busy = |it: &mut Waiting| it.is_writing || !it.lines.is_empty() || it.lost > 0;
        self.0.changed.wait_while_for(&mut waiting, is_busy, LAST_WAIT);
    }
}
