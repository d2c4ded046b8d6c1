//! How the program talks to its mail server: TLS, passwords, settings, and the stop.

use std::process::Command;

use crate::support::browser::Browser;
use crate::support::client::fetch;
use crate::support::command::{PROGRAM, PUBLIC_URL, Run, assert_refused, run};
use crate::support::deploy::{block, settings};
use crate::support::programs::{Folder, Running, free_port};
use crate::support::site::{Database, Site, handler, register};
use crate::support::smtp::{ELSEWHERE, Smtp, link_in};
use crate::support::until;

const FROM: (&str, &str) = ("DOORWARD_MAIL_FROM", "doorward@members.example.org");

/// What `doorward check` says of mail by that server.
fn checked(database: &Database, smtp: &str, trusted: &str) -> String {
    let settings = [
        ("DATABASE_URL", &*database.url()),
        ("DOORWARD_PUBLIC_URL", PUBLIC_URL),
        ("DOORWARD_SMTP", smtp),
        ("SSL_CERT_FILE", trusted),
        FROM,
    ];
    let done = run(&settings, &["check"], "");
    assert!(!format!("{done:?}").contains("geheim"), "{done:?}");
    let line = done.out.lines().find_map(|line| line.split_once(" mail: "));
    let (mark, text) = line.unwrap_or_else(|| panic!("{done:?}"));
    format!("{mark} {text}")
}

#[test]
fn check_says_whether_the_server_answers_and_takes_the_sender() {
    let database = Database::new();
    let login = ["ada lovelace", "geheim/?#"];
    let url = |scheme: &str, password: &str, port: u16| {
        format!("{scheme}://ada%20lovelace:{password}@{ELSEWHERE}:{port}")
    };
    let right = "geheim%2F%3F%23";
    for (kind, scheme) in [("starttls", "smtp"), ("tls", "smtps")] {
        let smtp = Smtp::start(kind, &login);
        let check = |password: &str, trusted: &str| {
            checked(&database, &url(scheme, password, smtp.port), trusted)
        };
        let fine = check(right, &smtp.certificate());
        assert_eq!(fine, "✓ the server answers and takes the sender", "{kind}");
        let wrong = check("geheim", &smtp.certificate());
        assert!(wrong.starts_with("✗ DOORWARD_SMTP: ") && wrong.contains("535"), "{kind}: {wrong}");
        let unknown = check(right, "/etc/ssl/certs/ca-certificates.crt");
        assert!(unknown.contains("certificate"), "{kind}: {unknown}");
        smtp.answer("MAIL 550 not you\n");
        assert!(check(right, &smtp.certificate()).contains("not you"));
        assert_eq!(smtp.mails().len(), 0, "nothing was sent");
    }
    // Nobody on the way may read along.
    let plain = Smtp::start("plain", &[]);
    let refused = checked(&database, &url("smtp", right, plain.port), &plain.certificate());
    assert!(refused.contains("STARTTLS is not supported"), "{refused}");
    let here = checked(&database, &format!("smtp://localhost:{}", plain.port), "");
    assert_eq!(here, "✓ the server answers and takes the sender");
    let nobody = checked(&database, &format!("smtp://127.0.0.1:{}", free_port()), "");
    assert!(nobody.contains("Connection refused"), "{nobody}");
    assert!(checked(&database, "", "").starts_with("✓ none"));
}

#[test]
fn a_mail_goes_by_tls_with_a_password() {
    let site = Site::new();
    register(&mut Browser::new(&handler(&site.app)), "Ada", "ada@example.org");
    for (kind, scheme) in [("starttls", "smtp"), ("tls", "smtps")] {
        let smtp = Smtp::start(kind, &["ada", "geheim"]);
        let url = format!("{scheme}://ada:geheim@{ELSEWHERE}:{}", smtp.port);
        let reset = |trusted: &str| {
            let settings = [
                ("DATABASE_URL", &*site.url),
                ("DOORWARD_PUBLIC_URL", PUBLIC_URL),
                ("DOORWARD_SMTP", &url),
                ("SSL_CERT_FILE", trusted),
                FROM,
            ];
            run(&settings, &["user", "reset", "ada@example.org", "--mail"], "")
        };
        let sent = reset(&smtp.certificate());
        assert_eq!((sent.status, &*sent.out), (0, ""), "{sent:?}");
        let mail = smtp.wait_for(1).remove(0);
        assert!(mail.contains("session: members.example.org tls\n"), "{mail}");
        assert!(link_in(&mail).starts_with("/password?reset="));
        assert_refused(&reset("/dev/null"), 1, "mail to ada@example.org: ");
        assert_eq!(smtp.mails().len(), 1);
    }
}

