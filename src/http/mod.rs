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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::atomic::AtomicBool;

    use rouille::Response;

    use super::connection::Service;

    /// A service with the default limits, whose every page is empty.
    pub fn service() -> Service {
        Service {
            refusals: BTreeMap::default(),
            limits: crate::Config::new("").limits,
            trusted_proxies: Vec::new(),
            handle: Box::new(|_| Response::text("")),
            is_closing: AtomicBool::new(false),
        }
    }
}
