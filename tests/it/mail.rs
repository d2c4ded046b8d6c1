//! Mail, to a real server: who gets what, and that no page waits for it.

use std::time::{Duration, Instant};

use doorward::Config;

use super::second_factor::{set_up, with_second_factor};
use crate::support::browser::Browser;
use crate::support::command::{PUBLIC_URL, Run, run, user};
use crate::support::log::of_any_thread;
use crate::support::log::record;
use crate::support::programs::free_port;
use crate::support::site::{NEW_PASSWORD, PASSWORD, Site, handler, is_in, log_in, register};
use crate::support::smtp::{Smtp, link_in};
use crate::support::until;

const ADA: &str = "ada@example.org";
const ON_ITS_WAY: &str = "If there is an account with that email, a link is on its way.";

/// The settings for mail by that server.
fn by(port: u16) -> impl FnOnce(&mut Config) {
    move |config| {
        config.smtp = format!("smtp://127.0.0.1:{port}");
        config.mail_from = Some("Chess Club <doorward@members.example.org>".parse().unwrap());
        config.public_url = Some(PUBLIC_URL.parse().unwrap());
        "Chess Club".clone_into(&mut config.site_name);
        config.contact = Some("mailto:club@example.org".parse().unwrap());
    }
}

/// A mail server, a site that sends its mail by it, and Ada, who is a member.
fn site_of_ada() -> (Smtp, Site) {
    let smtp = Smtp::start("plain", &[]);
    let site = Site::with(by(smtp.port));
    register(&mut Browser::new(&handler(&site.app)), "Ada", ADA);
    (smtp, site)
}

/// `doorward user …` with the site's database and that mail server.
fn user_with_mail(site: &Site, smtp: &Smtp, arguments: &[&str], input: &str) -> Run {
    let settings = [
        ("DATABASE_URL", &*site.url),
        ("DOORWARD_PUBLIC_URL", PUBLIC_URL),
        ("DOORWARD_SMTP", &format!("smtp://127.0.0.1:{}", smtp.port)),
        ("DOORWARD_MAIL_FROM", "doorward@members.example.org"),
    ];
    run(&settings, &[&["user"], arguments].concat(), input)
}

/// Asks for a link from an address of one's own.
fn ask(site: &Site, address: &str, email: &str) {
    let app = handler(&site.app);
    let mut browser = Browser::new(&app).at(address);
    let answer = browser.post("/password", &[("email", email)]);
    assert_eq!(answer.location(), "/login");
    assert_eq!(browser.follow(answer).texts("[role=status]"), [ON_ITS_WAY], "{email}");
}

#[test]
fn asvs_6_4_3_whoever_has_forgotten_the_password_gets_a_link_and_chooses_another() {
    let (smtp, site) = site_of_ada();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    let login = ada.get("/login");
    assert_eq!(login.attributes("main a[href='/password']", "href").len(), 1);
    let form = ada.get("/password").form("/password");
    // Whatever a visitor says of the host, the link leads to the public URL.
    ada.headers = vec![("Host".to_owned(), "evil.example".to_owned())];
    ada.headers.push(("X-Forwarded-Host".to_owned(), "evil.example".to_owned()));
    let answer = ada.submit(form, &[("Email", " ADA@example.org ")]);
    assert_eq!(answer.location(), "/login");
    assert_eq!(ada.follow(answer).texts("[role=status]"), [ON_ITS_WAY]);
    let mail = smtp.wait_for(1).remove(0);
    for line in [
        "envelope: doorward@members.example.org ada@example.org",
        "session: members.example.org plain",
        "From: Chess Club <doorward@members.example.org>",
        "To: ada@example.org",
        "Subject: Chess Club: a new password",
        "https://members.example.org/",
        "Contact: mailto:club@example.org",
    ] {
        assert!(mail.lines().any(|found| found == line), "{line}: {mail}");
    }
    assert!(mail.contains("\nDate: ") && mail.contains("@members.example.org>\n"), "{mail}");
    assert!(!mail.contains("evil.example") && !mail.contains("Lovelace"), "{mail}");
    let opened = ada.get(&link_in(&mail));
    let form = ada.follow(opened).form("/password");
    let [_, (_, new), _] = NEW_PASSWORD;
    let done = ada.submit(form, &[("New password", new), ("New password again", new)]);
    assert_eq!(done.location(), "/login");
    assert!(!is_in(&mut ada), "a link is no login");
    assert_eq!(log_in(&mut ada, ADA, new).status, 303);
    assert!(smtp.wait_for(2)[1].contains("Subject: Chess Club: your password was changed\n"));
}

