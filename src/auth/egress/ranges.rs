//! The addresses that are not the public internet, and why. Pure; called by the policy for every address before a connection.
//! Source: the IANA special-purpose address registries of IPv4 and IPv6 (RFC 6890), and two metadata services of clouds.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Blocked ranges of IPv4. The more special one comes first, since the first match gives the reason.
const BLOCKED_V4: &[(Ipv4Net, &str)] = &[
    (v4([169, 254, 169, 254], 32), "cloud metadata"),
    (v4([168, 63, 129, 16], 32), "cloud metadata"),
    (v4([0, 0, 0, 0], 8), "unspecified"),
    (v4([10, 0, 0, 0], 8), "private"),
    (v4([100, 64, 0, 0], 10), "carrier-grade NAT"),
    (v4([127, 0, 0, 0], 8), "loopback"),
    (v4([169, 254, 0, 0], 16), "link-local"),
    (v4([172, 16, 0, 0], 12), "private"),
    (v4([192, 0, 0, 0], 24), "protocol assignments"),
    (v4([192, 0, 2, 0], 24), "documentation"),
    (v4([192, 88, 99, 0], 24), "6to4 relay"),
    (v4([192, 168, 0, 0], 16), "private"),
    (v4([198, 18, 0, 0], 15), "benchmark"),
    (v4([198, 51, 100, 0], 24), "documentation"),
    (v4([203, 0, 113, 0], 24), "documentation"),
    (v4([224, 0, 0, 0], 4), "multicast"),
    (v4([240, 0, 0, 0], 4), "reserved"),
];

/// Blocked ranges of IPv6, those outside of [`GLOBAL_V6`] too, for their reasons.
const BLOCKED_V6: &[(Ipv6Net, &str)] = &[
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "unspecified"),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "loopback"),
    (v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), "IPv4-mapped"),
    (v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96), "IPv4-translated"),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), "IPv4-compatible"),
    (v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96), "NAT64"),
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "NAT64"),
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), "discard"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), "Teredo"),
    (v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48), "benchmark"),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "documentation"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "protocol assignments"),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "6to4"),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "documentation"),
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128), "cloud metadata"),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "private"),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "link-local"),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "site-local"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "multicast"),
];

/// All that is assigned as global unicast so far: whatever is outside is blocked even if no range names it.
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// Says why an address is not the public internet; `None` if it is.
pub(super) fn blocked_reason(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => BLOCKED_V4.iter().find(|(range, _)| range.contains(&v4)).map(|(_, reason)| *reason),
        IpAddr::V6(v6) => {
            let named = BLOCKED_V6.iter().find(|(range, _)| range.contains(&v6)).map(|(_, reason)| *reason);
            named.or((!GLOBAL_V6.contains(&v6)).then_some("not global unicast"))
        }
    }
}

/// Why addresses of a network would be blocked: each reason of a range that it has a part of.
pub(super) fn blocked_reasons(network: &IpNet) -> BTreeSet<&'static str> {
    let v4 = BLOCKED_V4.iter().map(|(range, reason)| (IpNet::V4(*range), *reason));
    let v6 = BLOCKED_V6.iter().map(|(range, reason)| (IpNet::V6(*range), *reason));
    let meeting = v4.chain(v6).filter(|(range, _)| range.contains(network) || network.contains(range));
    let mut reasons: BTreeSet<&'static str> = meeting.map(|(_, reason)| reason).collect();
    if reasons.is_empty() && matches!(network, IpNet::V6(v6) if !GLOBAL_V6.contains(v6)) {
        reasons.insert("not global unicast");
    }
    reasons
}

const fn v4(octets: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::from_octets(octets), prefix)
}

