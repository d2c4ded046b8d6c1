//! What the tests share: one server, one client, one way to wait.

use std::thread;
use std::time::{Duration, Instant};

pub mod browser;
pub mod client;
pub mod command;
pub mod deploy;
pub mod door;
pub mod echo;
pub mod log;
pub mod programs;
pub mod server;
pub mod site;
pub mod smtp;
pub mod stall;
pub mod totp;

/// How long a test waits for what must come: far longer than anything here should take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for something to become true.
pub fn until(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(20));
    }
}
