//! What an administrator does on the command line.

pub mod check;
pub mod users;
