//! Networks in CIDR notation, for the list of what may be reached.

use std::{fmt, net::IpAddr, str::FromStr};

/// A network: all addresses that share their first bits. A single address is a network of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether `ip` lies in it. IPv4 addresses that are dressed as IPv6 (`::ffff:10.0.0.1`) are seen as what they are.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => {
                first_bits(ip.to_canonical(), self.prefix) == bits(self.address)
            }
            _ => false,
        }
    }
}

/// The address as the top bits of a number.
fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()) << 96,
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// The address with all but its first `prefix` bits set to 0.
fn first_bits(ip: IpAddr, prefix: u8) -> u128 {
    bits(ip) & u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

/// A text that is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNetwork {
    /// It does not read as one.
    #[error("not a network: write \"10.1.2.0/24\" or \"fd00::/8\"")]
    Wrong,
    /// Its address has bits beyond its prefix, so it is unclear what is meant.
    #[error("its address has bits beyond the prefix: write \"{0}\" for the network, or \"{1}\" for the one address")]
    HostBits(Network, IpAddr),
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let (address, prefix) = match text.trim().split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text.trim(), None),
        };
        let given: IpAddr = address.parse().map_err(|_| InvalidNetwork::Wrong)?;
        let address = if prefix.is_none() { given.to_canonical() } else { given };
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            // u8's own parser takes a sign, which no prefix has.
            Some(prefix) if prefix.bytes().all(|b| b.is_ascii_digit()) => {
                prefix.parse().map_err(|_| InvalidNetwork::Wrong)?
            }
            Some(_) => return Err(InvalidNetwork::Wrong),
            None => whole,
        };
        if prefix > whole {
            return Err(InvalidNetwork::Wrong);
        }
        let start = first_bits(address, prefix);
        if start != bits(address) {
            let address = match address {
                IpAddr::V4(ip) => IpAddr::from((ip.to_bits() & u32::try_from(start >> 96).unwrap_or(0)).to_be_bytes()),
                IpAddr::V6(_) => IpAddr::from(start.to_be_bytes()),
            };
            return Err(InvalidNetwork::HostBits(Self { address, prefix }, given));
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(network: &str, ip: &str) -> bool {
        network.parse::<Network>().unwrap().contains(ip.parse().unwrap())
    }

    #[test]
    fn a_network_holds_what_shares_its_first_bits() {
        assert!(holds("10.0.0.0/8", "10.255.255.255"));
        assert!(!holds("10.0.0.0/8", "11.0.0.0"));
        assert!(holds("10.1.2.128/25", "10.1.2.200") && !holds("10.1.2.128/25", "10.1.2.127"));
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.8"));
        assert!(holds("0.0.0.0/0", "203.0.113.9") && !holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("fd00::/8", "fdff::1") && !holds("fd00::/8", "fe00::1"));
        assert!(holds("::/0", "2001:db8::1") && !holds("::/0", "10.0.0.1"));
    }

    #[test]
    fn an_ipv4_address_dressed_as_ipv6_is_still_ipv4() {
        assert!(holds("10.0.0.0/8", "::ffff:10.0.0.1"));
        assert!(holds("::ffff:10.0.0.1", "10.0.0.1"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in
            ["", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0/8", "::/129", "cluster.local", "10.0.0.0/8/8"]
        {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        let message = "10.1.2.3/8".parse::<Network>().unwrap_err().to_string();
        assert!(message.contains("\"10.0.0.0/8\"") && message.contains("\"10.1.2.3\""), "{message}");
        assert!("fd00::1/8".parse::<Network>().unwrap_err().to_string().contains("\"fd00::/8\""));
    }
}
