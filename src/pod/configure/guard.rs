//! Where a fetch may connect to: the address guard against server-side request forgery.
//!
//! A URL of a stranger makes this pod connect, from inside the cluster, to whatever its host turns out to be: the cloud's
//! metadata service, the API server, a neighbour. So the *address* decides, not the name:
//!
//! ```text
//! url ─ host is an address? ─ yes → Guard::check_host, before the request
//!                           └ no → the client asks us to resolve it (reqwest::dns::Resolve) → only the addresses that
//!                                  pass are handed back, so the connection is made to a checked address
//! ```
//!
//! There is no second resolution between check and connection, so a name that changes its answer (DNS rebinding) gains
//! nothing. The client asks no resolver for a literal address, which is why the first branch exists. Decimal, octal and
//! hex forms (`http://2130706433/`) are literal addresses by then: the URL parser normalises them (WHATWG URL, "IPv4
//! parser"). Every redirect passes here again ([`super::http`]).

use super::{network::Network, policy::FetchPolicy};
use async_trait::async_trait;
use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

/// The rules and the way names become addresses. Clones share both.
#[derive(Clone)]
pub(super) struct Guard(Arc<Inner>);

struct Inner {
    allow: Vec<Network>,
    deny: Vec<Network>,
    lookup: Arc<dyn Lookup>,
}

/// How names become addresses; a test has its own.
#[async_trait]
pub(super) trait Lookup: Send + Sync {
    /// All addresses of `host`.
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver.
pub(super) struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|addr| addr.ip()).collect())
    }
}

/// An address this engine does not fetch from. It names the kind of address, not the address: what a cluster's
/// resolver answers is nobody's business outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its host is {0}, which is not fetched from unless the admin lists the network in allowNetworks")]
pub(super) struct Refused(pub(super) &'static str);

impl Guard {
    pub(super) fn new(policy: &FetchPolicy, lookup: Arc<dyn Lookup>) -> Self {
        Self(Arc::new(Inner { allow: policy.allow_networks.clone(), deny: policy.deny_networks.clone(), lookup }))
    }

    /// Checks a host that is a literal address; a name passes here and is checked when it is resolved.
    pub(super) fn check_host(&self, url: &Url) -> Result<(), Refused> {
        let host = url.host_str().unwrap_or_default();
        match host.trim_start_matches('[').trim_end_matches(']').parse() {
            Ok(addr) => self.check(addr),
            Err(_) => Ok(()),
        }
    }

    /// Checks an address, and the IPv4 address that it embeds.
    pub(super) fn check(&self, addr: IpAddr) -> Result<(), Refused> {
        let faces = [Some(addr), embedded(addr).map(IpAddr::V4)];
        let faces = || faces.iter().flatten().copied();
        let within = |networks: &[Network]| faces().any(|face| networks.iter().any(|network| network.contains(face)));
        if within(&self.0.deny) {
            return Err(Refused("in a network that the admin denies"));
        }
        if within(&self.0.allow) {
            return Ok(());
        }
        match faces().find_map(reserved) {
            Some(kind) => Err(Refused(kind)),
            None => Ok(()),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = guard.0.lookup.lookup(name.as_str()).await?;
            let mut refused = None;
            let mut passed = Vec::new();
            for addr in found {
                match guard.check(addr) {
                    // Port 0: the client puts the URL's there.
                    Ok(()) => passed.push(SocketAddr::new(addr, 0)),
                    Err(reason) => refused = Some(reason),
                }
            }
            match refused {
                // A name with a public and a private address is still only reached at the public one.
                Some(reason) if passed.is_empty() => Err(reason.into()),
                _ => Ok(Box::new(passed.into_iter()) as Addrs),
            }
        })
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("allow", &self.0.allow).field("deny", &self.0.deny).finish_non_exhaustive()
    }
}

/// The kind of a network that is not the public internet.
fn reserved(addr: IpAddr) -> Option<&'static str> {
    RESERVED.iter().find(|(network, _)| network.contains(addr)).map(|&(_, kind)| kind)
}

/// The IPv4 address that an IPv6 address stands for, where something on the way would turn it into that.
fn embedded(addr: IpAddr) -> Option<Ipv4Addr> {
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

    fn guard(allow: &[&str], deny: &[&str]) -> Guard {
        let parse = |networks: &[&str]| networks.iter().map(|network| network.parse().unwrap()).collect();
        let policy = FetchPolicy { allow_networks: parse(allow), deny_networks: parse(deny), ..FetchPolicy::default() };
        Guard::new(&policy, Arc::new(SystemLookup))
    }

    fn passes(guard: &Guard, addr: &str) -> bool {
        guard.check(addr.parse().unwrap()).is_ok()
    }

    #[test]
    fn only_the_public_internet_passes() {
        let guard = guard(&[], &[]);
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
            assert!(!passes(&guard, addr), "{addr}");
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
            assert!(passes(&guard, addr), "{addr}");
        }
    }

    #[test]
    fn an_allowed_network_passes_in_every_disguise_and_nothing_beside_it() {
        let guard = guard(&["10.1.0.0/16"], &[]);
        assert!(passes(&guard, "10.1.2.3") && passes(&guard, "::ffff:10.1.2.3") && passes(&guard, "64:ff9b::10.1.2.3"));
        assert!(!passes(&guard, "10.2.0.1") && !passes(&guard, "127.0.0.1"));
    }

    #[test]
    fn a_denied_network_wins_over_an_allowed_one() {
        let guard = guard(&["0.0.0.0/0"], &["1.2.3.0/24"]);
        assert!(passes(&guard, "127.0.0.1"));
        assert!(!passes(&guard, "1.2.3.4") && !passes(&guard, "::ffff:1.2.3.4"));
    }

    #[test]
    fn a_literal_address_is_recognised_in_every_spelling() {
        let guard = guard(&[], &[]);
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://127.1/",
            "http://127.0.0.1./",
            "http://0/",
            "http://[::1]/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://①②⑦.0.0.1/",
            "http://%31%32%37.0.0.1/",
        ] {
            assert!(guard.check_host(&url.parse().unwrap()).is_err(), "{url}");
        }
        assert!(guard.check_host(&"http://example.org/".parse().unwrap()).is_ok());
    }
}
