//! The settings of the installed service, for commands that an administrator types on its server.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
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
pub fn run_again_with(file: &str) -> Result<(), StartError> {
    let is_unset = |name: &str| env::var_os(name).is_none_or(|value| value.is_empty());
    if !is_unset("DATABASE_URL") {
        return Ok(()); // `--database-url=` without a value hides it, and would again
    }
    let wrong = |cause| StartError::Setting("DATABASE_URL", format!("not set, and {cause}"));
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound && file == INSTALLED => return Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Err(wrong(format!("only root may read {file}: type sudo before the command")));
        }
        text => text.map_err(|error| wrong(format!("{file}: {error}")))?,
    };
    let settings = parse(&text).map_err(|cause| wrong(format!("{file}: {cause}")))?;
    if settings.get("DATABASE_URL").is_none_or(|url| url.is_empty()) {
        let cause = format!("not in {file} either: write postgres://user:password@host/name");
        return Err(wrong(cause));
    }
    // The program's own path may not be open to the other user.
    let mut again = Command::new("/proc/self/exe");
    again.args(env::args_os().skip(1));
    again.envs(settings.into_iter().filter(|(name, _)| is_unset(name)));
    if let Some((uid, gid)) = service_user(file).filter(|_| rustix::process::geteuid().is_root()) {
        again.uid(uid).gid(gid);
    }
    Err(StartError::System("settings", again.exec()))
}

/// The ids of the service's user and group: of the group that may read the file, and its user.
fn service_user(file: &str) -> Option<(u32, u32)> {
    let gid = fs::metadata(file).ok()?.gid();
    let users = fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|user| {
        let [_, _, uid, group, ..] = user.split(':').collect::<Vec<_>>()[..] else { return None };
        (group == gid.to_string()).then_some((uid.parse().ok()?, gid))
    })
}

/// The variables of an `EnvironmentFile=` (systemd.exec(5)), one on each line. Of systemd's syntax, backslashes
/// and values that are quoted in part are refused.
fn parse(text: &str) -> Result<HashMap<&str, &str>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    let variables = lines.filter_map(|line| line.split_once('=')).map(|(name, value)| {
        let odd = || format!("{name} has a backslash or unusual quotes");
        Ok((name.trim(), unquoted(value.trim()).ok_or_else(odd)?))
    });
    variables.collect()
}

/// A value without the quotes around it.
fn unquoted(value: &str) -> Option<&str> {
    let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        return Some(value).filter(|value| !value.contains('\\'));
    };
    value[1..].strip_suffix(quote).filter(|inner| !inner.contains([quote, '\\']))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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
        let found = parse(text).unwrap().into_iter().collect::<BTreeMap<_, _>>();
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [
                ("AGAIN", "2"),
                ("DOUBLE", "host=/run user='a b' "),
                ("EMPTY", ""),
                ("HASH", "a#b;c \"d\""),
                ("INDENTED", "x"),
                ("PLAIN", "chess club"),
                ("SINGLE", "a # \"b\""),
            ]
        );
    }

    #[test]
    fn what_systemd_would_read_otherwise_is_refused() {
        for value in [r"a\ b", r#""a\"b""#, r#""a" 'b'c"#, r#""a""b""#, "\"two lines", "'"] {
            assert!(parse(&format!("A=1\nX={value}")).is_err(), "{value}");
        }
    }
}
