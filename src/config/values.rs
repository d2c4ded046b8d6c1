//! Parsers for the values of settings. Each error says what a right value looks like.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use humantime::parse_duration;
use ipnet::IpNet;
use lettre::message::Mailbox;
use url::Url;

use crate::accounts::email;

pub fn address(value: &str) -> Result<SocketAddr, &'static str> {
    value.parse().map_err(|_| "write an address and a port, such as 127.0.0.1:8080")
}

pub fn public_url(value: &str) -> Result<Url, &'static str> {
    let is_origin = |url: &Url| {
        let origin = url.origin().ascii_serialization();
        matches!(url.scheme(), "http" | "https") && url.as_str() == format!("{origin}/")
    };
    let url = Url::parse(value).ok().filter(is_origin);
    url.ok_or("write https://members.example.org, without a path")
}

pub fn contact(value: &str) -> Result<Url, &'static str> {
    let url = Url::parse(value).ok().filter(|url| match url.scheme() {
        "http" | "https" => true,
        "mailto" => email::problem(url.path()).is_none(),
        _ => false,
    });
    url.ok_or("write https://example.org/contact or mailto:ada@example.org")
}

pub fn name(value: &str) -> Result<String, &'static str> {
    let name = Some(value.trim().to_owned()).filter(|name| !name.is_empty());
    name.ok_or("write a name")
}

pub fn sender(value: &str) -> Result<Mailbox, &'static str> {
    value.parse().map_err(|_| "write doorward@members.example.org, or a name and <that>")
}

pub fn network(value: &str) -> Result<IpNet, &'static str> {
    let value = value.trim();
    let address = value.parse::<IpAddr>().map(IpNet::from);
    address.or_else(|_| value.parse()).map_err(|_| "write 127.0.0.1 or 10.0.0.0/8")
}

pub fn between(range: RangeInclusive<usize>) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |value| {
        let within = value.parse().ok().filter(|number| range.contains(number));
        within.ok_or_else(|| format!("write a number from {} to {}", range.start(), range.end()))
    }
}

/// Much longer than anybody wants, and not too long for PostgreSQL.
pub fn session_time(value: &str) -> Result<Duration, String> {
    time(value, "3650d", "15m, 2h or 30d")
}

/// Nobody waits longer for a page.
pub fn timeout(value: &str) -> Result<Duration, String> {
    time(value, "1h", "10s or 2m")
}

fn time(value: &str, most: &str, examples: &str) -> Result<Duration, String> {
    match (parse_duration(value), parse_duration(most)) {
        (Ok(time), Ok(longest)) if !time.is_zero() && time <= longest => Ok(time),
        _ => Err(format!("write a time of at most {most}, such as {examples}")),
    }
}
