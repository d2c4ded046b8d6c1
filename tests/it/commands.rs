//! The command line: the real program, beside a server.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use crate::support::browser::Browser;
use crate::support::command::{PROGRAM, PUBLIC_URL, assert_refused, run, user};
use crate::support::site::{Database, PASSWORD, Site, handler, log_in};
use crate::support::until;

const ADA: [&str; 5] = ["ada@example.org", "--first-name", "Ada", "--last-name", "Lovelace"];

/// Passwords of another user.
const BOBS: &str = "heron 19 basalt tulip";
const NEXT: &str = "walnut 63 ferry onyx";

/// Asks until `is_so`. Whoever asks a second after `now` must hear of it, however long the answer takes.
fn within_a_second(mut is_so: impl FnMut() -> bool) {
    let now = Instant::now();
    loop {
        let asked = now.elapsed();
        if is_so() {
            return;
        }
        assert!(asked < Duration::from_secs(1), "not after {asked:?}");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn users_are_added_listed_given_passwords_and_removed() {
    let site = Site::new();
    let added = user(&site.url, "add", &ADA, &format!("{PASSWORD}\n"));
    let told = "doorward: added ada@example.org\n";
    assert_eq!((added.status, added.out.as_str(), added.err.as_str()), (0, "", told));
    let bob = ["bob@example.org", "--first-name", "Bób", "--last-name", "B C"];
    assert_eq!(user(&site.url, "add", &bob, &format!("{BOBS}\n")).status, 0);

    let list = user(&site.url, "list", &[], "").out;
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows[0][..3], ["ada@example.org", "Ada", "Lovelace"]);
    assert_eq!(rows[1][..3], ["bob@example.org", "Bób", "B C"]);
    assert!(humantime::parse_rfc3339(rows[0][3]).is_ok() && rows.len() == 2, "{list}");

    let app = handler(&site.app);
    let status = |email, password| log_in(&mut Browser::new(&app), email, password).status;
    assert_eq!(status("ada@example.org", PASSWORD), 303);
    assert_eq!(status("bob@example.org", BOBS), 303);
    assert_eq!(user(&site.url, "password", &["BOB@example.org"], NEXT).out, "");
    assert_eq!(status("bob@example.org", BOBS), 401);
    assert_eq!(status("bob@example.org", NEXT), 303);
    assert_eq!(user(&site.url, "remove", &["bob@example.org", "--yes"], "").status, 0);
    assert_eq!(status("bob@example.org", NEXT), 401);
    assert_eq!(site.count("SELECT count(*) FROM users"), 1);
}

#[test]
fn asvs_7_4_5_a_running_server_notices_within_a_second() {
    let site = Site::new();
    user(&site.url, "add", &ADA, PASSWORD);
    let app = handler(&site.app);
    let typed = format!("{PASSWORD}!\n");
    for (command, arguments, told) in [
        ("logout", vec!["ada@example.org"], "sessions ended: 1\n"),
        ("password", vec!["ada@example.org"], "sessions ended: 1\n"),
        ("remove", vec!["ada@example.org", "--yes"], "removed ada@example.org\n"),
    ] {
        let mut ada = Browser::new(&app);
        let mut log_in = |password| log_in(&mut ada, "ada@example.org", password).status == 303;
        assert!([PASSWORD, typed.trim_end()].into_iter().any(&mut log_in));
        assert_eq!(ada.get("/secret").status, 200);
        let done = user(&site.url, command, &arguments, &typed);
        assert!(done.status == 0 && done.err.ends_with(told), "{command}: {done:?}");
        within_a_second(|| ada.get("/secret").status == 303);
    }
}

#[test]
fn what_cannot_be_done_is_one_line_and_status_1_and_what_cannot_be_meant_is_status_2() {
    let database = Database::new();
    let url = database.url();
    user(&url, "add", &ADA, PASSWORD);
    let nobody = ["nobody@example.org"];
    for (status, command, arguments, input, part) in [
        (1, "add", &ADA[..], PASSWORD, "ada@example.org has an account already"),
        (1, "add", &ADA, "short\n", "Use at least 8 characters."),
        (1, "add", &ADA, "", "Use at least 8 characters."),
        (1, "add", &ADA, "lovelace1\n", "too easy to guess"),
        (1, "add", &["ada@", "--first-name", "A", "--last-name", "B"], PASSWORD, "email: Enter an"),
        (1, "add", &["a@b.de", "--first-name", " ", "--last-name", "B"], PASSWORD, "first name: "),
        (1, "add", &["a@b.de", "--first-name", "A\tB", "--last-name", "B"], PASSWORD, "letters"),
        (1, "password", &nobody, PASSWORD, "no user has the email \"nobody@example.org\""),
        (1, "password", &ADA[..1], "password", "too easy to guess"),
        (1, "remove", &nobody, "", "no user has the email"),
        (1, "remove", &ADA[..1], "yes\n", "add --yes"),
        (1, "logout", &["a\nb"], "", "no user has the email \"a\\nb\""),
        (2, "add", &["a@b.de"], "", "--first-name"),
        (2, "logout", &[], "", "<EMAIL>"),
        (2, "list", &["--frob"], "", "--frob"),
        (2, "frob", &[], "", "frob"),
    ] {
        assert_refused(&user(&url, command, arguments, input), status, part);
    }
    let nowhere = ["--settings", "/nowhere"]; // the service may be installed here
    assert_refused(&user("", "list", &nowhere, ""), 2, "DATABASE_URL: not set");
    assert_refused(&user("host=/nowhere", "list", &[], ""), 1, "DATABASE_URL: ");
    assert_eq!(user(&url, "list", &[], "").out.lines().count(), 1);
}

/// A terminal with a command of ours on it.
struct Terminal {
    screen: File,
    program: Child,
}

impl Terminal {
    fn run(url: &str, command: &str) -> Terminal {
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        unlockpt(&screen).unwrap();
        let name = ptsname(&screen, Vec::new()).unwrap().into_string().unwrap();
        let end = || File::options().read(true).write(true).open(&name).unwrap();
        let mut program = Command::new("setsid");
        program.args(["--ctty", PROGRAM]).args(command.split(' ')).env_clear();
        program.env("DATABASE_URL", url).env("DOORWARD_BCRYPT_COST", "10");
        let program = program.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        Terminal { screen: screen.into(), program }
    }

    /// What is shown up to and with that text.
    fn wait_for(&mut self, text: &str) -> String {
        let mut shown = Vec::new();
        let mut byte = [0];
        while !shown.ends_with(text.as_bytes()) {
            let read = self.screen.read(&mut byte).unwrap_or_default();
            assert_eq!(read, 1, "{text:?} after {:?}", String::from_utf8_lossy(&shown));
            shown.push(byte[0]);
        }
        String::from_utf8(shown).unwrap()
    }

    fn type_in(&mut self, text: &str) {
        self.screen.write_all(text.as_bytes()).unwrap();
    }

    /// Types once nothing of it is shown: a prompt comes a moment before its echo goes.
    fn type_secret(&mut self, text: &str) {
        until(|| !tcgetattr(&self.screen).unwrap().local_modes.contains(LocalModes::ECHO));
        self.type_in(text);
    }

    /// What is shown after what was waited for, and the status of the end.
    fn end(mut self) -> (String, i32) {
        let mut shown = Vec::new();
        // When the last program has gone, reading fails.
        let _ = self.screen.read_to_end(&mut shown);
        (String::from_utf8(shown).unwrap(), self.program.wait().unwrap().code().unwrap())
    }
}

#[test]
fn a_terminal_is_asked_shows_no_password_and_gets_aligned_columns() {
    let site = Site::new();
    let add = format!("user add {}", ADA.join(" "));
    for (again, status, told) in
        [("another", 1, "The two passwords are not the same."), (PASSWORD, 0, "added ada")]
    {
        let mut terminal = Terminal::run(&site.url, &add);
        terminal.wait_for("Password: ");
        terminal.type_secret(&format!("{PASSWORD}\n"));
        let shown = terminal.wait_for("The same again: ");
        terminal.type_secret(&format!("{again}\n"));
        let (end, code) = terminal.end();
        assert!(code == status && end.contains(told), "{end}");
        assert!(!shown.contains("plover") && !end.contains(again), "{shown}{end}");
    }
    let (list, _) = Terminal::run(&site.url, "user list").end();
    let columns = "EMAIL            FIRST NAME  LAST NAME  REGISTERED            SECOND FACTOR\r\n\
                   ada@example.org  Ada         Lovelace   2";
    assert!(list.starts_with(columns), "{list}");
    for (answer, status, left) in [("\n", 1, 1), ("no\n", 1, 1), ("y\n", 0, 0)] {
        let mut terminal = Terminal::run(&site.url, "user remove ada@example.org");
        terminal.wait_for("Delete ada@example.org (Ada Lovelace) for good? [y/N] ");
        terminal.type_in(answer);
        assert_eq!(terminal.end().1, status);
        assert_eq!(site.count("SELECT count(*) FROM users"), left);
    }
}

#[test]
fn check_says_what_is_wrong_and_what_to_do_and_changes_nothing() {
    let site = Site::new();
    let check = |settings: &[(&str, &str)]| {
        let usual = [
            ("DATABASE_URL", &*site.url),
            ("DOORWARD_BCRYPT_COST", "12"),
            ("DOORWARD_LISTEN", "127.0.0.1:0"),
        ];
        run(&[&usual, settings].concat(), &["check"], "")
    };
    let fine = check(&[]);
    assert_eq!(fine.status, 0, "{fine:?}");
    assert!(fine.out.lines().count() == 10 && fine.out.lines().all(|line| line.starts_with("✓ ")));

    let empty = Database::new();
    for (setting, value, line) in [
        ("DATABASE_URL", "postgres://127.0.0.1:1/x", "✗ database: DATABASE_URL: "),
        ("DATABASE_URL", &empty.url(), "✗ migrations: "),
        ("DOORWARD_LISTEN", "0.0.0.0:0", "✗ public URL: not set although"),
        ("DOORWARD_PUBLIC_URL", "http://example.org", "✗ public URL: http://example.org/ sends"),
        ("DOORWARD_PUBLIC_URL", "http://localhost:8080", "✓ public URL: "),
        ("DOORWARD_PUBLIC_URL", "http://[::1]:8080", "✓ public URL: "),
        ("DOORWARD_PUBLIC_URL", "https://example.org", "✗ trusted proxies: none, so all"),
        ("DOORWARD_TRUSTED_PROXIES", "0.0.0.0/0", "✗ trusted proxies: 0.0.0.0/0 lets everybody"),
        ("DOORWARD_MAX_CONNECTIONS", "1000000000", "✗ open files: at most "),
        (
            "DOORWARD_FILES",
            "/nowhere",
            "✗ members' folder: DOORWARD_FILES: /nowhere cannot be listed: ",
        ),
        ("DOORWARD_FILES", "/usr/share/common-licenses", "✓ members' folder: /usr/share/common-"),
    ] {
        let done = check(&[(setting, value)]);
        assert!(done.out.lines().any(|found| found.starts_with(line)), "{line}: {done:?}");
        assert_eq!(done.status, i32::from(line.starts_with('✗')), "{done:?}");
    }
    let url = url::Url::parse(&empty.url()).unwrap();
    let mut sql = postgres::Client::connect(url.as_str(), postgres::NoTls).unwrap();
    let tables = sql.query_one("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", &[]);
    assert_eq!(tables.unwrap().get::<_, i64>(0), 0, "check makes no tables");

    site.sql()
        .batch_execute(
            "INSERT INTO refinery_schema_history SELECT 9999, name, applied_on, checksum
             FROM refinery_schema_history WHERE version = 1",
        )
        .unwrap();
    assert!(check(&[]).out.contains("✗ migrations: the database is at 9999, this program at "));
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let site = Site::new();
    user(&site.url, "add", &ADA, PASSWORD);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut list = Command::new(PROGRAM);
    list.args(["user", "list"]).env("DATABASE_URL", &site.url).stdout(writer);
    let done = list.output().unwrap();
    assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
}

#[test]
fn what_makes_no_sense_gets_no_link() {
    let site = Site::new();
    user(&site.url, "add", &ADA, PASSWORD);
    let ada = ADA[0];
    for (status, command, email, part) in [
        (1, "invite", "ADA@example.org", "ADA@example.org has an account already"),
        (1, "invite", "nobody@", "email: Enter an email address"),
        (1, "reset", "eva@example.org", "no user has the email \"eva@example.org\""),
        (2, "reset", "", "<EMAIL>"),
    ] {
        let arguments = if email.is_empty() { vec![] } else { vec![email] };
        assert_refused(&user(&site.url, command, &arguments, ""), status, part);
    }
    let nowhere = run(&[("DATABASE_URL", &site.url)], &["user", "reset", ada], "");
    assert_refused(&nowhere, 2, "DOORWARD_PUBLIC_URL: not set, but links start with it");
    let by_mail = user(&site.url, "reset", &[ada, "--mail"], "");
    assert_refused(&by_mail, 1, "there is no mail: set DOORWARD_SMTP");
    assert_eq!(site.count("SELECT count(*) FROM links"), 0);
    let told = user(&site.url, "reset", &[ada], "");
    assert!(told.out.starts_with(&format!("{PUBLIC_URL}/password?reset=")), "{told:?}");
    assert_eq!(told.err.matches('\n').count(), 1, "{told:?}");
}
