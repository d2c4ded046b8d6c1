//! The members' folder: plain files, no links, no dot files, nothing below.
//!
//! In: a folder, and a name that somebody asked for. Out: what is in it, or one file. That whoever
//! asks is a member is settled before.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::error::{Error, StartError};

/// How long members may see a folder as it was.
const FRESH: Duration = Duration::from_secs(1);

/// What to do about a folder of [`is_hidden_from_service`].
pub const HIDDEN: &str =
    "doorward.service cannot see /home, /root, /run/user, /tmp and /var/tmp: put it under /srv";

/// The one file where no folder is set: its name, and what is in it.
pub const CHEAT_SHEET: (&str, &str) = ("cheat-sheet.txt", include_str!("pages/cheat-sheet.txt"));

/// What was made of a folder, for everybody who asks within a second. Of those who ask at once, one
/// reads the folder and the others wait for it.
#[derive(Default)]
pub struct Shared<T>(Mutex<Option<(Instant, Arc<T>)>>);

impl<T> Shared<T> {
    /// What was made less than a second ago, or what `make` makes now.
    ///
    /// # Errors
    /// Those of `make`; whoever asks next tries again.
    pub fn get(&self, make: impl FnOnce() -> Result<T, Error>) -> Result<Arc<T>, Error> {
        let mut kept = self.0.lock();
        if let Some((_, view)) = kept.as_ref().filter(|(since, _)| since.elapsed() < FRESH) {
            return Ok(Arc::clone(view));
        }
        // The second begins before the folder is read: what changes meanwhile may be missing.
        let since = Instant::now();
        let view = Arc::new(make()?);
        *kept = Some((since, Arc::clone(&view)));
        Ok(view)
    }
}

/// The names and sizes in bytes of a folder's files, by name.
///
/// # Errors
/// [`Error::System`] if the folder cannot be read.
pub fn list(folder: &Path) -> Result<Vec<(String, u64)>, Error> {
    let broken = |error| Error::System(format!("DOORWARD_FILES: {}: {error}", folder.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(broken)? {
        let entry = entry.map_err(broken)?;
        // A name that is not UTF-8 cannot be linked to, and a file may vanish while we look.
        if let (Ok(name), Ok(about)) = (entry.file_name().into_string(), entry.metadata())
            && is_plain(&name)
            && about.is_file()
        {
            files.push((name, about.len()));
        }
    }
    files.sort();
    Ok(files)
}

/// That a folder can be listed.
///
/// # Errors
/// [`StartError::Setting`] if not, with the advice that fits.
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

/// Opens a file of a folder. `None` if there is no such plain file in it.
///
/// # Errors
/// [`Error::System`] if it is there and cannot be read.
pub fn open(folder: &Path, name: &str) -> Result<Option<File>, Error> {
    let path = folder.join(name);
    // Not `metadata`, which would follow a link out of the folder.
    if !is_plain(name) || !fs::symlink_metadata(&path).is_ok_and(|about| about.is_file()) {
        return Ok(None);
    }
    let file = File::open(&path);
    file.map(Some).map_err(|e| Error::System(format!("DOORWARD_FILES: {}: {e}", path.display())))
}

/// Whether a name stands for itself, in this folder and no other.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}
