//! What an administrator does on the command line.

pub mod check;
pub mod settings_file;
pub mod users;
