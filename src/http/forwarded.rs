//! Who sent a request that proxies passed on: `X-Forwarded-For` and `X-Forwarded-Proto`.
//!
//! In: what was read off a socket. Out: the request that handlers see, with an address that counts.

use std::net::SocketAddr;

use ipnet::IpNet;
use rouille::Request;

use super::read::Head;

/// Whether this is the address of a proxy named in the settings.
pub fn is_trusted(address: SocketAddr, proxies: &[IpNet]) -> bool {
    proxies.iter().any(|network| network.contains(&address.ip()))
}

/// The request that handlers see, with the address and scheme of its sender as far as they can be
/// trusted. The headers that say so are taken out, since anybody can write anything into them.
///
/// A trusted proxy vouches for the address before it. So the addresses are read from the last, up
/// to the first that is no trusted proxy: what stands before may be made up.
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
    // "Fake" is rouille's word for what its own server did not read.
    let build = if is_https { Request::fake_https_from } else { Request::fake_http_from };
    build(sender, head.method, head.target, head.headers, body)
}

/// An address with or without port and brackets; an IPv4-mapped one becomes IPv4.
fn address(text: &str) -> Option<SocketAddr> {
    let text = text.trim();
    let portless = || text.trim_matches(['[', ']']).parse().map(|ip| SocketAddr::new(ip, 0));
    let address = text.parse().or_else(|_| portless()).ok()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}
