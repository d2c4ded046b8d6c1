//! The members' folder. Members see its plain files: no links, no hidden files, no subfolders.

use std::fs::{self, File};
use std::path::Path;
use std::time::SystemTime;

use crate::error::{Error, StartError};

/// Advice about a folder for which [`is_hidden_from_service`] holds.
pub const HIDDEN: &str =
    "doorward.service cannot see /home, /root, /run/user, /tmp and /var/tmp: put it under /srv";

/// The one file for members if no folder is set: its name and its content.
pub const CHEAT_SHEET: (&str, &str) = ("cheat-sheet.txt", include_str!("pages/cheat-sheet.txt"));

/// A file in the list.
pub struct Listed {
    pub name: String,
    pub bytes: u64,
    /// When it was last changed. `None` if nobody knows.
    pub modified: Option<SystemTime>,
}

/// A folder's files in the order in which people count: `Chapter 2` stands before `chapter 10`.
///
/// # Errors
/// [`Error::System`] if the folder cannot be read.
pub fn list(folder: &Path) -> Result<Vec<Listed>, Error> {
    let broken = |error| Error::System(format!("DOORWARD_FILES: {}: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(broken)? {
        let entry = entry.map_err(broken)?;
        // A page cannot link to a name that is not UTF-8, and a file may be deleted meanwhile.
        if let (Ok(name), Ok(about)) = (entry.file_name().into_string(), entry.metadata())
            && is_plain(&name)
            && about.is_file()
        {
            files.push(Listed { name, bytes: about.len(), modified: about.modified().ok() });
        }
    }
    files.sort_by(|a, b| natord::compare_ignore_case(&a.name, &b.name).then(a.name.cmp(&b.name)));
    Ok(files)
}

/// Checks that a folder can be listed.
///
/// # Errors
/// [`StartError::Setting`] if it cannot, with advice.
pub fn must_be_listed(folder: &Path) -> Result<(), StartError> {
    let Err(error) = fs::read_dir(folder) else { return Ok(()) };
    let mut cause = format!("{} cannot be listed: {error}", folder.display());
    if is_hidden_from_service(folder) {
        cause = format!("{cause}; {HIDDEN}");
    }
    Err(StartError::Setting("DOORWARD_FILES", cause))
}

/// Whether the systemd unit hides a folder from the program (`ProtectHome=`, `PrivateTmp=`).
pub fn is_hidden_from_service(folder: &Path) -> bool {
    let folder = folder.canonicalize().unwrap_or(folder.to_owned());
    ["/home", "/root", "/run/user", "/tmp", "/var/tmp"]
        .iter()
        .any(|above| folder.starts_with(above))
}

/// Opens a file in a folder. `None` if the folder has no plain file of that name.
///
/// # Errors
/// [`Error::System`] if the file exists and cannot be read.
pub fn open(folder: &Path, name: &str) -> Result<Option<File>, Error> {
    let path = folder.join(name);
    // Not `metadata`, which would follow a link out of the folder.
    if !is_plain(name) || !fs::symlink_metadata(&path).is_ok_and(|about| about.is_file()) {
        return Ok(None);
    }
    let file = File::open(&path);
    file.map(Some).map_err(|e| Error::System(format!("DOORWARD_FILES: {}: {e}", path.display())))
}

/// Whether a name is that of a visible file in the folder itself, and not a path out of it.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}
