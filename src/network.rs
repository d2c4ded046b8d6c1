//! Networks, by which limits are counted.

use std::net::{IpAddr, Ipv6Addr};

/// What counts as one visitor: an IPv4 address, or the /64 that an IPv6 visitor has to itself.
pub(crate) fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}