#[test]
fn asvs_6_3_7_the_owner_is_told_of_a_changed_password_and_a_changed_email() {
    let (smtp, site) = site_of_ada();
    let app = handler(&site.app);
    let mut ada = Browser::new(&app);
    log_in(&mut ada, ADA, PASSWORD);
    assert_eq!(ada.post("/password", &NEW_PASSWORD).location(), "/secret");
    let mail = &smtp.wait_for(1)[0];
    assert!(mail.contains("To: ada@example.org\n"), "{mail}");
    assert!(mail.contains("The password of your account was changed."), "{mail}");

    let command = |arguments: &[&str], input: &str| {
        let done = user_with_mail(&site, &smtp, arguments, input);
        assert_eq!((done.status, &*done.out), (0, ""), "{done:?}");
    };
    command(&["password", ADA], PASSWORD);
    command(&["change", ADA, "--email", "king@example.org"], "");
    command(&["change", "king@example.org", "--first-name", "Augusta"], "");
    command(&["reset", "king@example.org", "--mail"], "");
    command(&["invite", "eva@example.org", "--mail"], "");
    let mails = smtp.wait_for(5);
    let found = |mail: &String, name: &str| {
        let line = mail.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_once(": ").unwrap().1.to_owned()
    };
    let told: Vec<_> = mails.iter().map(|m| (found(m, "To"), found(m, "Subject"))).collect();
    let expected = [
        (ADA, "Chess Club: your password was changed"),
        (ADA, "doorward: your password was changed"),
        (ADA, "doorward: your email was changed"),
        ("king@example.org", "doorward: a new password"),
        ("eva@example.org", "doorward: invitation"),
    ];
    assert_eq!(told, expected.map(|(to, subject)| (to.to_owned(), subject.to_owned())));
    assert!(link_in(&mails[3]).starts_with("/password?reset="));
    let mut eva = Browser::new(&app);
    let opened = eva.get(&link_in(&mails[4]));
    assert_eq!(eva.follow(opened).attributes("#email", "value"), ["eva@example.org"]);
}

#[test]
fn asvs_6_3_7_the_owner_is_told_of_a_second_factor_that_is_turned_on_or_off_by_whomever() {
    let smtp = Smtp::start("plain", &[]);
    let site = Site::with(by(smtp.port));
    let app = handler(&site.app);
    let (mut ada, _) = with_second_factor(&app, ADA);
    ada.post("/second-factor/off", &[]);
    smtp.wait_for(2);
    set_up(&mut ada);
    smtp.wait_for(3);
    user_with_mail(&site, &smtp, &["second-factor", ADA, "off"], "");
    for mail in smtp.wait_for(4) {
        assert!(mail.contains("To: ada@example.org\n"), "{mail}");
        assert!(mail.contains("The second factor of your account was changed."), "{mail}");
    }
}

#[test]
fn asvs_6_6_1_to_6_6_3_three_links_an_hour_for_an_email_and_ten_for_a_network_and_no_word_of_it() {
    let (smtp, site) = site_of_ada();
    let app = handler(&site.app);
    register(&mut Browser::new(&app), "Bob", "bob@example.org");
    for n in 0..5 {
        ask(&site, &format!("192.0.2.{n}"), ["ada@example.org", "ADA@Example.org"][n % 2]);
    }
    ask(&site, "192.0.2.9", "bob@example.org");
    let to_bob = |mail: &String| mail.contains("To: bob@example.org\n");
    until(|| smtp.mails().iter().any(to_bob));
    assert_eq!(smtp.mails().len(), 3 + 1, "in order, so no other is on its way");
    for n in 0..10 {
        ask(&site, "198.51.100.1", &format!("nobody{n}@example.org"));
    }
    ask(&site, "198.51.100.1", "bob@example.org");
    ask(&site, "198.51.100.2", "bob@example.org");
    smtp.wait_for(5);
    user(&site.url, "disable", &[ADA], "");
    ask(&site, "203.0.113.1", &"x".repeat(60_000));
    ask(&site, "203.0.113.2", "no address");
    ask(&site, "203.0.113.3", "bob@example.org");
    assert_eq!(smtp.wait_for(6).iter().filter(|mail| to_bob(mail)).count(), 3);
    assert_eq!(site.count("SELECT count(*) FROM links"), 3, "Ada's have ended");
}

