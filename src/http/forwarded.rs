//! Who sent a request that proxies passed on: `X-Forwarded-For` and `X-Forwarded-Proto`.

use std::net::SocketAddr;

use ipnet::IpNet;

/// Whether this is the address of a proxy named in the settings.
pub fn is_trusted(address: SocketAddr, proxies: &[IpNet]) -> bool {
    proxies.iter().any(|network| network.contains(&address.ip()))
}

/// The sender's address, and whether it used https, as far as that can be trusted. The headers that
/// say so are taken out: nobody above shall be fooled by what anybody can write into them.
///
/// A trusted proxy vouches for the address before it. So the addresses are read from the last, up
/// to the first that is no trusted proxy: what stands before may be made up.
pub fn take_sender(
    headers: &mut Vec<(String, String)>,
    peer: SocketAddr,
    proxies: &[IpNet],
) -> (SocketAddr, bool) {
    let mut take = |name| {
        let lines = headers.extract_if(.., |(known, _)| known.eq_ignore_ascii_case(name));
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
    let scheme = schemes.rsplit(',').next().unwrap_or_default().trim();
    (sender, is_trusted(peer, proxies) && scheme.eq_ignore_ascii_case("https"))
}

/// An address with or without port and brackets; an IPv4-mapped one becomes IPv4.
fn address(text: &str) -> Option<SocketAddr> {
    let text = text.trim();
    let portless = || text.trim_matches(['[', ']']).parse().map(|ip| SocketAddr::new(ip, 0));
    let address = text.parse().or_else(|_| portless()).ok()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}
