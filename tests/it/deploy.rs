//! deploy/: its files, and the blocks that its guide says to type, are used as they stand, with other
//! ports and folders at most.

use std::env;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use postgres::{Client, NoTls};

use crate::programs::{Answer, Folder, Running, fetch, free_port, outcome, run, script, until};
use crate::site::{Database, PASSWORD};

const PROGRAM: &str = env!("CARGO_BIN_EXE_doorward");

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
fn settings(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.replace('"', "")).collect()
}

/// The program, with the settings of `doorward.env`.
fn serve(folder: &Folder, database_url: &str) -> (Running, u16) {
    let port = free_port();
    let mut command = Command::new("env");
    command.args(settings(&file("doorward.env"))).arg(format!("DATABASE_URL={database_url}"));
    command.args([PROGRAM, "serve", "--bcrypt-cost=10", &format!("--listen=127.0.0.1:{port}")]);
    (Running::start(&mut command, &folder.path("log")).listening(port), port)
}

fn log_in(port: u16, email: &str, password: &str) -> Answer {
    let fields = [("email", email), ("password", password)];
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    fetch(port, "POST", "/login", "", &body)
}

/// Registers somebody; the cookie.
fn register(port: u16, email: &str) -> String {
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

/// A PostgreSQL of one test's own, in which being a user of the system is what counts.
struct Cluster {
    folder: Folder,
    home: String,
    bin: String,
    has_other_owner: bool,
}

impl Cluster {
    /// A cluster as Debian makes it: role `postgres`, peer authentication for everybody.
    fn new() -> Cluster {
        let cluster = Cluster::empty();
        let data = cluster.data();
        let tool = |name: &str| format!("{}/{name}", cluster.bin);
        let options = ["-U", "postgres", "--auth=peer", "-E", "UTF8", "--locale=C", "--no-sync"];
        run(cluster.as_owner(&tool("initdb")).args(["-D", &data]).args(options));
        // Here is no user `doorward`; those who run the test stand in for it.
        let me = run(Command::new("id").arg("-un"));
        let users = [me.trim(), "postgres"];
        let line = |user: &str| format!("here {user} postgres\nhere {user} doorward\n");
        let map = users.map(line).concat();
        cluster.write("pg_ident.conf", &map);
        let rules = "local all postgres,doorward peer map=here\nlocal all all peer\n\
                     local replication all peer map=here\n";
        cluster.write("pg_hba.conf", rules);
        cluster.start();
        cluster
    }

    fn empty() -> Cluster {
        let url = env::var("DATABASE_URL").unwrap();
        let mut client = Client::connect(&url, NoTls).unwrap();
        let row = client.query_one("SELECT setting FROM pg_config WHERE name = 'BINDIR'", &[]);
        let has_other_owner = run(Command::new("id").arg("-u")).trim() == "0";
        let (folder, bin) = (Folder::new(), row.unwrap().get(0));
        let mut cluster = Cluster { folder, home: String::new(), bin, has_other_owner };
        let made = run(cluster.as_owner("mktemp").args(["-d", "/tmp/doorward-test-XXXXXX"]));
        made.trim().clone_into(&mut cluster.home);
        run(Command::new("chmod").args(["755", &cluster.home]));
        cluster
    }

    fn data(&self) -> String {
        format!("{}/data", self.home)
    }

    fn url(&self, role: &str, database: &str) -> String {
        format!("host={} user={role} dbname={database}", self.home)
    }

    /// PostgreSQL refuses to run as root.
    fn as_owner(&self, program: &str) -> Command {
        if !self.has_other_owner {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", program]);
        command.current_dir("/");
        command
    }

    fn write(&self, name: &str, text: &str) {
        let from = self.folder.write(name, text);
        run(Command::new("cp").args([from, format!("{}/{name}", self.data())]));
    }

    fn start(&self) {
        // What it prints goes to its log; a pipe would stay open as long as it runs.
        let options = format!("-k {} -c listen_addresses= -c port=5432 -c fsync=off", self.home);
        let log = format!("{}/log", self.home);
        let mut command = self.as_owner(&format!("{}/pg_ctl", self.bin));
        command.args(["start", "-w", "-D", &self.data(), "-l", &log, "-o", &options]);
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
        assert!(started.success(), "{}", fs::read_to_string(log).unwrap());
    }

    fn stop(&self) {
        let mut command = self.as_owner(&format!("{}/pg_ctl", self.bin));
        let _ = outcome(command.args(["stop", "-m", "immediate", "-D", &self.data()]));
    }

    /// Runs a script as a shell does, with what it would do to this machine left out and
    /// backups in a folder of their own.
    fn type_in(&self, text: &str, backups: &Folder) {
        for program in ["adduser", "chown", "chmod"] {
            script(&self.folder, &format!("bin/{program}"), "exit 0");
        }
        let drop = if self.has_other_owner {
            "exec setpriv --reuid=postgres --regid=postgres --init-groups \"$@\""
        } else {
            "exec \"$@\""
        };
        let runuser = format!("[ \"$1 $2 $3\" = '-u postgres --' ] || exit 9; shift 3; {drop}");
        script(&self.folder, "bin/runuser", &runuser);
        let text = text.replace("/var/backups", backups.0.to_str().unwrap());
        let path =
            format!("{}:{}:{}", self.folder.path("bin"), self.bin, env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        command.args(["-euc", &text]).env("PATH", path).env("PGHOST", &self.home);
        run(command.env("PGUSER", "postgres").current_dir("/"));
    }

    fn sql(&self, role: &str, database: &str) -> Result<Client, postgres::Error> {
        Client::connect(&self.url(role, database), NoTls)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
        let _ = outcome(self.as_owner("rm").args(["-rf", &self.home]));
    }
}

#[test]
fn the_role_is_bound_to_its_user_and_owns_its_database_alone() {
    let cluster = Cluster::new();
    cluster.type_in(&block("accounts"), &Folder::new());
    let (_server, port) = serve(&cluster.folder, &cluster.url("doorward", "doorward"));
    assert_eq!(fetch(port, "GET", "/healthz", "", "").status, 200, "the tables are made");
    let count = |sql: &str| -> i64 {
        let mut client = cluster.sql("postgres", "doorward").unwrap();
        client.query_one(&format!("SELECT count(*) FROM {sql}"), &[]).unwrap().get(0)
    };
    let powers = "rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls";
    assert_eq!(count(&format!("pg_roles WHERE rolname = 'doorward' AND NOT ({powers})")), 1);
    assert_eq!(
        count("pg_database d JOIN pg_roles r ON r.oid = datdba WHERE rolname = 'doorward'"),
        1
    );
    let tables = "pg_tables WHERE schemaname = 'public' AND tableowner";
    assert_eq!(count(&format!("{tables} = 'doorward'")), 3, "users, sessions, migrations");
    assert_eq!(count(&format!("{tables} <> 'doorward'")), 0);
    let memberships = "pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE rolname";
    assert_eq!(count(&format!("{memberships} = 'doorward'")), 0);

    let mut admin = cluster.sql("postgres", "postgres").unwrap();
    admin.batch_execute("CREATE ROLE stranger LOGIN").unwrap();
    let refused = cluster.sql("stranger", "postgres").map(drop).unwrap_err().to_string();
    assert!(refused.contains("db error"), "{refused}");
    cluster.write("pg_hba.conf", "local all all trust\n");
    run(cluster.as_owner(&format!("{}/pg_ctl", cluster.bin)).args([
        "reload",
        "-D",
        &cluster.data(),
    ]));
    until(|| cluster.sql("stranger", "postgres").is_ok());
    let refused = cluster.sql("stranger", "doorward").map(drop).unwrap_err();
    let refused = refused.as_db_error().unwrap().message();
    assert!(refused.contains("permission denied for database"), "{refused}");
}

#[test]
fn a_backup_brings_back_users_and_logins_after_the_cluster_is_lost() {
    let backups = Folder::new();
    let cluster = Cluster::new();
    cluster.type_in(&block("accounts"), &backups);
    let (server, port) = serve(&cluster.folder, &cluster.url("doorward", "doorward"));
    let cookie = register(port, "ada@example.org");
    cluster.type_in(&file("cron.daily/doorward"), &backups);
    register(port, "late@example.org");
    server.terminate();
    drop(cluster);

    let cluster = Cluster::new();
    cluster.type_in(&block("accounts"), &backups);
    cluster.type_in(&block("restore"), &backups);
    let (_server, port) = serve(&cluster.folder, &cluster.url("doorward", "doorward"));
    let secret = fetch(port, "GET", "/secret", &cookie, "");
    assert!(secret.status == 200 && secret.body.contains("Ada Lovelace"), "{}", secret.body);
    assert_eq!(log_in(port, "ada@example.org", PASSWORD).status, 303);
    assert_eq!(log_in(port, "late@example.org", PASSWORD).status, 401, "after the backup");
    register(port, "next@example.org");
}

#[test]
fn a_failover_of_the_database_costs_no_login() {
    let primary = Cluster::new();
    primary.type_in(&block("accounts"), &Folder::new());
    let standby = Cluster::empty();
    let options = ["-R", "-X", "stream", "-c", "fast", "-D", &standby.data()];
    let mut copy = standby.as_owner(&format!("{}/pg_basebackup", standby.bin));
    run(copy.args(options).args(["-d", &primary.url("postgres", "postgres")]));
    standby.start();

    let url = settings(&block("failover.env")).remove(0).replace("DATABASE_URL=", "");
    let hosts = format!("{},{}", standby.home, primary.home);
    let url = url.replace("10.0.0.5,10.0.0.6", &hosts).replace(" sslmode=require", "");
    let (_server, port) = serve(&standby.folder, &url);
    let cookie = register(port, "ada@example.org");
    let mut copied = standby.sql("postgres", "doorward").unwrap();
    until(|| copied.query("SELECT FROM sessions", &[]).is_ok_and(|rows| rows.len() == 1));
    let secret = || fetch(port, "GET", "/secret", &cookie, "").status;
    assert_eq!(secret(), 200);

    primary.stop();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(secret(), 503, "nobody can tell who it is");
    copied.batch_execute("SELECT pg_promote()").unwrap();
    until(|| secret() == 200);
    assert_eq!(log_in(port, "ada@example.org", PASSWORD).status, 303, "and it can be written");
}

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
