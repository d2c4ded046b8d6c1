//! deploy/README.md on the database: its role, its backup, and a second machine that takes over.

use std::env;
use std::fs;
use std::process::{Command, Stdio};

use postgres::{Client, NoTls};

use crate::support::client::fetch;
use crate::support::deploy::{block, file, log_in, register, serve, settings};
use crate::support::programs::{Folder, outcome, run, script};
use crate::support::site::PASSWORD;
use crate::support::until;

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
        for program in ["apt-get", "adduser", "chown", "chmod"] {
            script(&self.folder, &format!("bin/{program}"), "exit 0");
        }
        script(&self.folder, "bin/pg_lsclusters", "echo 15 main 5432 online");
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
    assert_eq!(count(&format!("{tables} = 'doorward'")), 4, "users, sessions, links, migrations");
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
    let (empty, _) = serve(&cluster.folder, &cluster.url("doorward", "doorward"));
    empty.terminate();
    cluster.type_in(&block("restore"), &backups);
    let (_server, port) = serve(&cluster.folder, &cluster.url("doorward", "doorward"));
    let secret = fetch(port, "GET", "/secret", &cookie, "");
    assert!(secret.status == 200 && secret.text().contains("Ada Lovelace"), "{}", secret.text());
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
