//! deploy/: its files, and the blocks that its guide says to type, are used as they stand, with other
//! ports and folders at most.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::programs::{Answer, Folder, Running, fetch, free_port, outcome, run, until};
use crate::site::{Database, PASSWORD};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_doorward");

/// A file of deploy/.
pub fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The block of deploy/README.md that begins with three backquotes, a language and `name`.
pub fn block(name: &str) -> String {
    let guide = file("README.md");
    let mut lines = guide.lines();
    let is_start = |line: &&str| line.starts_with("```") && line.split(' ').nth(1) == Some(name);
    lines.find(is_start).unwrap_or_else(|| panic!("the guide has no block {name}"));
    lines.take_while(|line| *line != "```").flat_map(|line| [line, "\n"]).collect()
}

/// Settings as arguments to `env`.
pub fn settings(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.replace('"', "")).collect()
}

/// The program, with the settings of `doorward.env`.
pub fn serve(folder: &Folder, database_url: &str) -> (Running, u16) {
    let port = free_port();
    let mut command = Command::new("env");
    command.args(settings(&file("doorward.env"))).arg(format!("DATABASE_URL={database_url}"));
    command.args([PROGRAM, "serve", "--bcrypt-cost=10", &format!("--listen=127.0.0.1:{port}")]);
    (Running::start(&mut command, &folder.path("log")).listening(port), port)
}

pub fn log_in(port: u16, email: &str, password: &str) -> Answer {
    let fields = [("email", email), ("password", password)];
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    fetch(port, "POST", "/login", "", &body)
}

/// Registers somebody; the cookie.
pub fn register(port: u16, email: &str) -> String {
    let fields = [
        ("first_name", "Ada"),
        ("last_name", "Lovelace"),
        ("email", email),
        ("password", PASSWORD),
        ("confirm", PASSWORD),
    ];
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let answer = fetch(port, "POST", "/register", "", &body);
    let cookie = answer.header("Set-Cookie").unwrap_or_else(|| panic!("{}", answer.head));
    cookie.split(';').next().unwrap().to_owned()
}

/// The files below a folder of deploy/, by their path below deploy/.
fn files_below(folder: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(folder);
    let entries = fs::read_dir(path).unwrap().map(Result::unwrap);
    let paths = entries.map(|entry| {
        let name = format!("{folder}{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() { files_below(&format!("{name}/")) } else { vec![name] }
    });
    paths.flatten().collect()
}

#[test]
fn the_guide_says_of_each_file_where_it_goes() {
    let guide = file("README.md");
    let is_installed_by_make = |path: &str| {
        ["README.md", "doorward.env"].contains(&path)
            || path.starts_with("systemd/")
            || path.starts_with("debian/")
    };
    let files = files_below("");
    assert!(files.len() > 12, "{files:?}");
    for path in files.iter().filter(|path| !is_installed_by_make(path)) {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path);
        let mode = fs::metadata(from).unwrap().permissions().mode() & 0o777;
        let line = format!("\ninstall -D -m {mode:o} {path} /etc/{path}\n");
        assert!(guide.contains(&line), "the guide lacks {line}");
    }
    let lines = guide.lines().filter(|line| line.starts_with("install "));
    let listed = files.iter().filter(|path| !is_installed_by_make(path)).count();
    assert_eq!(lines.count(), listed, "a line installs what is not there");
}

#[test]
fn systemd_accepts_the_units_and_finds_them_hardened() {
    let folder = Folder::new();
    let service =
        file("systemd/system/doorward.service").replace("/usr/local/bin/doorward", PROGRAM);
    let service = folder.write("doorward.service", &service);
    let socket = folder.write("doorward.socket", &file("systemd/system/doorward.socket"));
    let said = run(Command::new("systemd-analyze").arg("verify").args([&service, &socket]));
    assert_eq!(said, "");

    let security = ["security", "--offline=yes", "--threshold=19", "--no-pager"];
    let judged = outcome(Command::new("systemd-analyze").args(security).arg(&service));
    let said = String::from_utf8_lossy(&judged.stdout) + String::from_utf8_lossy(&judged.stderr);
    let is_old = said.contains("unrecognized option"); // before systemd 250
    assert!(is_old || judged.status.success(), "exposed to more than 1.9 of 10: {said}");
}

#[test]
fn connections_wait_at_the_socket_while_the_service_restarts() {
    let (folder, database) = (Folder::new(), Database::new());
    // What systemd does: it holds the socket and hands it to each program as its file 3.
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let start = || {
        let held = OwnedFd::from(socket.try_clone().unwrap());
        let inherit = r#"exec env LISTEN_PID=$$ LISTEN_FDS=1 "$@" 3<&0 0</dev/null"#;
        let mut command = Command::new("sh");
        command.args(["-c", inherit, "sh"]).stdin(Stdio::from(held));
        command
            .args(settings(&file("doorward.env")))
            .arg(format!("DATABASE_URL={}", database.url()));
        command.args([PROGRAM, "serve"]);
        Running::start(&mut command, &folder.path("log"))
    };
    let first = start();
    assert_eq!(fetch(port, "GET", "/healthz", "", "").body, "ok\n");
    first.terminate();
    let waiting = std::thread::spawn(move || fetch(port, "GET", "/healthz", "", "").status);
    until(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
    let _second = start();
    assert_eq!(waiting.join().unwrap(), 200);
}
