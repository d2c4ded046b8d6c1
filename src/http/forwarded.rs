//! Finds out who sent a request that came through proxies, from `X-Forwarded-For` and
//! `X-Forwarded-Proto`.

use std::net::SocketAddr;

use ipnet::IpNet;
use rouille::Request;

use super::read::Head;

/// Whether this is the address of a proxy named in the settings.
pub fn is_trusted(address: SocketAddr, proxies: &[IpNet]) -> bool {
    proxies.iter().any(|network| network.contains(&address.ip()))
}

/// The request that handlers see, with the sender's address and scheme as far as they can be trusted.
/// It does not contain the two headers, because anybody can write anything into them.
///
/// Each proxy appends the address that connected to it. The list is read backwards from the end, up
/// to the first address that is not a trusted proxy. Everything before that may be forged.
pub fn build_request(
    mut head: Head,
    body: Vec<u8>,
    peer: SocketAddr,
    proxies: &[IpNet],
) -> Request {
    let mut take = |name| {
        let lines = head.headers.extract_if(.., |(known, _)| known.eq_ignore_ascii_case(name));
        lines.map(|(_, value)| value).collect::<Vec<_>>().join(",")
    };
    let (addresses, schemes) = (take("x-forwarded-for"), take("x-forwarded-proto"));
    let mut hops = addresses.rsplit(',').map(address);
    let mut sender = peer;
    while is_trusted(sender, proxies)
        && let Some(Some(hop)) = hops.next()
    {
        sender = hop;
    }
    let says_https =
        schemes.rsplit(',').next().is_some_and(|s| s.trim().eq_ignore_ascii_case("https"));
    let is_https = says_https && is_trusted(peer, proxies);
    // rouille calls a request "fake" if its own server did not read it.
    let build = if is_https { Request::fake_https_from } else { Request::fake_http_from };
    build(sender, head.method, head.target, head.headers, body)
}

/// Parses an address with or without port and brackets. An IPv4-mapped address becomes IPv4.
fn address(text: &str) -> Option<SocketAddr> {
    let text = text.trim();
    let portless = || text.trim_matches(['[', ']']).parse().map(|ip| SocketAddr::new(ip, 0));
    let address = text.parse().or_else(|_| portless()).ok()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}
