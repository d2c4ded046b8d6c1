//! The settings of the installed service, for commands that are typed on its server.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::iter;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::error::StartError;

/// Where the package and `make install` put the settings.
pub const INSTALLED: &str = "/etc/doorward.env";

/// Where in a value a character stands.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// Before or between words. Blanks here do not count.
    Blanks,
    /// In a word without quotes. Blanks at its end do not count.
    Word,
    /// In quotes of that kind.
    Quotes(char),
}

/// Runs this program again with the settings of a file, where neither environment nor flags say
/// otherwise; as root, as the service's user, whom PostgreSQL knows. Returns only if nothing is
/// installed.
///
/// # Errors
/// [`StartError::Setting`] if the file cannot be read or names no database.
pub fn run_again_with(file: &Path) -> Result<(), StartError> {
    let is_unset = |name: &str| env::var_os(name).is_none_or(|value| value.is_empty());
    if !is_unset("DATABASE_URL") {
        return Ok(()); // an empty flag hides it
    }
    let shown = file.display();
    let wrong = |cause| Err(StartError::Setting("DATABASE_URL", format!("not set, and {cause}")));
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound && file == Path::new(INSTALLED) => {
            return Ok(());
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return wrong(format!("{shown} is not yours to read: type `sudo {}`", typed()));
        }
        Err(error) => return wrong(format!("{shown}: {error}")),
    };
    let settings = parse(&text);
    let url = settings.iter().rfind(|(name, _)| name == "DATABASE_URL");
    if url.is_none_or(|(_, value)| value.is_empty()) {
        return wrong(format!("not in {shown} either: write postgres://user:password@host/name"));
    }
    // Found even if its path is not open to the other user.
    let mut again = Command::new("/proc/self/exe");
    again.args(env::args_os().skip(1));
    again.envs(settings.into_iter().filter(|(name, _)| is_unset(name)));
    let user = service_user(file).filter(|_| rustix::process::geteuid().is_root());
    if let Some((uid, gid)) = user {
        again.uid(uid).gid(gid);
    }
    Err(StartError::System("settings", again.exec()))
}

/// What was typed, for a message.
fn typed() -> String {
    let arguments = env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    iter::once("doorward".to_owned()).chain(arguments).collect::<Vec<_>>().join(" ")
}

/// User and group of the service: of the group that may read its settings, else `doorward`.
fn service_user(file: &Path) -> Option<(u32, u32)> {
    let group = fs::metadata(file).ok()?.gid();
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let users = users.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        Some((name, fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    let users: Vec<(&str, u32, u32)> = users.collect();
    let of_group = users.iter().find(|user| group != 0 && user.2 == group);
    let user = of_group.or_else(|| users.iter().find(|user| user.0 == "doorward"))?;
    Some((user.1, user.2))
}

/// The variables of an `EnvironmentFile=`, as systemd.exec(5) defines it: comments begin with `#` or
/// `;`, and a value may be quoted or go on after a backslash at the end of its line.
fn parse(text: &str) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (line, next) = rest.split_once('\n').unwrap_or((rest, ""));
        let name = line.split_once('=').map(|(name, _)| name);
        rest = match name.filter(|_| !line.starts_with(['#', ';'])) {
            Some(name) => {
                let (value, after) = value(&rest[name.len() + 1..]);
                settings.push((name.trim_end().to_owned(), value));
                after
            }
            None => next,
        }
        .trim_start();
    }
    settings
}

/// The value that `text` begins with, and what comes after its line.
fn value(text: &str) -> (String, &str) {
    let (mut value, mut kept_bytes, mut chars) = (String::new(), 0, text.chars());
    let mut place = Place::Blanks;
    while let Some(c) = chars.next() {
        let taken = match (place, c) {
            (Place::Blanks | Place::Word, '\n') => break,
            (Place::Quotes(quote), _) if c == quote => {
                place = Place::Blanks;
                None
            }
            (Place::Quotes('\''), _) => Some(c),
            (Place::Blanks, '\'' | '"') => {
                place = Place::Quotes(c);
                None
            }
            (Place::Blanks, _) if c.is_whitespace() => None,
            (Place::Quotes(_), _) if c != '\\' => Some(c),
            (Place::Quotes(_), _) => {
                let next = chars.next();
                value.extend(next.filter(|c| !"\"\\`$\n".contains(*c)).and(Some(c)));
                next.filter(|c| *c != '\n')
            }
            (Place::Blanks | Place::Word, _) => {
                place = Place::Word;
                if c == '\\' { chars.next().filter(|c| *c != '\n') } else { Some(c) }
            }
        };
        value.extend(taken);
        if place != Place::Word || !c.is_whitespace() {
            kept_bytes = value.len();
        }
    }
    value.truncate(kept_bytes);
    (value, chars.as_str())
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
SINGLE='a \\n # \"b\"'  \n\
ESCAPED=\"\\\"\\$x\\\\ \\n\"\n\
BARE=a\\ b\\\"c\\\n d\n\
HASH=a#b;c \"d\"\n\
JOINED=\"a\" 'b'c\n\
LINES=\"one\ntwo\"\n\
EMPTY=\nAGAIN=1\nAGAIN=2";
        let found = parse(text);
        let found: Vec<(&str, &str)> =
            found.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(
            found,
            [
                ("PLAIN", "chess club"),
                ("INDENTED", "x"),
                ("DOUBLE", "host=/run user='a b' "),
                ("SINGLE", "a \\n # \"b\""),
                ("ESCAPED", "\"$x\\ \\n"),
                ("BARE", "a b\"c d"),
                ("HASH", "a#b;c \"d\""),
                ("JOINED", "abc"),
                ("LINES", "one\ntwo"),
                ("EMPTY", ""),
                ("AGAIN", "1"),
                ("AGAIN", "2"),
            ]
        );
    }
}
