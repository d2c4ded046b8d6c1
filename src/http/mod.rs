//! HTTP: reading requests, writing responses, and what headers mean. Nothing in this folder knows a
//! user.

mod connection;
pub(crate) mod cross_origin;
pub(crate) mod form;
pub(crate) mod forward_auth;
mod forwarded;
pub(crate) mod headers;
pub mod listener;
mod log_entry;
pub(crate) mod next;
mod parking;
mod read;
mod workers;
mod write;
