//! Which network an address belongs to, for limits that count peers.

use std::net::{IpAddr, Ipv6Addr};

/// The network that counts as one peer: an IPv4 address, or a /64 of IPv6, which one household
/// has. An IPv4 address that is written as IPv6 counts as what it is.
#[must_use]
pub fn network_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}
