//! The real fail2ban with the files of deploy/.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::client::fetch;
use crate::support::deploy::{file, log_in, register, serve};
use crate::support::door::nginx_conf;
use crate::support::programs::{Folder, run};
use crate::support::site::{Database, PASSWORD};
use crate::support::until;

/// What fail2ban takes for the addresses to ban in a log, with the filter of deploy/.
pub fn to_ban(folder: &Folder, log: &str) -> Vec<String> {
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
    // The log is written by a thread of its own.
    until(|| server.log().matches("event=login-throttled").count() == 4);
    let log = server.log();
    assert!(log.contains("event=registration"), "{log}");

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

/// What a network of its own runs: a web server, and fail2ban beside it. The first visitor is let in
/// until fail2ban has read the journal, the second always.
const NETWORK: &str = r#"
started=
trap 'kill $started' EXIT
ip link set lo up
for address in 203.0.113.1 203.0.113.9 203.0.113.10; do ip address add $address/32 dev lo; done
may_come() { curl -qsf -m 5 -o /dev/null --interface "$1" http://203.0.113.1:443/; }
until_it() { n=0; until "$@"; do [ $((n += 1)) -lt 100 ] || { echo "never: $*"; cat fail2ban.log; exit 1; }; sleep 0.1; done; }
client() { fail2ban-client -s socket "$@"; }
nginx -e stderr -p . -c "$PWD/nginx.conf" -g 'user root;' >web.log 2>&1 &
started=$!
until_it may_come 203.0.113.1
may_come 203.0.113.9
fail2ban-server -c fail2ban -s socket -p pid.f2b --logtarget "$PWD/fail2ban.log" -xf start >/dev/null 2>&1 &
started="$started $!"
has_banned() { client status doorward 2>/dev/null | grep -q 'Banned IP list:.*203'; }
until_it has_banned
client status doorward | grep 'Banned IP list'
if may_come 203.0.113.9; then echo '203.0.113.9 still comes in'; nft list ruleset; fi
may_come 203.0.113.10
client status sshd | grep 'Status for the jail'
"#;

#[test]
#[ignore = "makes a network of its own, which in some systems only root may: make firewall-test"]
fn the_firewall_drops_what_a_guesser_sends_and_nobody_elses() {
    let (folder, database) = (Folder::new(), Database::new());
    let (server, port) = serve(&folder, &database.url());
    for _ in 0..10 {
        let form = ["-d", "email=ada@example.org&password=wrong"];
        let guess = format!("http://127.0.0.1:{port}/login");
        let address = ["-H", "X-Forwarded-For: 203.0.113.9"];
        run(Command::new("curl").args(["-qsS"]).args(form).args(address).arg(guess));
    }
    // The journal of a machine where this is the service, and another says the same of somebody else.
    let entry = |number: usize, unit: &str, line: &str| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
        format!(
            "__REALTIME_TIMESTAMP={now}\n__MONOTONIC_TIMESTAMP={number}\n_BOOT_ID={:032x}\n_PID=4711\n\
             _HOSTNAME=members\n_SYSTEMD_UNIT={unit}\nSYSLOG_IDENTIFIER=doorward\nMESSAGE={line}\n\n",
            1
        )
    };
    let log = server.log();
    let of_service = log.lines().map(|line| ("doorward.service", line.to_owned()));
    let of_other = log.lines().map(|line| ("other.service", line.replace("113.9 ", "113.10 ")));
    let entries = of_service.chain(of_other).enumerate();
    let entries: String = entries.map(|(n, (unit, line))| entry(n + 1, unit, &line)).collect();
    let export = folder.write("export", &entries);
    let journal = folder.write("journal/system.journal", "");
    std::fs::remove_file(&journal).unwrap();
    run(Command::new("/usr/lib/systemd/systemd-journal-remote").args(["-o", &journal, &export]));

    run(Command::new("cp").args(["-r", "/etc/fail2ban", &folder.path("")]));
    let jail = file("fail2ban/jail.d/doorward.conf");
    let here = format!("backend = systemd[journalpath={}]", folder.path("journal"));
    folder.write("fail2ban/jail.d/doorward.conf", &jail.replace("backend = systemd", &here));
    folder.write("fail2ban/filter.d/doorward.conf", &file("fail2ban/filter.d/doorward.conf"));
    // In this network the guesser's address is one of the machine's own, too.
    folder.write("fail2ban/jail.local", "[DEFAULT]\nignoreself = false\n");
    folder.write("fail2ban/fail2ban.local", "[Definition]\ndbfile = None\n");
    folder.write("conf.d/in.conf", "server { listen 203.0.113.1:443; return 200 in; }");
    nginx_conf(&folder, "");

    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--net", "sh", "-euc", NETWORK]).current_dir(&folder.0);
    assert_eq!(
        run(&mut command),
        "   `- Banned IP list:\t203.0.113.9\nStatus for the jail: sshd\n"
    );
}
