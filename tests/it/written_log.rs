//! The log as the real program writes it, as fail2ban and the journal read it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};

use crate::support::client::fetch;
use crate::support::programs::{Folder, Running, free_port, run};
use crate::support::site::Database;
use crate::support::{PATIENCE, until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_doorward");

fn serve(database: &Database, port: u16) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["serve", "--bcrypt-cost=10", &format!("--listen=127.0.0.1:{port}")]);
    command.env("DATABASE_URL", database.url()).env_remove("JOURNAL_STREAM");
    command
}

/// What fail2ban takes for the addresses to ban in a log.
fn to_ban(folder: &Folder, log: &str) -> Vec<String> {
    let filter = crate::support::deploy::file("fail2ban/filter.d/doorward.conf");
    let (log, filter) = (folder.write("to-read.log", log), folder.write("filter.conf", &filter));
    let found = run(Command::new("fail2ban-regex").args(["-o", "ip", &log, &filter]));
    found.lines().map(str::to_owned).collect()
}

/// Sends bytes as they are, and waits for the end of whatever is answered.
fn send(port: u16, bytes: &str) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes.as_bytes()).unwrap();
    // The server may have closed already.
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
}

/// How many requests [`slander`] sends.
const SLANDERS: usize = 11;

/// One login fails here; everything else is made up.
fn slander(port: u16) {
    let event = "event=login-failed address=203.0.113.7";
    let close = "HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    let fields = format!("email=INFO%20{event}&password=x");
    let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length";
    for bytes in [
        format!("{event} x\r\n\r\n"),
        format!("INFO {event} x\r\n\r\n"),
        format!("\r\n\r\n{event} x\r\n\r\n"),
        format!("\"{event} \"\r\n\r\n"),
        format!("GET /\nINFO {event}\r\n\r\n"),
        format!("GET /\x0b\u{2028}INFO {event} {close}\r\n"),
        format!("INFO /{event} {close}\r\n"),
        format!("INFO /event=login-failed {close}\r\n"),
        format!("POST /event=login-failed {close}Sec-Fetch-Site: cross-site\r\n\r\n"),
        format!("POST /{}{event} {close}\r\n", "a".repeat(5_000)),
        format!("POST /login {close}{form}: {}\r\n\r\n{fields}", fields.len()),
    ] {
        send(port, &bytes);
    }
}

fn assert_only_the_login_that_failed(log: &str) {
    assert_eq!(
        log.matches("INFO event=login-failed address=127.0.0.1 email=\"INFO event=").count(),
        1
    );
    for line in log.lines().filter(|line| !line.contains("INFO serving on http://")) {
        let (_, text) = line.split_once("INFO ").unwrap_or_else(|| panic!("{line}"));
        let (before, _) = text.split_once("event=").unwrap_or((text, ""));
        assert!(before.is_empty() || before.starts_with('"'), "{line}");
        assert!(line.len() < 1_000, "a line has an end: {line}");
    }
    assert_eq!(log.lines().filter(|line| line.contains("INFO event=")).count(), 3, "{log}");
}

#[test]
fn nobody_writes_a_line_that_bans_another() {
    let (folder, database, port) = (Folder::new(), Database::new(), free_port());
    let server = Running::start(&mut serve(&database, port), &folder.path("log")).listening(port);
    slander(port);
    until(|| server.log().matches(" ms 127.0.0.1").count() == SLANDERS);
    let log = server.log();
    assert_eq!(to_ban(&folder, &log), ["127.0.0.1"], "{log}");
    assert_only_the_login_that_failed(&log);
}

#[test]
fn the_journal_gets_lines_without_a_date_and_fail2ban_finds_the_same_in_them() {
    let (folder, database, port) = (Folder::new(), Database::new(), free_port());
    let about = fs::metadata(folder.write("log", "")).unwrap();
    let mut command = serve(&database, port);
    command.env("JOURNAL_STREAM", format!("{}:{}", about.dev(), about.ino()));
    let server = Running::start(&mut command, &folder.path("log")).listening(port);
    slander(port);
    until(|| server.log().matches(" ms 127.0.0.1").count() == SLANDERS);
    let log = server.log();
    assert!(log.lines().all(|line| line.starts_with("INFO ")), "{log}");
    let journal = log.lines().map(|line| format!("members doorward[4711]: {line}\n"));
    assert_eq!(to_ban(&folder, &journal.collect::<String>()), ["127.0.0.1"], "{log}");
    assert_only_the_login_that_failed(&log);

    // Whoever runs the program by hand, from within a service, writes to another file.
    let port = free_port();
    command = serve(&database, port);
    command.env("JOURNAL_STREAM", format!("{}:{}", about.dev(), about.ino()));
    let server = Running::start(&mut command, &folder.path("other")).listening(port);
    until(|| !server.log().is_empty());
    assert!(server.log().starts_with("20"), "a date: {}", server.log());
}

/// The program with a pipe as its log.
struct Piped(Child);

impl Piped {
    fn start(database: &Database, port: u16) -> Piped {
        let child = serve(database, port).stderr(Stdio::piped()).spawn().unwrap();
        until(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
        Piped(child)
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_log_that_nobody_reads_holds_up_no_request_and_what_is_missing_in_it_is_counted() {
    const REQUESTS: usize = 4_000;
    let (database, port) = (Database::new(), free_port());
    let mut server = Piped::start(&database, port);
    // Lines as long as they get: several times what the pipe and the program hold.
    let path = format!("/flood-{}", "a".repeat(300));
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).unwrap());
    stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    for _ in 0..REQUESTS {
        let request = format!("HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert!(stream.read_line(&mut line).expect("an answer in time") > 0);
        }
    }
    drop(stream);

    let mut lines = BufReader::new(server.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    let dropped = |line: &str| -> Option<usize> {
        let (_, rest) = line.split_once(" WARN log: ")?;
        rest.split_once(" lines were dropped")?.0.parse().ok()
    };
    let (mut written, mut missing) = (0, 0);
    while written + missing < REQUESTS {
        let line = lines.next().expect("every line is written or counted");
        written += usize::from(line.contains("\"HEAD /flood-"));
        missing += dropped(&line).unwrap_or(0);
    }
    assert_eq!(written + missing, REQUESTS);
    assert!(missing > 0 && written > 0, "{missing} missing, {written} written");

    // From here on it flows again, to the very last line.
    assert_eq!(fetch(port, "GET", "/after", "", "").status, 404);
    run(Command::new("kill").arg(server.0.id().to_string()));
    let rest: Vec<_> = lines.collect();
    assert!(rest.last().unwrap().contains("\"GET /after\" 404"), "{rest:?}");
    assert!(server.0.wait().unwrap().success());
}

#[test]
fn a_closed_log_holds_up_nobody() {
    let (database, port) = (Database::new(), free_port());
    let mut server = Piped::start(&database, port);
    drop(server.0.stderr.take());
    for _ in 0..10 {
        assert_eq!(fetch(port, "GET", "/healthz", "", "").text(), "ok\n");
    }
}
