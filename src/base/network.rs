//! Addresses: which network one belongs to, for limits that count peers; and which of them the box
//! may be sent to by someone on the network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Doors behind which something else answers that a request might disturb.
const DOORS_OF_OTHERS: [u16; 24] = [
    21, 22, 23, 25, 53, 110, 111, 135, 139, 143, 389, 445, 465, 587, 993, 995, 1433, 2049, 2375,
    3306, 3389, 5432, 6379, 11211,
];

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

/// Whether something else answers at `port` that a request might disturb.
#[must_use]
pub fn is_door_of_others(port: u16) -> bool {
    DOORS_OF_OTHERS.contains(&port)
}

/// Whether the box may connect to `ip` because someone on the network says so: no address of this
/// computer (unless everything is `open` to it), of the link, or of a group.
#[must_use]
pub fn may_be_reached(ip: IpAddr, open: bool) -> bool {
    if ip.is_loopback() {
        return open;
    }
    let on_the_link = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast() || ip.octets()[0] == 0,
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !on_the_link && !ip.is_multicast() && !ip.is_unspecified() && !is_own(ip)
}

/// Whether `ip` is one of this computer's: what goes there leaves from there.
fn is_own(ip: IpAddr) -> bool {
    let any: IpAddr =
        if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let from = UdpSocket::bind(SocketAddr::new(any, 0)).and_then(|socket| {
        // Nothing is sent: the kernel only chooses the way.
        socket.connect(SocketAddr::new(ip, 9))?;
        socket.local_addr()
    });
    from.is_ok_and(|from| from.ip() == ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_on_the_network_sends_the_box_to_itself_or_to_the_link() {
        let may = |ip: &str, open| may_be_reached(ip.parse().unwrap(), open);
        for ip in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "169.254.169.254",
            "fe80::1",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
        ] {
            assert!(!may(ip, false), "{ip}");
        }
        assert!(may("127.0.0.1", true) && may("::1", true));
        assert!(!may("169.254.169.254", true));
        assert!(may("192.0.2.7", false) || is_own("192.0.2.7".parse().unwrap()));
        assert!(is_own("127.0.0.1".parse().unwrap()));
        assert!(is_door_of_others(22) && !is_door_of_others(554));
    }
}
