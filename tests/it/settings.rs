//! Settings: what is refused and how, where they are found, and where they are documented.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::process::Command;

use postgres::{Client, NoTls};
use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;

use crate::support::command::{PROGRAM, assert_refused, run};
use crate::support::programs::{Folder, free_port, outcome};
use crate::support::site::{Database, Site};

/// A database that nobody answers for: a start that finds nothing to refuse ends with status 1.
const NOBODY: (&str, &str) = ("DATABASE_URL", "postgres://127.0.0.1:1/none");

/// `--help`, as the variable of each setting and its default; empty if it has none.
fn help() -> BTreeMap<String, String> {
    let help = run(&[], &["serve", "--help"], "").out;
    let after = |text: &str, mark: &str| {
        let after = text.split_once(mark).map(|(_, after)| after);
        after.map(|after| after.split(']').next().unwrap().to_owned())
    };
    let settings = help.split("      --").filter_map(|setting| {
        let variable = after(setting, "[env: ")?;
        let name = variable.split('=').next().unwrap().to_owned();
        Some((name, after(setting, "[default: ").unwrap_or_default()))
    });
    let mut settings: BTreeMap<_, _> = settings.collect();
    let log = help.split("\n  RUST_LOG ").nth(1).unwrap_or_else(|| panic!("no RUST_LOG: {help}"));
    settings.insert("RUST_LOG".to_owned(), after(log, "[default: ").unwrap());
    settings
}

#[test]
fn the_readme_lists_every_setting_of_the_help_with_its_default() {
    let readme = include_str!("../../README.md");
    let table = readme.split("\n## Settings\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut listed = BTreeMap::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let quoted = |cell: &str| -> Vec<String> {
            cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
        };
        let (names, defaults) = (quoted(cells[1]), quoted(cells[2]));
        for (n, name) in names.iter().enumerate() {
            // `_MAX_HEADERS` behind another name is short for it.
            let whole =
                if name.starts_with('_') { format!("DOORWARD{name}") } else { name.clone() };
            let default = defaults.get(n).or(defaults.first()).cloned().unwrap_or_default();
            listed.insert(whole, default);
        }
    }
    assert_eq!(listed, help());
}

#[test]
fn a_value_that_cannot_work_is_one_line_that_shows_what_a_right_one_looks_like() {
    let idle = "DOORWARD_SESSION_IDLE: 13h is longer than DOORWARD_SESSION_LIFETIME, 12h";
    let years = "write a time of at most 3650d";
    for (variable, value, part) in [
        ("DOORWARD_PUBLIC_URL", "members.example.org", "write https://members.example.org, "),
        ("DOORWARD_PUBLIC_URL", "example.org:8443/wiki", "write https://members.example.org, "),
        ("DOORWARD_PUBLIC_URL", "http://example.org/wiki", "without a path\n"),
        ("DOORWARD_PUBLIC_URL", "ftp://x", "write https://members.example.org, "),
        ("DOORWARD_PUBLIC_URL", "https://", "write https://members.example.org, "),
        ("DOORWARD_LISTEN", "8080", "address and a port, such as 127.0.0.1:8080\n"),
        ("DOORWARD_LISTEN", "localhost:81", "address and a port, such as 127.0.0.1:8080\n"),
        ("DOORWARD_LISTEN", "192.0.2.1:8080", "an address of this machine, or 0.0.0.0 for all, "),
        ("DOORWARD_TRUSTED_PROXIES", "nginx", "write 127.0.0.1 or 10.0.0.0/8\n"),
        ("DOORWARD_REGISTRATION", "shut", "open, closed"),
        ("DOORWARD_BCRYPT_COST", "9", "10..=20"),
        ("DOORWARD_SITE_NAME", "  ", "write a name\n"),
        ("DOORWARD_MAX_HEAD_BYTES", "10", "write a number from 1024 to "),
        ("DOORWARD_MAX_HEADERS", "129", "write a number from 1 to 128\n"),
        ("DOORWARD_MAX_BODY_BYTES", "100", "write a number from 1024 to "),
        ("DOORWARD_MAX_CONNECTIONS", "0", "write a number from 1 to "),
        ("DOORWARD_MAX_CONNECTIONS_PER_ADDRESS", "many", "write a number from 1 to "),
        ("DOORWARD_HEAD_TIMEOUT", "10 000 000y", "write a time of at most 1h, such as 10s"),
        ("DOORWARD_SESSION_REMEMBERED", "1000000y", years),
        ("DOORWARD_SESSION_REMEMBERED", "0s", years),
        ("DOORWARD_SESSION_IDLE", "13h", idle),
        ("DOORWARD_FILES", "/nowhere", "DOORWARD_FILES: /nowhere cannot be listed: "),
        ("DOORWARD_FILES", "/home/nobody/x", "put it under /srv\n"),
    ] {
        let free = ("DOORWARD_LISTEN", "127.0.0.1:0");
        let refused = run(&[NOBODY, free, (variable, value)], &["serve"], "");
        assert_refused(&refused, 2, part);
        assert!(refused.err.contains(variable), "{refused:?}");
    }
}

