//! A real mail server.

use std::fs;
use std::process::{Command, Stdio};

use rcgen::{CertificateParams, KeyPair};

use super::programs::{Folder, Running, free_port};
use super::until;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/smtp.py");

/// An address of this machine that no program takes for that: mail to it needs TLS.
pub const ELSEWHERE: &str = "0.0.0.0";

/// aiosmtpd, with a certificate for [`ELSEWHERE`].
pub struct Smtp {
    folder: Folder,
    _running: Running,
    pub port: u16,
}

impl Smtp {
    /// One that speaks `plain`, `starttls` or `tls`, and lets everybody in, or only a user with a password.
    pub fn start(kind: &str, login: &[&str]) -> Smtp {
        Smtp::at(free_port(), kind, login)
    }

    pub fn at(port: u16, kind: &str, login: &[&str]) -> Smtp {
        let folder = Folder::new();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([ELSEWHERE.to_owned()]).unwrap();
        folder.write("key.pem", &key.serialize_pem());
        folder.write("certificate.pem", &certificate.self_signed(&key).unwrap().pem());
        // The one for which Debian's packages are.
        let mut command = Command::new("/usr/bin/python3");
        command.args([SCRIPT, folder.0.to_str().unwrap(), &port.to_string(), kind]).args(login);
        let running = Running::start(command.stdin(Stdio::piped()), &folder.path("log"));
        Smtp { _running: running.listening(port), folder, port }
    }

    /// What a client must trust.
    pub fn certificate(&self) -> String {
        self.folder.path("certificate.pem")
    }

    /// What the server answers from now on, a line for a command, each once.
    pub fn answer(&self, lines: &str) {
        self.folder.write("answers", lines);
    }

    /// How many of these answers it has not given yet.
    pub fn left(&self) -> usize {
        fs::read_to_string(self.folder.path("answers")).unwrap_or_default().lines().count()
    }

    /// Whether it has given all these answers.
    pub fn has_answered(&self) -> bool {
        self.left() == 0
    }

    /// The mails so far: heads, an empty line, the text.
    pub fn mails(&self) -> Vec<String> {
        let paths = (1..).map(|number| self.folder.path(&format!("mail-{number}")));
        paths.map_while(|path| fs::read_to_string(path).ok()).collect()
    }

    /// Waits for that many mails.
    pub fn wait_for(&self, count: usize) -> Vec<String> {
        until(|| self.mails().len() >= count);
        self.mails()
    }
}

/// The path and query of the link in a mail.
pub fn link_in(mail: &str) -> String {
    let (_, text) = mail.split_once("\n\n").unwrap();
    let url = text.lines().find(|line| line.starts_with("https://") && line.contains('='));
    let url = url.unwrap_or_else(|| panic!("no link alone on its line: {mail}"));
    url::Url::parse(url).unwrap()[url::Position::BeforePath..].to_owned()
}
