//! `[ipfs]` and `[ipfs_cluster]`, and the same of `[adminlogs]`.
//!
//! There is no switch for plain http here: Kubo and ipfs-cluster speak nothing else by themselves, and an address without
//! `http://` before it is refused, so it is always spelled out.

use crate::{
    config::{duration, values::Values},
    storage::{Ipfs, IpfsCluster},
};
use std::time::Duration;

/// The keys of `[ipfs]`.
pub(super) struct Keys {
    pub(super) api: &'static str,
    pub(super) folder: &'static str,
    pub(super) url_prefix: &'static str,
    pub(super) double_slash: &'static str,
    pub(super) ca_file: &'static str,
}

/// The keys of `[ipfs_cluster]`.
pub(super) struct ClusterKeys {
    pub(super) api: &'static str,
    pub(super) node: &'static str,
    pub(super) group: &'static str,
    pub(super) replication_min: &'static str,
    pub(super) replication_max: &'static str,
    pub(super) pin_timeout: &'static str,
    pub(super) url_prefix: &'static str,
    pub(super) double_slash: &'static str,
    pub(super) ca_file: &'static str,
}

/// The keys of the section of this name.
macro_rules! keys {
    ($section:literal) => {
        ipfs::Keys {
            api: concat!($section, ".api"),
            folder: concat!($section, ".folder"),
            url_prefix: concat!($section, ".url_prefix"),
            double_slash: concat!($section, ".double_slash"),
            ca_file: concat!($section, ".ca_file"),
        }
    };
}
pub(super) use keys;

/// The keys of the section of this name.
macro_rules! cluster_keys {
    ($section:literal) => {
        ipfs::ClusterKeys {
            api: concat!($section, ".api"),
            node: concat!($section, ".node"),
            group: concat!($section, ".group"),
            replication_min: concat!($section, ".replication_min"),
            replication_max: concat!($section, ".replication_max"),
            pin_timeout: concat!($section, ".pin_timeout"),
            url_prefix: concat!($section, ".url_prefix"),
            double_slash: concat!($section, ".double_slash"),
            ca_file: concat!($section, ".ca_file"),
        }
    };
}
pub(super) use cluster_keys;

impl Keys {
    pub(super) fn read(&self, values: &mut Values) -> Ipfs {
        Ipfs {
            api: values.server(self.api).unwrap_or_default(),
            folder: values.checked_text(self.folder, folder),
            url_prefix: values.url_prefix(self.url_prefix),
            double_slash: values.switch(self.double_slash),
            ca: values.certificates(self.ca_file),
        }
    }
}

impl ClusterKeys {
    /// Reads the section. Rules between its keys hold only where it is `used`.
    pub(super) fn read(&self, values: &mut Values, used: bool) -> IpfsCluster {
        let api = values.server(self.api).unwrap_or_default();
        let node = values.server(self.node).unwrap_or_default();
        let group = values.checked_text(self.group, group);
        let [fewest, most] = [self.replication_min, self.replication_max].map(|key| values.whole(key, 0..=1000));
        let both = (fewest > 0) == (most > 0) && fewest <= most;
        let sentence = format!(
            "{} must not be above {}, and either both are 0 or none is",
            self.replication_min, self.replication_max
        );
        values.rule(&[self.replication_min, self.replication_max], !used || both, &sentence);
        let sentence = format!("{} must be set as well, because results are read from a node", self.node);
        values.rule(&[self.node, self.api], !used || !node.is_empty(), &sentence);
        IpfsCluster {
            api,
            node,
            group,
            replication: (most > 0).then_some((fewest, most)),
            pin_timeout_secs: values.duration(self.pin_timeout, Duration::from_secs(1)..=duration::MAX).as_secs(),
            url_prefix: values.url_prefix(self.url_prefix),
            double_slash: values.switch(self.double_slash),
            ca: values.certificates(self.ca_file),
        }
    }
}

/// Below the root of MFS, and not the root: what is deleted there is what is found there.
fn folder(text: &str) -> Result<String, String> {
    let path = text.strip_prefix('/').unwrap_or_default().trim_end_matches('/');
    if path.is_empty() || path.len() > 190 || object_store::path::Path::parse(path).is_err() {
        return Err("not a folder below the root: write it as \"/operator-engine\"; no part may be . or ..".to_owned());
    }
    Ok(format!("/{path}"))
}

fn group(text: &str) -> Result<String, String> {
    let inside = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.is_empty() || text.len() > 64 || !text.chars().all(inside) {
        return Err("not a name for a group: at most 64 of A-Z, a-z, 0-9, -, _ and .".to_owned());
    }
    Ok(text.to_owned())
}
