//! Parsers for the values of settings. Each error says what a right value looks like.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;
use lettre::message::Mailbox;
use url::Url;

use crate::accounts::email;

/// The longest time of a session: much longer than anybody wants, and not too long for PostgreSQL.
const MAX_SESSION_DAYS: u64 = 3_650;

pub fn address(value: &str) -> Result<SocketAddr, String> {
    value.parse().map_err(|_| "write an address and a port, such as 127.0.0.1:8080".to_owned())
}

pub fn public_url(value: &str) -> Result<Url, String> {
    let is_origin = |url: &Url| {
        let origin = url.origin().ascii_serialization();
        matches!(url.scheme(), "http" | "https") && url.as_str() == format!("{origin}/")
    };
    let url = Url::parse(value).ok().filter(is_origin);
    url.ok_or("write https://members.example.org, without a path".to_owned())
}

pub fn contact(value: &str) -> Result<Url, String> {
    let url = Url::parse(value).ok().filter(|url| match url.scheme() {
        "http" | "https" => true,
        "mailto" => email::problem(url.path()).is_none(),
        _ => false,
    });
    url.ok_or("write https://example.org/contact or mailto:ada@example.org".to_owned())
}

pub fn name(value: &str) -> Result<String, String> {
    match value.trim() {
        "" => Err("write a name".to_owned()),
        name => Ok(name.to_owned()),
    }
}

pub fn sender(value: &str) -> Result<Mailbox, String> {
    value.parse().map_err(|_| "write doorward@members.example.org, or a name and <that>".to_owned())
}

pub fn network(value: &str) -> Result<IpNet, String> {
    let value = value.trim();
    let address = value.parse::<IpAddr>().map(IpNet::from);
    address.or_else(|_| value.parse()).map_err(|_| "write 127.0.0.1 or 10.0.0.0/8".to_owned())
}

pub fn between(range: RangeInclusive<usize>) -> impl Fn(&str) -> Result<usize, String> + Clone {
    move |value| {
        let within = value.parse().ok().filter(|number| range.contains(number));
        within.ok_or_else(|| format!("write a number from {} to {}", range.start(), range.end()))
    }
}

pub fn session_time(value: &str) -> Result<Duration, String> {
    let most = Duration::from_hours(24 * MAX_SESSION_DAYS);
    time(value, most).ok_or_else(|| {
        format!("write a time of at most {MAX_SESSION_DAYS}d, such as 15m, 2h or 30d")
    })
}

pub fn timeout(value: &str) -> Result<Duration, String> {
    // Nobody waits longer than that for a page.
    let time = time(value, Duration::from_hours(1));
    time.ok_or("write a time of at most 1h, such as 10s or 2m".to_owned())
}

fn time(value: &str, most: Duration) -> Option<Duration> {
    let time = humantime::parse_duration(value).ok();
    time.filter(|time| !time.is_zero() && *time <= most)
}
