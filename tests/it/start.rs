//! The start of the server: what systemd, visitors and the administrator see of it.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use crate::support::client::fetch;
use crate::support::command;
use crate::support::programs::{Folder, Running, free_port};
use crate::support::site::Database;
use crate::support::until;

const PROGRAM: &str = env!("CARGO_BIN_EXE_doorward");

/// A server whose database is to be found through a socket in `folder`.
fn start(folder: &Folder, database: &Database) -> (Running, u16) {
    let url = url::Url::parse(&database.url()).unwrap();
    let (name, port) = (url.path().trim_start_matches('/'), free_port());
    let place = format!("host='{}' user=doorward dbname={name}", folder.path(""));
    let mut command = Command::new(PROGRAM);
    command.env("DATABASE_URL", place).env("NOTIFY_SOCKET", folder.path("notify"));
    command.args(["serve", &format!("--listen=127.0.0.1:{port}")]);
    (Running::start(&mut command, &folder.path("log")), port)
}

/// Lets a server find the database.
fn bring_database(folder: &Folder, database: &Database) {
    let url = url::Url::parse(&database.url()).unwrap();
    let socket_folder = url.query_pairs().find(|(key, _)| key == "host").unwrap().1.into_owned();
    let socket = ".s.PGSQL.5432";
    symlink(format!("{socket_folder}/{socket}"), folder.path(socket)).unwrap();
}

/// What systemd is told.
fn systemd(folder: &Folder) -> impl Fn() -> String {
    let socket = UnixDatagram::bind(folder.path("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    move || {
        let mut bytes = [0; 100];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }
}

#[test]
fn visitors_get_a_503_until_the_database_answers_for_the_first_time() {
    let (folder, database) = (Folder::new(), Database::new());
    let told = systemd(&folder);
    let (server, port) = start(&folder, &database);
    assert_eq!(told(), "READY=1", "systemd restarts nothing that waits");
    let page = fetch(port, "GET", "/secret", "", "");
    assert_eq!(page.status, 503);
    assert!(page.header("Retry-After").is_some() && page.header("X-Frame-Options").is_some());
    assert_eq!(server.log().matches("visitors get a 503").count(), 1, "{}", server.log());

    bring_database(&folder, &database);
    until(|| fetch(port, "GET", "/healthz", "", "").status == 200);
    assert_eq!(fetch(port, "GET", "/secret", "", "").status, 303);
    server.terminate();
}

#[test]
fn systemd_is_told_of_a_start_once_the_server_can_serve() {
    let (folder, database) = (Folder::new(), Database::new());
    bring_database(&folder, &database);
    let told = systemd(&folder);
    let (server, port) = start(&folder, &database);
    assert_eq!(told(), "READY=1");
    assert_eq!(fetch(port, "GET", "/healthz", "", "").status, 200);
    server.terminate();
}

#[test]
fn a_server_that_never_reached_its_database_ends_with_a_failure() {
    let (folder, database) = (Folder::new(), Database::new());
    let told = systemd(&folder);
    let (server, _) = start(&folder, &database);
    told();
    let (status, log) = server.end();
    assert_eq!(status.code(), Some(1));
    assert!(log.ends_with("doorward: told to stop before the database answered\n"), "{log}");
}

#[test]
fn a_start_that_waiting_cannot_mend_fails_at_once_with_a_line_for_the_administrator() {
    let database = Database::new();
    let nobody = database.url().replace("user=doorward", "user=nobody_here");
    let nowhere = database.url().replace("test_", "no_");
    for (url, part) in [(nobody, "nobody_here"), (nowhere, "does not exist")] {
        let listen = format!("127.0.0.1:{}", free_port());
        let settings = [("DATABASE_URL", &*url), ("DOORWARD_LISTEN", &*listen)];
        let failed = command::run(&settings, &["serve"], "");
        assert_eq!(failed.status, 2, "what systemd does not try again: {failed:?}");
        assert!(failed.err.starts_with("doorward: DATABASE_URL: ") && failed.err.contains(part));
        assert_eq!(failed.err.lines().count(), 1, "{failed:?}");
    }
}
