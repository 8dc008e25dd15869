//! What this machine is called and where it can be reached now.
//!
//! Owns: reading that from /proc, which works in a sandbox without netlink, and the rule of which
//! names the box's own authority may vouch for.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::base::limits::TLS_NAMES_MAX;

/// Zones of the local network: no name below them can be registered.
pub(super) const ZONES: [&str; 4] = ["local", "home.arpa", "internal", "localhost"];
/// Networks of loopback, the local network, the link and documentation (RFC 1918, 3927, 4193, 4291,
/// 5737, 6598), with their leading bits: the internet has no host in them.
pub(super) const NETWORKS: [(IpAddr, u8); 12] = [
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(100, 64, 0, 0)), 10),
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 0)), 24),
    (IpAddr::V4(Ipv4Addr::new(198, 51, 100, 0)), 24),
    (IpAddr::V4(Ipv4Addr::new(203, 0, 113, 0)), 24),
    (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
];
/// Flags of an IPv6 address that will not stay: temporary, failed, deprecated, tentative
/// (`IFA_F_*` of linux/if_addr.h).
const PASSING: u32 = 0x01 | 0x08 | 0x20 | 0x40;

/// The names of a certificate made now, sorted: those of the machine and those of `hosts`, as far
/// as an authority that also vouches for `own_name` may vouch for them.
pub(super) fn current(hosts: &[String], own_name: Option<&str>) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "::1".to_owned()];
    if let Some(host) = host_name() {
        names.extend([format!("{host}.local"), host]);
    }
    names.extend_from_slice(hosts);
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    names.extend(addresses_v4(&read("/proc/net/fib_trie")).iter().map(ToString::to_string));
    names.extend(addresses_v6(&read("/proc/net/if_inet6")).iter().map(ToString::to_string));
    names.retain(|name| permits(name, own_name));
    names.sort();
    names.dedup();
    names.truncate(TLS_NAMES_MAX);
    names
}

/// Whether an authority that also vouches for `own_name` may vouch for `name`.
pub(super) fn permits(name: &str, own_name: Option<&str>) -> bool {
    if let Ok(ip) = name.parse::<IpAddr>() {
        return NETWORKS.iter().any(|&(network, bits)| is_in(ip, network, bits));
    }
    let below = |zone: &str| name.strip_suffix(zone).is_some_and(|rest| rest.ends_with('.'));
    own_name == Some(name) || ZONES.iter().any(|zone| name == *zone || below(zone))
}

fn is_in(ip: IpAddr, network: IpAddr, bits: u8) -> bool {
    let prefix = |ip| match ip {
        IpAddr::V4(ip) => u128::from(Ipv4Addr::to_bits(ip)) << 96,
        IpAddr::V6(ip) => Ipv6Addr::to_bits(ip),
    };
    let differing = (prefix(ip) ^ prefix(network)).leading_zeros();
    ip.is_ipv4() == network.is_ipv4() && differing >= u32::from(bits)
}

/// The machine's bare name, if it can be no top-level domain: one such as `camera` or `box` would
/// let the authority vouch for everything below it. Those have letters only, or begin with `xn--`.
pub(super) fn own_name() -> Option<String> {
    host_name().filter(|name| {
        let telling = name.contains(|c: char| c.is_ascii_digit() || c == '-');
        name == "holdfast" || (telling && !name.starts_with("xn--"))
    })
}

/// What this machine is called, if that can be part of a name in the DNS.
pub(in crate::serve) fn host_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim().to_ascii_lowercase();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (!name.is_empty() && name != "localhost" && name.chars().all(plain)).then_some(name)
}

/// This machine's own IPv4 addresses as the kernel's routing table lists them: a line with the
/// address, then one that says `/32 host LOCAL`. A whole network that is local, as 127.0.0.0/8 is,
/// names no address.
fn addresses_v4(table: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for (address, kind) in table.lines().zip(table.lines().skip(1)) {
        let Some(address) = address.trim().strip_prefix("|-- ") else { continue };
        let Ok(address) = address.parse::<IpAddr>() else { continue };
        if kind.trim() == "/32 host LOCAL" && !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

/// This machine's IPv6 addresses that stay, without those of the link, which no URL can name:
/// `fe80… 02 40 20 80 eth0` is address, interface, prefix, scope, flags, name.
fn addresses_v6(table: &str) -> Vec<IpAddr> {
    let of_line = |line: &str| {
        let mut fields = line.split_whitespace();
        let address = Ipv6Addr::from(u128::from_str_radix(fields.next()?, 16).ok()?);
        let flags = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
        let stays = flags & PASSING == 0 && !address.is_unicast_link_local();
        stays.then_some(IpAddr::V6(address))
    };
    table.lines().filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_those_that_the_kernel_calls_local() {
        let table = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n\
                     Local:\n     |-- 10.0.0.0\n        /24 link UNICAST\n     |-- 10.0.0.7\n\
                     \x20       /32 host LOCAL\n     |-- 127.0.0.0\n        /8 host LOCAL\n\
                     \x20    |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
        let told: Vec<_> = addresses_v4(table).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["10.0.0.7", "127.0.0.1"]);
        assert!(current(&[], None).contains(&"127.0.0.1".to_owned()));
    }

    #[test]
    fn an_address_that_will_not_stay_is_left_out() {
        let table = "fd000000000000000000000000000007 02 40 00 80     eth0\n\
                     fd00000000000000abcdef0123456789 02 40 00 01     eth0\n\
                     fe800000000000000000000000000007 02 40 20 80     eth0\n\
                     00000000000000000000000000000001 01 80 10 80       lo\nno line\n";
        let told: Vec<_> = addresses_v6(table).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["fd00::7", "::1"]);
    }

    #[test]
    fn only_what_nobody_else_can_own_is_vouched_for() {
        for name in [
            "localhost",
            "gate.local",
            "nvr.home.arpa",
            "10.0.0.7",
            "172.31.0.1",
            "192.0.2.2",
            "fd00::7",
        ] {
            assert!(permits(name, None), "{name}");
        }
        for name in
            ["nvr.example", "local.evil.example", "evillocal", "gate", "8.8.8.8", "2001:db8::1"]
        {
            assert!(!permits(name, None), "{name}");
        }
        assert!(permits("gate-7", Some("gate-7")) && !permits("a.gate-7.x", Some("gate-7")));
        let hosts = ["nvr.example".to_owned(), "cam.internal".to_owned()];
        let names = current(&hosts, None);
        assert!(names.contains(&hosts[1]) && !names.contains(&hosts[0]), "{names:?}");
    }
}
