//! Which addresses are one client: the rest of an IPv6 address is the client's to choose. Rates and delays count by it.

use std::net::{IpAddr, Ipv6Addr};

/// Bits of an IPv6 address that stand for one client.
const IPV6_PREFIX_BITS: u32 = 64;

/// The address that stands for a client, whatever address of its network it uses.
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = u128::MAX << (u128::BITS - IPV6_PREFIX_BITS);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & prefix))
        }
        address @ IpAddr::V4(_) => address,
    }
}
