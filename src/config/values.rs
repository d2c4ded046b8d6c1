//! What a setting's value may be. Each message says what a right value looks like.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use crate::accounts::email;

/// The longest time of a session. PostgreSQL's timestamps end, and a login of decades is a mistake.
const MAX_SESSION_TIME: Duration = Duration::from_hours(24 * 3_650);

/// The longest time of the listener. Nobody waits longer for a page.
const MAX_TIMEOUT: Duration = Duration::from_hours(1);

pub fn address(value: &str) -> Result<SocketAddr, String> {
    value.parse().map_err(|_| {
        let digits = value.rsplit(':').next().and_then(|port| port.parse().ok());
        let port: u16 = digits.unwrap_or(8080);
        format!("write an address and a port, such as 127.0.0.1:{port}")
    })
}

pub fn public_url(value: &str) -> Result<Url, String> {
    let is_web = |url: &Url| matches!(url.scheme(), "http" | "https");
    let parsed = Url::parse(value).ok().filter(is_web);
    let meant = if value.contains("://") { value.to_owned() } else { format!("https://{value}") };
    let url = parsed.clone().or_else(|| Url::parse(&meant).ok().filter(is_web));
    let origin = url
        .map_or("https://members.example.org".to_owned(), |url| url.origin().ascii_serialization());
    match parsed {
        Some(url) if url.as_str() == format!("{origin}/") => Ok(url),
        _ => Err(format!("write {origin}")),
    }
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

pub fn network(value: &str) -> Result<IpNet, String> {
    let value = value.trim();
    let address = value.parse::<IpAddr>().map(IpNet::from);
    address.or_else(|_| value.parse()).map_err(|_| "write 127.0.0.1 or 10.0.0.0/8".to_owned())
}

pub fn number(value: &str, range: RangeInclusive<usize>) -> Result<usize, String> {
    let (least, most) = (range.start(), range.end());
    let within = value.parse().ok().filter(|number| range.contains(number));
    within.ok_or_else(|| format!("write a number from {least} to {most}"))
}

pub fn session_time(value: &str) -> Result<Duration, String> {
    time(value, MAX_SESSION_TIME)
}

pub fn timeout(value: &str) -> Result<Duration, String> {
    time(value, MAX_TIMEOUT)
}

fn time(value: &str, most: Duration) -> Result<Duration, String> {
    let time = humantime::parse_duration(value).ok();
    time.filter(|time| !time.is_zero() && *time <= most).ok_or_else(|| {
        format!("write a time of at most {}, such as 10s, 15m, 2h or 30d", shown(most))
    })
}

/// A time as a person would type it: 60d, not two months less a few hours.
pub fn shown(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, 'd'), (3_600, 'h'), (60, 'm')];
    let unit =
        units.into_iter().find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit));
    let (unit, letter) = unit.unwrap_or((1, 's'));
    format!("{}{letter}", seconds / unit)
}
