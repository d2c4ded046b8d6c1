//! What an administrator does on the command line.

use std::io;

use thiserror::Error as ThisError;

use crate::error::{Error, StartError};

pub mod check;
pub mod settings_file;
pub mod users;

/// Why a command was not done: one line for the administrator.
#[derive(Debug, ThisError)]
pub enum CommandError {
    /// It could not begin.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It cannot do what it was asked to, and why.
    #[error("{0}")]
    Refused(String),
    /// Its terminal, or another stream, is broken: which, and why.
    #[error("{0}: {1}")]
    Stream(&'static str, #[source] io::Error),
    /// The database or the system below failed it.
    #[error(transparent)]
    Failed(#[from] Error),
}