const fn v6(segments: [u16; 8], prefix: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reason: Option<&str>, addresses: &[&str]) {
        for address in addresses {
            assert_eq!(blocked_reason(address.parse().unwrap()), reason, "{address}");
        }
    }

    #[test]
    fn blocks_each_range_of_ipv4_at_both_ends() {
        check(Some("unspecified"), &["0.0.0.0", "0.255.255.255"]);
        check(Some("private"), &["10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255"]);
        check(Some("carrier-grade NAT"), &["100.64.0.0", "100.127.255.255"]);
        check(Some("loopback"), &["127.0.0.0", "127.0.0.1", "127.255.255.255"]);
        check(Some("cloud metadata"), &["169.254.169.254", "168.63.129.16"]);
        check(Some("link-local"), &["169.254.0.0", "169.254.255.255"]);
        check(Some("protocol assignments"), &["192.0.0.0", "192.0.0.255"]);
        check(Some("documentation"), &["192.0.2.0", "192.0.2.255", "198.51.100.7", "203.0.113.255"]);
        check(Some("6to4 relay"), &["192.88.99.0", "192.88.99.255"]);
        check(Some("benchmark"), &["198.18.0.0", "198.19.255.255"]);
        check(Some("multicast"), &["224.0.0.0", "239.255.255.255"]);
        check(Some("reserved"), &["240.0.0.0", "255.255.255.255"]);
    }

    #[test]
    fn blocks_each_range_of_ipv6_at_both_ends() {
        check(Some("unspecified"), &["::"]);
        check(Some("loopback"), &["::1"]);
        check(Some("IPv4-mapped"), &["::ffff:0.0.0.0", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:255.255.255.255"]);
        check(Some("IPv4-translated"), &["::ffff:0:127.0.0.1"]);
        check(Some("IPv4-compatible"), &["::2", "::127.0.0.1", "::255.255.255.255"]);
        check(Some("NAT64"), &["64:ff9b::", "64:ff9b::ffff:ffff", "64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"]);
        check(Some("discard"), &["100::", "100::ffff:ffff:ffff:ffff"]);
        check(Some("Teredo"), &["2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff"]);
        check(Some("benchmark"), &["2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff"]);
        check(Some("documentation"), &["2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "3fff::", "3fff:fff::1"]);
        check(Some("protocol assignments"), &["2001:10::1", "2001:20::1", "2001:1ff::1"]);
        check(Some("6to4"), &["2002::", "2002:7f00:1::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]);
        check(Some("cloud metadata"), &["fd00:ec2::254"]);
        check(Some("private"), &["fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]);
        check(Some("link-local"), &["fe80::1", "febf::1"]);
        check(Some("site-local"), &["fec0::1"]);
        check(Some("multicast"), &["ff00::", "ff02::1"]);
        check(Some("not global unicast"), &["1::", "4000::1", "5f00::1", "fe00::1"]);
    }

    #[test]
    fn says_what_a_network_has_parts_of() {
        let reasons = |network: &str| blocked_reasons(&network.parse().unwrap()).into_iter().collect::<Vec<_>>();
        assert_eq!(reasons("10.0.5.0/24"), ["private"]);
        assert_eq!(reasons("169.254.169.254/32"), ["cloud metadata", "link-local"]);
        assert_eq!(reasons("8.8.8.0/24"), [""; 0]);
        assert_eq!(reasons("::1/128"), ["IPv4-compatible", "loopback"]);
        assert_eq!(reasons("4000::/16"), ["not global unicast"]);
        let everything: BTreeSet<&str> = BLOCKED_V4.iter().map(|(_, reason)| *reason).collect();
        assert_eq!(blocked_reasons(&"0.0.0.0/0".parse().unwrap()), everything);
    }

    #[test]
    fn passes_the_public_neighbours_of_every_range() {
        check(
            None,
            &[
                "1.0.0.0",
                "9.255.255.255",
                "11.0.0.0",
                "100.63.255.255",
                "100.128.0.0",
                "126.255.255.255",
                "128.0.0.0",
                "169.253.255.255",
                "169.255.0.0",
                "168.63.129.15",
                "172.15.255.255",
                "172.32.0.0",
                "192.0.1.0",
                "192.0.3.0",
                "192.88.98.255",
                "192.167.255.255",
                "192.169.0.0",
                "198.17.255.255",
                "198.20.0.0",
                "203.0.112.255",
                "223.255.255.255",
                "2001:200::1",
                "2001:db7::1",
                "2001:db9::1",
                "2003::1",
                "2606:4700:4700::1111",
                "3ffe::1",
            ],
        );
    }
}
