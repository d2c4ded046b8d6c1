//! Accounts: users, emails, passwords, and the check of a login. Nothing in this folder knows HTTP.

pub mod authentication;
pub mod email;
pub mod links;
pub mod mail;
pub mod name;
pub mod passwords;
pub mod profile;
pub mod second_factor;
pub mod throttle;
pub mod users;
