//! The network of an address, which all limits treat as one visitor.

use std::net::{IpAddr, Ipv6Addr};

/// The network of an address: the address itself for IPv4, and its /64 for IPv6, because an IPv6
/// customer gets at least a /64 and can use all its addresses. An IPv4-mapped address counts as IPv4.
pub(crate) fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::network;

    #[test]
    fn a_64_is_one_network_and_so_is_an_ipv4_address_however_it_is_written() {
        let network = |ip: &str| network(ip.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), network("2001:db8:1:2::"));
        assert_ne!(network("2001:db8:1:2::"), network("2001:db8:1:3::"));
        assert_eq!(network("::ffff:203.0.113.7"), "203.0.113.7");
        assert_ne!(network("203.0.113.7"), network("203.0.113.8"));
    }
}
