//! The files and blocks of deploy/, and the program with the settings that stand there.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::client::{Answer, fetch};
use super::command::PROGRAM;
use super::programs::{Folder, Running, free_port};
use super::site::PASSWORD;

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
pub fn settings(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.replace('"', "")).collect()
}

/// The program, with the settings of `doorward.env`.
pub fn serve(folder: &Folder, database_url: &str) -> (Running, u16) {
    let port = free_port();
    let mut command = Command::new("env");
    command.args(settings(&file("doorward.env"))).arg(format!("DATABASE_URL={database_url}"));
    command.args([PROGRAM, "serve", "--bcrypt-cost=10", &format!("--listen=127.0.0.1:{port}")]);
    (Running::start(&mut command, &folder.path("log")).listening(port), port)
}

pub fn log_in(port: u16, email: &str, password: &str) -> Answer {
    let fields = [("email", email), ("password", password)];
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    fetch(port, "POST", "/login", "", &body)
}

/// Registers somebody; the cookie.
pub fn register(port: u16, email: &str) -> String {
    let fields = [
        ("first_name", "Ada"),
        ("last_name", "Lovelace"),
        ("email", email),
        ("password", PASSWORD),
        ("confirm", PASSWORD),
    ];
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let answer = fetch(port, "POST", "/register", "", &body);
    let cookie = answer.header("Set-Cookie").unwrap_or_else(|| panic!("{answer:?}"));
    cookie.split(';').next().unwrap().to_owned()
}
