//! Addresses: which network one belongs to, for limits that count peers; which of them the box may be
//! sent to by someone on the network; and which are on a network of the box itself.

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

/// Whether `ip` is this computer, or on a network that one of its interfaces is on.
#[must_use]
pub fn is_neighbour(ip: IpAddr) -> bool {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    match ip.to_canonical() {
        ip if ip.is_loopback() => true,
        IpAddr::V4(ip) => is_on_link_v4(ip, &read("/proc/net/route")),
        IpAddr::V6(ip) => {
            ip.is_unicast_link_local() || is_on_link_v6(ip, &read("/proc/net/if_inet6"))
        }
    }
}

/// Whether a route without a gateway covers `ip`: `eth0 00A8C0C0 00000000 0001 … 00FFFFFF`, the fields
/// being interface, destination, gateway, flags, three numbers and the mask, in the machine's byte order.
fn is_on_link_v4(ip: Ipv4Addr, routes: &str) -> bool {
    routes.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| {
            let hex = u32::from_str_radix(fields.get(at).copied()?, 16).ok()?;
            Some(u32::from_be_bytes(hex.to_ne_bytes()))
        };
        let (Some(network), Some(gateway), Some(mask)) = (number(1), number(2), number(7)) else {
            return false;
        };
        gateway == 0 && mask != 0 && ip.to_bits() & mask == network
    })
}

/// Whether `ip` shares the leading bits of an own address: `2001… 02 40 00 80 eth0`, the fields being
/// address, interface, prefix, scope, flags, name.
fn is_on_link_v6(ip: Ipv6Addr, addresses: &str) -> bool {
    addresses.lines().any(|line| {
        let mut fields = line.split_whitespace();
        let own = fields.next().and_then(|hex| u128::from_str_radix(hex, 16).ok());
        let prefix = fields.nth(1).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let (Some(own), Some(prefix @ 1..=128)) = (own, prefix) else { return false };
        (own ^ ip.to_bits()).leading_zeros() >= prefix
    })
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
    fn neighbours_are_on_a_network_of_an_interface() {
        let hex = |ip: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(ip));
        let route = |to, gateway, mask| {
            format!("eth0\t{}\t{}\t0001\t0\t0\t0\t{}\t0\t0\t0\n", hex(to), hex(gateway), hex(mask))
        };
        let routes = format!(
            "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n{}{}{}",
            route([0, 0, 0, 0], [192, 168, 7, 1], [0, 0, 0, 0]),
            route([10, 0, 0, 0], [192, 168, 7, 1], [255, 0, 0, 0]),
            route([192, 168, 7, 0], [0, 0, 0, 0], [255, 255, 255, 0]),
        );
        let near = |ip: &str| is_on_link_v4(ip.parse().unwrap(), &routes);
        assert!(near("192.168.7.200"));
        assert!(!near("192.168.8.1") && !near("10.0.0.7") && !near("203.0.113.7"));
        let addresses = "fd000000000000070000000000000001 02 40 00 80 eth0\n";
        let near = |ip: &str| is_on_link_v6(ip.parse().unwrap(), addresses);
        assert!(near("fd00:0:0:7::99") && !near("fd00:0:0:8::99") && !near("2001:db8::1"));
        assert!(is_neighbour(IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped())));
    }

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
