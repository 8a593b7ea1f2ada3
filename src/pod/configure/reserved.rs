//! Which addresses are not the public internet, and which embed one that may not be.
//!
//! Pure tables; [`super::guard`] decides what follows from them.

use super::network::Network;
use std::net::{IpAddr, Ipv4Addr};

/// The kind of a network that is not the public internet.
pub(super) fn reserved(addr: IpAddr) -> Option<&'static str> {
    RESERVED.iter().find(|(network, _)| network.contains(addr)).map(|&(_, kind)| kind)
}

/// The IPv4 address that an IPv6 address stands for, where something on the way would turn it into that.
pub(super) fn embedded(addr: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(addr) = addr else { return None };
    let pair = |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match addr.segments() {
        // IPv4-compatible (RFC 4291 §2.5.5.1), mapped (§2.5.5.2) and translated (RFC 2765 §2.1).
        [0, 0, 0, 0, 0, 0, a, b] | [0, 0, 0, 0, 0, 0xffff, a, b] | [0, 0, 0, 0, 0xffff, 0, a, b] => pair(a, b),
        // NAT64 (RFC 6052 §2.1).
        [0x64, 0xff9b, 0, 0, 0, 0, a, b] => pair(a, b),
        // 6to4 (RFC 3056 §2).
        [0x2002, a, b, ..] => pair(a, b),
        _ => None,
    }
}

/// IANA's special-purpose registries (RFC 6890 and its updates), multicast and what is reserved for the future.
const RESERVED: &[(Network, &str)] = &[
    (Network::v4([127, 0, 0, 0], 8), "a loopback address"),
    (Network::v4([0, 0, 0, 0], 8), "an unspecified address"),
    (Network::v4([10, 0, 0, 0], 8), "a private address"),
    (Network::v4([172, 16, 0, 0], 12), "a private address"),
    (Network::v4([192, 168, 0, 0], 16), "a private address"),
    (Network::v4([169, 254, 0, 0], 16), "a link-local address"),
    (Network::v4([100, 64, 0, 0], 10), "a shared (CGNAT) address"),
    (Network::v4([192, 0, 0, 0], 24), "a protocol-assignment address"),
    (Network::v4([192, 0, 2, 0], 24), "a documentation address"),
    (Network::v4([198, 51, 100, 0], 24), "a documentation address"),
    (Network::v4([203, 0, 113, 0], 24), "a documentation address"),
    (Network::v4([192, 88, 99, 0], 24), "a 6to4 relay address"),
    (Network::v4([198, 18, 0, 0], 15), "a benchmarking address"),
    (Network::v4([224, 0, 0, 0], 4), "a multicast address"),
    (Network::v4([255, 255, 255, 255], 32), "the broadcast address"),
    (Network::v4([240, 0, 0, 0], 4), "a reserved address"),
    (Network::v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "a loopback address"),
    (Network::v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "an unspecified address"),
    (Network::v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "a local translation (NAT64) address"),
    (Network::v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), "a discard-only address"),
    // Teredo, benchmarking, ORCHID and the rest of the protocol assignments.
    (Network::v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "a protocol-assignment address"),
    (Network::v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "a documentation address"),
    (Network::v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "a documentation address"),
    (Network::v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), "a segment-routing address"),
    (Network::v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "a private (ULA) address"),
    (Network::v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "a link-local address"),
    (Network::v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "a site-local address"),
    (Network::v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "a multicast address"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_internet_is_public() {
        let is_public = |addr: &str| {
            let addr: IpAddr = addr.parse().unwrap();
            let faces = [Some(addr), embedded(addr).map(IpAddr::V4)];
            faces.into_iter().flatten().all(|face| reserved(face).is_none())
        };
        for addr in [
            "127.0.0.1",
            "127.255.255.254",
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.19.255.255",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
            "3fff::1",
            "100::1",
            "5f00::1",
            "2001::1",
            "2001:2::1",
            "64:ff9b:1::1",
            // The same, embedded.
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:10.0.0.1",
            "::127.0.0.1",
            "::10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b::10.0.0.1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2002:a00:1::",
        ] {
            assert!(!is_public(addr), "{addr}");
        }
        for addr in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "126.0.0.1",
            "128.0.0.1",
            "100.63.255.255",
            "100.128.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "64:ff9b::1.1.1.1",
            "::ffff:1.1.1.1",
            "2002:101:101::1",
        ] {
            assert!(is_public(addr), "{addr}");
        }
    }
}
