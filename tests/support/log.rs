//! The log of this process, recorded.

use std::cell::RefCell;
use std::sync::{Mutex, Once};

use log::{LevelFilter, Log, Metadata, Record};

thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// What connections' threads logged, too.
static OF_ANY_THREAD: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps the lines of each thread apart: simulated requests are answered in the thread of their test.
struct Recorder;

impl Log for Recorder {
    fn enabled(&self, _: &Metadata) -> bool {
        true
    }

    fn log(&self, record: &Record) {
        // The program's log leaves the database client's lines out, too.
        if record.target().starts_with("doorward") {
            let line = record.args().to_string();
            OF_ANY_THREAD.lock().unwrap().push(line.clone());
            LINES.with_borrow_mut(|lines| lines.push(line));
        }
    }

    fn flush(&self) {}
}

/// Starts to record, and forgets what this thread has logged so far.
pub fn record() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Recorder).unwrap();
        log::set_max_level(LevelFilter::Debug);
    });
    LINES.take();
}

/// The lines of this thread since it last asked.
pub fn recorded() -> Vec<String> {
    LINES.take()
}

/// The lines with that word in them, whoever logged them.
pub fn of_any_thread(word: &str) -> Vec<String> {
    let lines = OF_ANY_THREAD.lock().unwrap();
    lines.iter().filter(|line| line.contains(word)).cloned().collect()
}
