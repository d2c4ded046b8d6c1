//! A login and registration server. (tour to come)

mod app;
mod authentication;
pub mod check;
pub mod commands;
pub mod config;
mod database;
mod endpoints;
mod error;
pub mod events;
mod files;
pub mod http;
mod pages;
mod passwords;
pub mod process;
mod sessions;
mod throttle;
mod users;
mod visit;

pub use app::App;
pub use config::Config;
pub use error::Error;