#[test]
fn a_wrong_database_url_shows_a_right_one_and_no_password() {
    for (url, status, part) in [
        ("mysql://doorward:geheim@127.0.0.1/x", 2, "postgres://user:password@host/name"),
        ("members", 2, "postgres://user:password@host/name"),
        ("postgres://doorward:ge@heim@127.0.0.1/x", 2, "@ as %40, # as %23, / as %2F, ? as %3F"),
        ("postgres://doorward:ge@heim/x?a=1@127.0.0.1/x", 2, "@ as %40"),
        ("postgres://doorward:geheim@127.0.0.1:x/x", 2, "postgres://user:password@host/name"),
        ("host=127.0.0.1 password=geheim heim", 2, "host=… user=… dbname=…"),
        ("postgres://doorward:ge#h/e?im@127.0.0.1:1/x", 1, "DATABASE_URL: 127.0.0.1:1: "),
        ("postgres://doorward:geheim@nowhere.invalid/x", 1, "DATABASE_URL: nowhere.invalid:5432: "),
        ("host=/nowhere port=77 password=geheim", 1, "DATABASE_URL: /nowhere/.s.PGSQL.77: "),
    ] {
        let refused = run(&[("DATABASE_URL", url)], &["user", "list"], "");
        assert_refused(&refused, status, part);
        let told = refused.err.replace("write in a user's name", "");
        assert!(!told.contains("geheim") && !told.contains("heim"), "{refused:?}");
    }
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let names: Vec<String> = help().into_keys().filter(|name| name != "DATABASE_URL").collect();
    let mut settings: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    assert!(settings.len() > 10);
    settings.push(NOBODY);
    // The usual port may be taken here, which would be another end.
    let begun = run(&settings, &["serve", "--listen=127.0.0.1:0"], "");
    assert_refused(&begun, 1, "DATABASE_URL: 127.0.0.1:1: ");
    assert_refused(
        &run(&[("DATABASE_URL", "")], &["serve", "--settings=/nowhere"], ""),
        2,
        "not set",
    );
}

#[test]
fn what_has_no_effect_is_a_warning_in_the_log() {
    let settings = [NOBODY, ("DOORWARD_LISTN", "x"), ("RUST_LOG", "loud")];
    let begun = run(&settings, &["serve", "--listen=127.0.0.1:0"], "");
    let warnings: Vec<&str> = begun.err.lines().filter(|line| line.contains(" WARN ")).collect();
    assert_eq!(warnings.len(), 2, "{begun:?}");
    assert!(warnings[0].contains("DOORWARD_LISTN is no setting"), "{begun:?}");
    assert!(warnings[1].contains("\"loud\" is no level: write error, warn, info"), "{begun:?}");
}

#[test]
fn a_taken_port_says_how_to_choose_another() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let next = other.local_addr().unwrap().port().checked_add(1).unwrap_or(8080);
    let refused = run(&[NOBODY, ("DOORWARD_LISTEN", &address)], &["serve"], "");
    assert_refused(&refused, 2, &format!("a free port above 1023, such as {next}\n"));
}

#[test]
fn the_user_commands_show_the_settings_that_they_use_and_the_server_shows_all() {
    let expected = "DATABASE_URL DOORWARD_PUBLIC_URL DOORWARD_SITE_NAME DOORWARD_CONTACT \
                    DOORWARD_BCRYPT_COST DOORWARD_PASSWORD_MIN DOORWARD_SMTP DOORWARD_MAIL_FROM";
    for command in [&["user"][..], &["user", "add"], &["user", "list"]] {
        let help = run(&[], &[command, &["--help"]].concat(), "").out;
        let shown = help.split("[env: ").skip(1).map(|rest| rest.split([']', '=']).next().unwrap());
        assert_eq!(shown.collect::<Vec<_>>().join(" "), expected, "{command:?}: {help}");
    }
    let whole = run(&[], &["--help"], "").out;
    assert!(help().keys().all(|name| whole.contains(name.as_str())), "{whole}");
}