#[test]
fn asvs_6_3_8_known_and_unknown_emails_get_the_same_answer_in_the_same_time() {
    let (_smtp, site) = site_of_ada();
    let copies = "INSERT INTO users (first_name, last_name, email, email_folded, pwdhash)
        SELECT 'A', 'B', n || '@example.org', n || '@example.org', pwdhash
        FROM users, generate_series(0, 19) AS n";
    site.sql().batch_execute(copies).unwrap();
    let app = handler(&site.app);
    let mut times = [Vec::new(), Vec::new()];
    for n in 0..20 {
        let mut answers = Vec::new();
        for (known, emails) in times.iter_mut().zip(["example.org", "example.com"]) {
            let mut browser = Browser::new(&app).at(&format!("192.0.2.{n}"));
            let begun = Instant::now();
            let answer = browser.post("/password", &[("email", &format!("{n}@{emails}"))]);
            known.push(begun.elapsed());
            let heads: Vec<_> =
                answer.headers.into_iter().filter(|h| h.0 != "Set-Cookie").collect();
            answers.push((answer.status, heads, answer.bytes));
        }
        assert_eq!(answers[0], answers[1]);
    }
    let [known, unknown] = times.map(|mut times| {
        times.sort();
        times[10]
    });
    let noise = Duration::from_millis(5);
    assert!(known < unknown * 3 + noise && unknown < known * 3 + noise, "{known:?} {unknown:?}");
}

#[test]
fn a_server_that_cannot_take_a_mail_now_gets_it_later_and_one_that_will_not_is_a_line_in_the_log() {
    record();
    let (smtp, site) = site_of_ada();
    let app = handler(&site.app);
    for name in ["bob", "eva"] {
        register(&mut Browser::new(&app), "Bob", &format!("{name}@refused.example"));
    }
    smtp.answer(
        "RCPT 451 later\nRCPT 550 no such user\nRCPT 250 OK\nDATA 554 spam\nRCPT 451 later\n",
    );
    ask(&site, "192.0.2.1", ADA);
    ask(&site, "192.0.2.2", "bob@refused.example");
    ask(&site, "192.0.2.3", "eva@refused.example");
    assert!(smtp.wait_for(1)[0].contains("To: ada@example.org\n"));
    until(|| smtp.has_answered() && of_any_thread("@refused.example\": ").len() == 2);
    let lines = of_any_thread("mail: not sent to");
    let about = |sign: &str| lines.iter().filter(|line| line.contains(sign)).count();
    assert_eq!((about("bob@refused.example"), about("550")), (1, 1), "{lines:?}");
    assert_eq!((about("eva@refused.example"), about("554")), (1, 1), "{lines:?}");
    assert_eq!(about("451"), 0, "{lines:?}");
    assert_eq!(smtp.mails().len(), 1);
    assert_eq!(site.count("SELECT count(*) FROM links"), 3, "each try sends the same mail");
}

#[test]
fn a_server_that_is_away_or_silent_delays_no_page_and_gets_the_mail_when_it_is_back() {
    let port = free_port();
    let site = Site::with(by(port));
    register(&mut Browser::new(&handler(&site.app)), "Ada", ADA);
    ask(&site, "192.0.2.1", ADA);
    let smtp = Smtp::at(port, "plain", &[]);
    smtp.wait_for(1);
    // It gives up after 10 s, and 10 s for a goodbye, and tries again.
    smtp.answer("MAIL wait\n");
    ask(&site, "192.0.2.2", ADA);
    until(|| smtp.has_answered());
    let begun = Instant::now();
    ask(&site, "192.0.2.3", ADA);
    let app = handler(&site.app);
    for path in ["/", "/login", "/password"] {
        Browser::new(&app).get(path);
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "while it is silent");
    assert_eq!(smtp.mails().len(), 1);
    smtp.wait_for(3);
}

#[test]
fn the_queue_is_bounded_and_what_finds_no_room_is_a_line_in_the_log() {
    record();
    let (smtp, site) = site_of_ada();
    smtp.answer("MAIL wait\n");
    ask(&site, "192.0.2.1", ADA);
    until(|| smtp.has_answered());
    let app = handler(&site.app);
    for n in 0..1_001_u32 {
        let [.., a, b] = n.to_be_bytes();
        let mut stranger = Browser::new(&app).at(&format!("10.0.{a}.{b}"));
        stranger.post("/password", &[("email", &format!("{n}@example.com"))]);
    }
    let lines = of_any_thread("because 1000 wait already");
    assert_eq!(lines, ["mail: one was dropped, because 1000 wait already"]);
}
