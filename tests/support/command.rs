//! The program itself, run to its end.

use std::io::Write;
use std::process::{Command, Stdio};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_doorward");

/// What a run of the program left.
#[derive(Debug)]
pub struct Run {
    pub status: i32,
    pub out: String,
    pub err: String,
}

/// Runs the program with those settings and nothing else in its environment.
pub fn run(settings: &[(&str, &str)], arguments: &[&str], input: &str) -> Run {
    let mut child = Command::new(PROGRAM)
        .args(arguments)
        .env_clear()
        .env("DOORWARD_BCRYPT_COST", "10")
        .envs(settings.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that wants no input may be gone by now.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let done = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { status: done.status.code().unwrap(), out: text(done.stdout), err: text(done.stderr) }
}

pub fn assert_refused(run: &Run, status: i32, part: &str) {
    assert_eq!((run.status, run.out.as_str()), (status, ""), "{run:?}");
    assert!(run.err.starts_with("doorward: ") && run.err.contains(part), "{part}: {run:?}");
    assert_eq!(run.err.matches('\n').count(), 1, "one line: {run:?}");
}

/// Where links lead that the program prints.
pub const PUBLIC_URL: &str = "https://members.example.org";

/// `doorward user …` on that database.
pub fn user(url: &str, command: &str, arguments: &[&str], input: &str) -> Run {
    let settings = [("DATABASE_URL", url), ("DOORWARD_PUBLIC_URL", PUBLIC_URL)];
    run(&settings, &[&["user", command], arguments].concat(), input)
}

/// The path and query of the link that `doorward user invite` or `reset` prints.
pub fn link(url: &str, command: &str, email: &str) -> String {
    let printed = user(url, command, &[email], "");
    assert_eq!(printed.status, 0, "{printed:?}");
    let path = printed.out.strip_prefix(PUBLIC_URL).unwrap();
    let path = path.strip_suffix('\n').unwrap().to_owned();
    assert!(!path.contains(char::is_whitespace), "the link alone: {path:?}");
    path
}
