//! What all connections share: the limits, and where answers come from.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use ipnet::IpNet;
use rouille::{Request, Response};

use super::headers;
use crate::config::Limits;

/// What all connections share.
pub struct Service {
    pub limits: Limits,
    pub trusted_proxies: Vec<IpNet>,
    pub handle: Box<dyn Fn(&Request) -> Response + Send + Sync>,
    /// The page for each status with which requests are refused before any handler sees them.
    pub refusals: BTreeMap<u16, String>,
    /// Whether each response closes its connection: connections run short, or the server stops.
    pub is_closing: AtomicBool,
}

impl Service {
    /// The response to a request that is refused.
    pub fn refusal(&self, status: u16) -> Response {
        let page = self.refusals.get(&status).map_or_else(Default::default, String::as_str);
        let mut response =
            Response::from_data("text/html; charset=utf-8", page).with_status_code(status);
        headers::secure(&mut response, false);
        response
    }
}
