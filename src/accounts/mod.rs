//! Accounts: who may log in, and what it takes. Nothing in here knows HTTP.

pub mod authentication;
pub mod email;
pub mod passwords;
pub mod throttle;
pub mod users;
