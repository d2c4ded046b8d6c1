//! The commands for administrators.

use std::io;

use thiserror::Error as ThisError;

use crate::error::{Error, StartError};

pub mod check;
pub mod settings_file;
pub mod users;

/// Why a command failed: one line for the administrator.
#[derive(Debug, ThisError)]
pub enum CommandError {
    /// It could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It refuses what it was asked to do: why.
    #[error("{0}")]
    Refused(String),
    /// Reading or writing a stream failed: which stream, and why.
    #[error("{0}: {1}")]
    Stream(&'static str, #[source] io::Error),
    /// The database or the operating system failed.
    #[error(transparent)]
    Failed(#[from] Error),
}
