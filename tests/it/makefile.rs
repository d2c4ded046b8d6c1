//! The Makefile: what it installs is what the tests call.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::deploy::file;
use crate::support::programs::{Folder, run};

/// What every Debian has, because its packages are marked essential.
const ESSENTIAL: [&str; 10] =
    ["sh", "env", "id", "chmod", "cp", "rm", "grep", "setpriv", "setsid", "unshare"];

/// The programs that the `need` lines of a target name, continued lines included.
fn needed(target: &str) -> BTreeSet<String> {
    let makefile = include_str!("../../Makefile").replace("\\\n", " ");
    let mut recipe =
        makefile.lines().skip_while(|line| !line.starts_with(&format!("{target}:"))).skip(1);
    let recipe = recipe.by_ref().take_while(|line| line.starts_with('\t'));
    let needs = recipe.filter_map(|line| line.trim().strip_prefix("@sql/cluster need "));
    let programs = needs.flat_map(str::split_whitespace);
    programs.map(|need| need.split(':').next().unwrap().to_owned()).collect()
}

/// The programs that the files in a folder call by a name of their own.
fn called(path: &Path) -> BTreeSet<String> {
    if path.is_dir() {
        return fs::read_dir(path)
            .unwrap()
            .flat_map(|entry| called(&entry.unwrap().path()))
            .collect();
    }
    let text = fs::read_to_string(path).unwrap_or_default();
    let calls = text.split("Command::new(\"").skip(1);
    calls.map(|call| call.split('"').next().unwrap().to_owned()).collect()
}

#[test]
fn make_needs_every_program_that_the_tests_call() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let firewall = called(&tests.join("it/fail2ban.rs"));
    for (folder, target) in [
        ("it", "test"),
        ("support", "test"),
        ("it/fail2ban.rs", "firewall-test"),
        ("bench", "bench"),
        ("browser", "browser"),
    ] {
        let called = called(&tests.join(folder));
        assert!(!called.is_empty(), "{folder}");
        let mut known = needed(target);
        if target == "test" {
            known.extend(firewall.iter().cloned());
        }
        known.extend(ESSENTIAL.map(str::to_owned));
        known.insert("make".to_owned()); // which reads those lines
        let missing: Vec<_> = called.difference(&known).collect();
        assert!(missing.is_empty(), "a need line of `make {target}` must name {missing:?}");
    }
}

#[test]
fn make_install_puts_everything_where_the_service_finds_it_and_keeps_settings() {
    let folder = Folder::new();
    let program = folder.write("program", "a program\n");
    let root = folder.path("root");
    let install = || {
        let mut make = Command::new("make");
        make.current_dir(env!("CARGO_MANIFEST_DIR")).arg("install").arg("PREFIX=/opt/door");
        // As if it were built: nothing that it is made of is newer.
        make.args(["-o", &program]).arg(format!("PROGRAM={program}"));
        run(make.arg(format!("DESTDIR={root}")));
    };
    install();
    let units = "root/opt/door/lib/systemd/system";
    for (path, mode, text) in [
        ("root/opt/door/bin/doorward", 0o755, "a program\n".to_owned()),
        (&format!("{units}/doorward.socket"), 0o644, file("systemd/system/doorward.socket")),
        ("root/etc/doorward.env", 0o640, file("doorward.env")),
    ] {
        let path = folder.path(path);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode, "{path}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "{path}");
    }
    let service = fs::read_to_string(folder.path(&format!("{units}/doorward.service"))).unwrap();
    let starts: Vec<_> = service.lines().filter(|line| line.starts_with("ExecStart=")).collect();
    assert_eq!(starts, ["ExecStart=/opt/door/bin/doorward serve"]);

    folder.write("root/etc/doorward.env", "mine\n");
    install();
    let kept = fs::read_to_string(folder.path("root/etc/doorward.env")).unwrap();
    assert_eq!(kept, "mine\n", "what an administrator wrote stays");
}
