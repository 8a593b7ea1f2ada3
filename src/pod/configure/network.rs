//! A range of addresses in CIDR notation, as the admin writes it in the fetch policy.
//!
//! Pure. Knows nothing of what a range is good for; [`super::guard`] does.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// A network: `10.0.0.0/8`, `fc00::/7`; a single address is a network of one.
///
/// A network of IPv4 addresses that are dressed as IPv6 ones (`::ffff:10.0.0.0/104`) is the IPv4 network: connections are
/// made to the plain address, and a rule that says the same thing in other words must not miss it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    addr: IpAddr,
    prefix: u32,
}

impl Network {
    /// Whether `addr` lies in this network. An IPv4 network contains no IPv6 address and the other way round, not even
    /// one that embeds the other.
    pub fn contains(&self, addr: IpAddr) -> bool {
        self.addr.is_ipv4() == addr.is_ipv4() && self.part_of_network(addr) == self.part_of_network(self.addr)
    }

    pub(super) const fn v4(octets: [u8; 4], prefix: u32) -> Self {
        Self { addr: IpAddr::V4(Ipv4Addr::from_octets(octets)), prefix }
    }

    pub(super) const fn v6(segments: [u16; 8], prefix: u32) -> Self {
        Self { addr: IpAddr::V6(Ipv6Addr::from_segments(segments)), prefix }
    }

    /// The same network in the family that its addresses are connected to by.
    fn undressed(self) -> Self {
        match (self.addr.to_canonical(), self.prefix.checked_sub(96)) {
            (addr @ IpAddr::V4(_), Some(prefix)) if self.addr.is_ipv6() => Self { addr, prefix },
            _ => self,
        }
    }

    /// The leading `prefix` bits. A shift by all bits is what `/0` asks for: nothing remains.
    fn part_of_network(&self, addr: IpAddr) -> u128 {
        let (bits, width) = bits_and_width(addr);
        bits.checked_shr(width.saturating_sub(self.prefix)).unwrap_or(0)
    }
}

fn bits_and_width(addr: IpAddr) -> (u128, u32) {
    match addr {
        IpAddr::V4(addr) => (u128::from(addr.to_bits()), 32),
        IpAddr::V6(addr) => (addr.to_bits(), 128),
    }
}

/// An address of the family of `addr`.
fn with_bits(addr: IpAddr, bits: u128) -> IpAddr {
    match addr {
        // The upper bits of an IPv4 address are 0 here.
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX))),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    }
}

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNetwork {
    /// Not an address, or not a prefix length that its family has.
    #[error("not a network: write \"10.1.2.0/24\" or \"fd00::/8\"")]
    Syntax,
    /// Bits below the prefix are set: either the address or the length is a mistake, and guessing which would open
    /// more or less than was meant.
    #[error(
        "its address has bits beyond the prefix: write \"{network}\" for the network, or \"{addr}\" for the one address"
    )]
    HostBits {
        /// The network that the prefix names.
        network: Network,
        /// The address given.
        addr: IpAddr,
    },
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (addr, prefix) = match text.split_once('/') {
            Some((addr, prefix)) => (addr, Some(prefix)),
            None => (text, None),
        };
        let addr: IpAddr = addr.parse().map_err(|_| InvalidNetwork::Syntax)?;
        let (bits, width) = bits_and_width(addr);
        let prefix = match prefix {
            // `u32::from_str` would take a sign.
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| InvalidNetwork::Syntax)?
            }
            Some(_) => return Err(InvalidNetwork::Syntax),
            None => width,
        };
        if prefix > width {
            return Err(InvalidNetwork::Syntax);
        }
        let first = Self { addr, prefix }.part_of_network(addr).checked_shl(width - prefix).unwrap_or(0);
        let network = Self { addr: with_bits(addr, first), prefix }.undressed();
        if first == bits { Ok(network) } else { Err(InvalidNetwork::HostBits { network, addr }) }
    }
}

impl TryFrom<String> for Network {
    type Error = InvalidNetwork;

    fn try_from(text: String) -> Result<Self, InvalidNetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> String {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, addr: &str) -> bool {
        network.parse::<Network>().unwrap().contains(addr.parse().unwrap())
    }

    #[test]
    fn a_network_ends_where_its_prefix_says() {
        assert!(contains("10.0.0.0/8", "10.255.255.255") && !contains("10.0.0.0/8", "11.0.0.0"));
        assert!(contains("172.16.0.0/12", "172.31.255.255") && !contains("172.16.0.0/12", "172.32.0.0"));
        assert!(contains("fc00::/7", "fdff::1") && !contains("fc00::/7", "fe00::1"));
        assert!(contains("192.0.2.7", "192.0.2.7") && !contains("192.0.2.7", "192.0.2.6"));
    }

    #[test]
    fn a_prefix_of_zero_is_its_whole_family_and_not_the_other() {
        assert!(contains("0.0.0.0/0", "255.255.255.255") && !contains("0.0.0.0/0", "::1"));
        assert!(contains("::/0", "ffff::") && !contains("::/0", "127.0.0.1"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "/",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0/8",
            "10.0.0.0/8/8",
            "::/129",
            "cluster.local",
        ] {
            assert_eq!(text.parse::<Network>(), Err(InvalidNetwork::Syntax), "{text}");
        }
    }

    #[test]
    fn what_may_be_meant_by_bits_beyond_the_prefix_is_told() {
        for (text, network, addr) in [
            ("10.1.2.3/8", "10.0.0.0/8", "10.1.2.3"),
            ("10.1.2.3/0", "0.0.0.0/0", "10.1.2.3"),
            ("fd00::1/8", "fd00::/8", "fd00::1"),
            ("::1/0", "::/0", "::1"),
            ("::ffff:10.1.2.3/104", "10.0.0.0/8", "::ffff:10.1.2.3"),
        ] {
            let (network, addr) = (network.parse().unwrap(), addr.parse().unwrap());
            assert_eq!(text.parse::<Network>(), Err(InvalidNetwork::HostBits { network, addr }), "{text}");
        }
        let message = "10.1.2.3/8".parse::<Network>().unwrap_err().to_string();
        assert!(message.contains("\"10.0.0.0/8\"") && message.contains("\"10.1.2.3\""), "{message}");
    }

    #[test]
    fn a_network_of_ipv4_addresses_dressed_as_ipv6_is_the_ipv4_network() {
        for (dressed, plain) in [
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:a00:0/104", "10.0.0.0/8"),
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
            ("::ffff:0.0.0.0/96", "0.0.0.0/0"),
        ] {
            assert_eq!(dressed.parse::<Network>().unwrap().to_string(), plain);
        }
        assert_eq!("::/80".parse::<Network>().unwrap().to_string(), "::/80", "wider: it is an IPv6 network");
    }

    #[test]
    fn text_and_network_are_the_same_thing() {
        for text in ["10.0.0.0/8", "0.0.0.0/0", "fd00::/8", "::1/128"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
    }
}
