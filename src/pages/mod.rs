//! The pages. A page has a file with its texts, its handlers and its HTML; `secret/` has a file for each section.
//! The other files are what pages have in common. No other folder makes HTML, and maud escapes every value, so
//! what a visitor types is never read as HTML.

pub mod index;
pub mod links;
pub mod login;
pub mod login_code;
pub mod register;
pub mod secret;

pub mod password;

pub mod error;
pub mod form;
pub mod layout;
pub mod new_password;
pub mod refusals;
pub mod time;
pub mod user_agent;

pub mod assets;
pub mod probes;