#[test]
fn settings_that_cannot_work_end_the_start_without_a_word_of_the_password() {
    let database = Database::new();
    let start = |smtp: &str, more: &[(&str, &str)]| -> Run {
        let usual = [("DATABASE_URL", &*database.url()), ("DOORWARD_SMTP", smtp)];
        run(&[&usual[..], more].concat(), &["serve", "--listen=127.0.0.1:0"], "")
    };
    let public = ("DOORWARD_PUBLIC_URL", PUBLIC_URL);
    for smtp in [
        "mail.example.org",
        "https://u:geheim@mail.example.org",
        "smtp://",
        "smtps://u:ge#heim@mail.example.org",
        "smtps://u:ge/heim@mail.example.org",
        "smtps://u:ge?heim@mail.example.org",
        "smtps://u:geheim@mail.example.org:x",
        "smtps://u:geheim@mail.example.org/path",
    ] {
        let refused = start(smtp, &[FROM, public]);
        assert_refused(&refused, 2, "DOORWARD_SMTP: write smtps://user:password@host");
        let said = refused.err.replace("user:password", "");
        assert!(!said.contains("heim") && !said.contains("mail.example.org"), "{refused:?}");
    }
    let fine = "smtps://u:geheim@mail.example.org";
    assert_refused(&start(fine, &[public]), 2, "DOORWARD_MAIL_FROM: not set, but DOORWARD_SMTP");
    assert_refused(&start(fine, &[FROM]), 2, "DOORWARD_PUBLIC_URL: not set, but DOORWARD_SMTP");
    let odd = [("DOORWARD_MAIL_FROM", "nobody at all"), public];
    assert_refused(&start(fine, &odd), 2, "write doorward@members.example.org");
    let help = run(&[("DOORWARD_SMTP", fine)], &["serve", "--help"], "").out;
    assert!(help.contains("[env: DOORWARD_SMTP]") && !help.contains("geheim"), "{help}");
}

#[test]
fn the_lines_of_the_guide_are_settings_that_work() {
    let database = Database::new();
    let lines = settings(&block("mail.env"));
    let pairs = lines.iter().map(|line| line.split_once('=').unwrap());
    let url = database.url();
    let pairs: Vec<_> = pairs.chain([("DATABASE_URL", &*url)]).collect();
    let refused = run(&pairs, &["serve", "--listen=127.0.0.1:0"], "");
    assert_refused(&refused, 2, "DOORWARD_PUBLIC_URL: not set, but DOORWARD_SMTP needs it");
}

#[test]
fn what_waits_at_a_stop_is_sent_and_what_cannot_be_is_a_line_without_an_address() {
    for (answer, is_sent) in [("RCPT 451 later\n", true), ("RCPT 451 later\nMAIL wait\n", false)] {
        let (folder, site, smtp) = (Folder::new(), Site::new(), Smtp::start("plain", &[]));
        register(&mut Browser::new(&handler(&site.app)), "Ada", "ada@example.org");
        let port = free_port();
        let mut command = Command::new(PROGRAM);
        command.env_clear().arg("serve").envs([
            ("DATABASE_URL", &*site.url),
            ("DOORWARD_LISTEN", &format!("127.0.0.1:{port}")),
            ("DOORWARD_PUBLIC_URL", "http://localhost"),
            ("DOORWARD_SMTP", &format!("smtp://127.0.0.1:{}", smtp.port)),
            ("DOORWARD_SHUTDOWN_TIMEOUT", "2s"),
            FROM,
        ]);
        let server = Running::start(&mut command, &folder.path("log")).listening(port);
        smtp.answer(answer);
        let asked = fetch(port, "POST", "/password", "", "email=ada%40example.org");
        assert_eq!(asked.status, 303);
        until(|| smtp.left() == usize::from(!is_sent));
        let (status, log) = server.end();
        assert!(status.success(), "{log}");
        assert_eq!(smtp.mails().len(), usize::from(is_sent), "{log}");
        let lost = "mail: not sent before the stop: 1\n";
        assert_eq!(log.contains(lost), !is_sent, "{log}");
        assert!(!log.contains("mail: not sent to"), "{log}");
    }
}