#[test]
fn a_command_finds_the_settings_of_the_service_and_runs_as_its_user() {
    let folder = Folder::new();
    let port = free_port();
    let database = UnixListener::bind(folder.path(&format!(".s.PGSQL.{port}"))).unwrap();
    fs::set_permissions(
        folder.path(&format!(".s.PGSQL.{port}")),
        fs::Permissions::from_mode(0o777),
    )
    .unwrap();
    let text = format!(
        "# The settings\nDATABASE_URL=\"host={} port={port} user=doorward\"\n\
         DOORWARD_SITE_NAME=Chess Club\nDOORWARD_LISTEN=nonsense\n",
        folder.0.display()
    );
    let file = folder.write("doorward.env", &text);
    let me = geteuid();
    let daemon = 1; // user and group on every Linux
    if me.is_root() {
        chown(&file, None, Some(daemon)).unwrap();
    }
    let caller = std::thread::spawn(move || {
        let (stream, _) = database.accept().unwrap();
        socket_peercred(&stream).unwrap().uid.as_raw()
    });
    let settings = [("DOORWARD_LISTEN", "127.0.0.1:0")]; // wins over the file's
    let done = run(&settings, &["user", "list", "--settings", &file], "");
    assert_refused(&done, 1, &folder.path(".s.PGSQL."));
    assert_eq!(caller.join().unwrap(), if me.is_root() { daemon } else { me.as_raw() });

    let url = ("DATABASE_URL", "postgres://127.0.0.1:1/none");
    let asked = run(&[url, settings[0]], &["user", "list", "--settings", &file], "");
    assert_refused(&asked, 1, "DATABASE_URL: 127.0.0.1:1: ");
    let given = ["user", "list", "--settings", &file, "--database-url", url.1];
    assert_refused(&run(&settings, &given, ""), 1, "DATABASE_URL: 127.0.0.1:1: ");
}

#[test]
fn settings_that_cannot_be_read_are_one_line_that_says_what_to_type() {
    let folder = Folder::new();
    let file = folder.write("doorward.env", "DOORWARD_SITE_NAME=x\n");
    let command = ["user", "list", "--settings", &file];
    assert_refused(
        &run(&[], &command, ""),
        2,
        &format!("DATABASE_URL: not set, and not in {file}"),
    );
    let nowhere = folder.path("nowhere");
    assert_refused(&run(&[], &["check", "--settings", &nowhere], ""), 2, &nowhere);

    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read everything, and nobody may enter root's folders.
    let program = folder.path("doorward");
    fs::copy(PROGRAM, &program).unwrap();
    let as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let wrapper = if geteuid().is_root() { &as_nobody[..] } else { &["env"] };
    let mut typed = Command::new(wrapper[0]);
    typed.args(&wrapper[1..]);
    let done = outcome(typed.arg(&program).args(command).env_remove("DATABASE_URL"));
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(2), "{said}");
    assert!(said.ends_with(&format!("may read {file}: type sudo before the command\n")), "{said}");
    assert_eq!(said.matches('\n').count(), 1);
}

#[test]
fn check_names_everything_that_would_end_the_start() {
    let site = Site::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let hidden = Folder(format!("/tmp/doorward-hidden-{}", std::process::id()).into());
    fs::create_dir_all(&hidden.0).unwrap();
    let settings = [
        ("DATABASE_URL", &*site.url),
        ("DOORWARD_LISTEN", &address),
        ("DOORWARD_SESSION_IDLE", "13h"),
        ("DOORWARD_FILES", "/nowhere"),
        ("DOORWARD_LISTN", "x"),
    ];
    let told = run(&settings, &["check"], "");
    for line in [
        "✗ settings: DOORWARD_SESSION_IDLE: 13h is longer than DOORWARD_SESSION_LIFETIME, 12h",
        &format!("✗ address: {address}: Address already in use"),
        "✗ members' folder: DOORWARD_FILES: /nowhere cannot be listed: ",
    ] {
        assert!(told.out.lines().any(|found| found.starts_with(line)), "{line}: {told:?}");
    }
    assert!(told.out.contains("DOORWARD_LISTN is no setting") && told.status == 1, "{told:?}");

    let folder = hidden.0.to_str().unwrap();
    let told = run(&[NOBODY, ("DOORWARD_FILES", folder)], &["check"], "");
    assert!(
        told.out.contains(&format!("✗ members' folder: {folder}: doorward.service cannot see"))
    );

    let (database, role) = (Database::new(), format!("poor_{}", std::process::id()));
    let mut sql = Client::connect(&database.url(), NoTls).unwrap();
    sql.batch_execute(&format!(
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC;
         CREATE ROLE {role} LOGIN"
    ))
    .unwrap();
    let url = database.url().replace("user=doorward", &format!("user={role}"));
    let told = run(&[("DATABASE_URL", &url)], &["check"], "");
    sql.batch_execute(&format!("DROP ROLE {role}")).unwrap();
    assert!(told.out.contains("this user needs the right to make tables"), "{told:?}");
}

#[test]
fn every_migration_in_the_folder_is_compiled_in() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/sql");
    let files = fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let migrations = files.filter(|name| name.starts_with('V')).count();
    let applied = Site::new().count("SELECT count(*) FROM refinery_schema_history");
    assert_eq!(applied, i64::try_from(migrations).unwrap());
}
