//! The real fail2ban with the files of deploy/.

use std::process::Command;

use crate::deploy::{file, log_in, register, serve};
use crate::programs::{Folder, fetch, run};
use crate::site::{Database, PASSWORD};

/// What fail2ban takes for the addresses to ban in a log, with the filter of deploy/.
fn to_ban(folder: &Folder, log: &str) -> Vec<String> {
    let log = folder.write("doorward.log", log);
    let filter = folder.write("filter.d/doorward.conf", &file("fail2ban/filter.d/doorward.conf"));
    let found = run(Command::new("fail2ban-regex").args(["-o", "ip", &log, &filter]));
    found.lines().map(str::to_owned).collect()
}

#[test]
fn fail2ban_finds_the_guesser_in_the_log_and_nobody_can_be_slandered() {
    let (folder, database) = (Folder::new(), Database::new());
    let (server, port) = serve(&folder, &database.url());
    let guesser = |email: &str| {
        let fields = [("email", email), ("password", "wrong")];
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        fetch(port, "POST", "/login?at=203.0.113.7", "", &body).status
    };
    // Behind a proxy, the log has the visitor's address. 10 fail, the rest are throttled.
    let statuses: Vec<_> = (0..12).map(|_| guesser("ada@example.org")).collect();
    assert_eq!(statuses, [[401; 10].as_slice(), &[429; 2]].concat());
    let line = "INFO event=login-failed address=198.51.100.9 email=\"x\"";
    let forged = [
        format!("2026-11-20T13:01:14.255Z {line}"),
        format!("\n2026-11-20T13:01:14.255Z {line}"),
        format!("\" {line}"),
        format!("\u{2028}\r\u{b}{line}"),
        format!("host doorward[1]: {line}"),
    ];
    for text in &forged {
        assert_eq!(guesser(text), 401);
        let path: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        assert_eq!(fetch(port, "GET", &format!("/{path}"), "", "").status, 404);
        assert_eq!(fetch(port, "POST", &format!("/{path}"), "", text).status, 404);
    }
    register(port, "ada@example.org");
    assert_eq!(log_in(port, "ada@example.org", PASSWORD).status, 429);
    assert_eq!(log_in(port, "Ada@example.org ", PASSWORD).status, 429);
    let log = server.log();
    assert!(log.contains("event=login-throttled") && log.contains("event=registration"), "{log}");

    let tries = 12 + forged.len() + 2;
    assert_eq!(to_ban(&folder, &log), vec!["127.0.0.1"; tries], "{log}");
    let journal = log.lines().map(|line| format!("members doorward[4711]: {line}\n"));
    assert_eq!(to_ban(&folder, &journal.collect::<String>()), vec!["127.0.0.1"; tries]);
    let of_v6 = log.replace("address=127.0.0.1", "address=2001:db8::7");
    assert_eq!(to_ban(&folder, &of_v6), vec!["2001:db8::7"; tries]);
}

#[test]
fn fail2ban_accepts_the_jail() {
    let folder = Folder::new();
    run(Command::new("cp").args(["-r", "/etc/fail2ban/.", &folder.path("")]));
    folder.write("filter.d/doorward.conf", &file("fail2ban/filter.d/doorward.conf"));
    folder.write("jail.d/doorward.conf", &file("fail2ban/jail.d/doorward.conf"));
    let run_folder = ["-s", &folder.path("socket"), "-p", &folder.path("pid")];
    let dump = ["-c", folder.0.to_str().unwrap(), "-d"];
    let said = run(Command::new("fail2ban-client").args(run_folder).args(dump));
    for part in ["['add', 'doorward', 'systemd']", "'maxretry', 10]", "'bantime', '1h']"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let action = "'banaction'";
    assert!(said.contains("['start', 'doorward']") && !said.contains(action), "{said}");
}
