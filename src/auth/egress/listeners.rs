//! Finds the addresses under which a listener of this process is reached. Called once per listener at start.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// Public addresses that only serve to ask the routing table: a UDP `connect` sends nothing.
const PUBLIC: [(IpAddr, IpAddr); 2] = [
    (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
    (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))),
];

/// The addresses of a listener that is bound to `bound`. A listener on every address has those that packets to the world leave
/// from; an interface without a route to the world is not found, but its address is private and so blocked anyway.
pub(super) fn addresses_of(bound: IpAddr) -> Vec<IpAddr> {
    if !bound.is_unspecified() {
        return vec![bound];
    }
    // A machine without IPv6, or without a route, has no such address: nothing to block.
    PUBLIC.iter().filter_map(|(any, public)| outgoing_address(*any, *public).ok()).collect()
}

fn outgoing_address(any: IpAddr, public: IpAddr) -> std::io::Result<IpAddr> {
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect((public, 9))?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_bound_address_as_it_is() {
        let bound = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));
        assert_eq!(addresses_of(bound), [bound]);
    }

    #[test]
    fn never_answers_the_unspecified_address() {
        assert!(addresses_of(IpAddr::V4(Ipv4Addr::UNSPECIFIED)).iter().all(|address| !address.is_unspecified()));
    }
}
