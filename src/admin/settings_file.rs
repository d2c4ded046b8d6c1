//! The settings of the installed service, for commands that an administrator types on its server.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::error::StartError;

/// Where the package and `make install` put the settings.
pub const INSTALLED: &str = "/etc/doorward.env";

/// Replaces this process by the same command with the settings of a file, except those that the
/// environment or a flag already contains. If root typed the command, it runs as the service's user, whom
/// PostgreSQL knows. Returns only if nothing is installed.
///
/// # Errors
/// [`StartError::Setting`] if the file cannot be read, or names no database.
pub fn run_again_with(file: &Path) -> Result<(), StartError> {
    let is_unset = |name: &str| env::var_os(name).is_none_or(|value| value.is_empty());
    if !is_unset("DATABASE_URL") {
        return Ok(()); // `--database-url=` without a value hides it, and would again
    }
    let shown = file.display();
    let wrong = |cause| Err(StartError::Setting("DATABASE_URL", format!("not set, and {cause}")));
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound && file == Path::new(INSTALLED) => {
            return Ok(());
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return wrong(format!("only root may read {shown}: type sudo before the command"));
        }
        Err(error) => return wrong(format!("{shown}: {error}")),
    };
    let mut settings = Vec::new();
    for (name, value) in assignments(&text) {
        match unquoted(value) {
            Some(value) => settings.push((name, value)),
            None => return wrong(format!("{shown}: {name} has a backslash or unusual quotes")),
        }
    }
    let url = settings.iter().rfind(|(name, _)| *name == "DATABASE_URL");
    if url.is_none_or(|(_, value)| value.is_empty()) {
        return wrong(format!("not in {shown} either: write postgres://user:password@host/name"));
    }
    // The program's own path may not be open to the other user.
    let mut again = Command::new("/proc/self/exe");
    again.args(env::args_os().skip(1));
    again.envs(settings.into_iter().filter(|(name, _)| is_unset(name)));
    if let Some((uid, gid)) = service_user(file)
        && rustix::process::geteuid().is_root()
    {
        again.uid(uid).gid(gid);
    }
    Err(StartError::System("settings", again.exec()))
}

/// The ids of the service's user and group: of the group that may read the file, and its user.
fn service_user(file: &Path) -> Option<(u32, u32)> {
    let gid = fs::metadata(file).ok()?.gid();
    let users = fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|user| {
        let fields: Vec<&str> = user.split(':').collect();
        let is_member = *fields.get(3)? == gid.to_string();
        is_member.then_some((fields.get(2)?.parse().ok()?, gid))
    })
}

/// The variables of an `EnvironmentFile=` (systemd.exec(5)), one on each line, with their values as they
/// are written there.
fn assignments(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    lines.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.trim(), value.trim()))
}

/// A value without the quotes around it. `None` for the rest of systemd's syntax: backslashes, and values
/// that are quoted in part.
fn unquoted(value: &str) -> Option<&str> {
    if value.contains('\\') {
        return None;
    }
    let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        return Some(value);
    };
    value[1..].strip_suffix(quote).filter(|inner| !inner.contains(quote))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settings_file_is_read_as_systemd_reads_it() {
        let text = "\
# comment=no\n; comment=no\n\nno assignment\n\
PLAIN=chess club  \n\
  INDENTED = \t x\r\n\
DOUBLE=\"host=/run user='a b' \"\n\
SINGLE='a # \"b\"'  \n\
HASH=a#b;c \"d\"\n\
EMPTY=\nAGAIN=1\nAGAIN=2";
        let found = assignments(text).map(|(name, value)| (name, unquoted(value).unwrap()));
        assert_eq!(
            found.collect::<Vec<_>>(),
            [
                ("PLAIN", "chess club"),
                ("INDENTED", "x"),
                ("DOUBLE", "host=/run user='a b' "),
                ("SINGLE", "a # \"b\""),
                ("HASH", "a#b;c \"d\""),
                ("EMPTY", ""),
                ("AGAIN", "1"),
                ("AGAIN", "2"),
            ]
        );
    }

    #[test]
    fn what_systemd_would_read_otherwise_is_refused() {
        for value in [r"a\ b", r#""a\"b""#, r#""a" 'b'c"#, r#""a""b""#, "\"two lines", "'"] {
            assert_eq!(unquoted(value), None, "{value}");
        }
    }
}
