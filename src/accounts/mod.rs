//! Accounts: users, emails, passwords, and the check of a login. Nothing in this folder knows HTTP.

pub mod authentication;
pub mod email;
pub mod passwords;
pub mod second_factor;
pub mod throttle;
pub mod users;
