//! What the log says of a database that goes away and comes back.

use std::process::Command;
use std::thread;

use crate::support::client::fetch;
use crate::support::command::PROGRAM;
use crate::support::programs::{Folder, Running, free_port};
use crate::support::site::Database;
use crate::support::until;

#[test]
fn an_outage_is_one_line_when_it_begins_with_its_cause_and_one_when_it_ends() {
    let (folder, database, port) = (Folder::new(), Database::new(), free_port());
    let mut command = Command::new(PROGRAM);
    command.args(["serve", &format!("--listen=127.0.0.1:{port}")]);
    command.env("DATABASE_URL", database.url()).env_remove("RUST_LOG");
    let server = Running::start(&mut command, &folder.path("log")).listening(port);
    let health = || fetch(port, "GET", "/healthz", "", "").status;
    assert_eq!(health(), 200);
    database.set_reachable(false);
    let failed = thread::scope(|scope| {
        let visitors = [(); 8].map(|()| scope.spawn(|| (0..3).filter(|_| health() == 503).count()));
        visitors.map(|visitor| visitor.join().unwrap()).iter().sum::<usize>()
    });
    assert_eq!(failed, 24);
    database.set_reachable(true);
    assert_eq!(health(), 200);
    until(|| server.log().contains("answers again"));
    let log = server.log();
    let lines: Vec<&str> = log.lines().filter(|line| !line.contains("/healthz")).collect();
    let [.., gone, back] = lines[..] else { panic!("{log}") };
    assert!(lines.len() == 3 && lines[0].contains("serving on"), "{log}");
    assert!(gone.contains(" ERROR database at /") && gone.contains("/.s.PGSQL."), "{gone}");
    assert!(gone.contains(": no answer: ") && gone.contains("FATAL"), "{gone}");
    assert!(back.contains(" WARN database at /") && back.ends_with("answers again"), "{back}");
}
