//! A login and registration server. (tour to come)

mod app;
mod authentication;
pub mod config;
pub mod database;
mod endpoints;
mod error;
pub mod events;
mod files;
pub mod http;
mod pages;
pub mod passwords;
pub mod process;
pub mod sessions;
pub mod throttle;
pub mod users;
mod visit;

pub use app::App;
pub use config::Config;
pub use error::Error;
