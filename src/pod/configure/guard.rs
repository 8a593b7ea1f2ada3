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

use super::{
    network::Network,
    policy::FetchPolicy,
    reserved::{embedded, reserved},
};
use async_trait::async_trait;
use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
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
#[error("its host is {0}, which is not fetched from unless the admin lists the network in fetch.allow_networks")]
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
    fn a_denied_network_is_denied_in_whichever_family_the_admin_wrote_it() {
        let guard = guard(&["0.0.0.0/0"], &["::ffff:1.2.3.0/120"]);
        assert!(!passes(&guard, "1.2.3.4") && !passes(&guard, "::ffff:1.2.3.4") && passes(&guard, "1.2.4.4"));
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
