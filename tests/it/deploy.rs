//! deploy/: its files, and the blocks that its guide says to type, are used as they stand, with other
//! ports and folders at most.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::client::fetch;
use crate::support::command::PROGRAM;
use crate::support::deploy::{file, settings};
use crate::support::programs::{Folder, Running, outcome, run};
use crate::support::site::Database;
use crate::support::until;

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
    assert_eq!(fetch(port, "GET", "/healthz", "", "").text(), "ok\n");
    first.terminate();
    let waiting = std::thread::spawn(move || fetch(port, "GET", "/healthz", "", "").status);
    until(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
    let _second = start();
    assert_eq!(waiting.join().unwrap(), 200);
}
