//! Results in an IPFS cluster (ipfs-cluster): each one folder, pinned by as many nodes as were asked for.
//!
//! ```text
//!   pinset   <root>  named <group>/<job>       keeps it and finds it: there is no other index
//!   root     <root>/data/outputs/… /results.json /manifest.json
//! ```
//!
//! Pinning is not done when it is acknowledged: a result counts as published once enough nodes say that they have it. What a
//! cluster holds is read through the RPC interface of one of its nodes, which may fetch it from the others.
//!
//! A cluster that is not the right one cannot be told from one with nothing in it: it has no folder that could be missing.

mod pinset;
mod publish;
mod results;

use super::{Patience, content::Content, failure::Failure, rpc::Rpc};
use crate::{
    storage::{ContentUrls, IpfsCluster, IpfsCredentials, StorageError, error::Meaning},
    workflow::ResultId,
};
use std::{fmt, time::Duration};

/// ipfs-cluster's limit for a pin's name, less what a job's id needs.
const MAX_GROUP_LEN: usize = 255 - ResultId::MAX_LEN - 1;

/// An IPFS cluster as a store. Clones share the connection.
#[derive(Clone)]
pub struct Cluster {
    /// Its REST interface.
    rest: Rpc,
    /// A node that reads what it holds.
    node: Rpc,
    group: String,
    replication: Option<(u32, u32)>,
    pin_timeout: Duration,
    name: String,
    urls: ContentUrls,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cluster").field(&self.name).finish()
    }
}

/// Opens a cluster. It is not asked; its first use shows. Its node is sent the same credentials.
///
/// # Errors
///
/// [`StorageError::Misconfigured`], with what is wrong with an address, the group, a certificate or the credentials.
pub fn open(target: &IpfsCluster, credentials: &IpfsCredentials) -> Result<Cluster, StorageError> {
    let rest = Rpc::new(&target.api, "", target.ca.as_deref(), credentials)?;
    let mut node = Rpc::new(&target.node, super::API, target.ca.as_deref(), credentials)?;
    // It may hold nothing of it itself.
    node.online = true;
    let group = &target.group;
    let name = format!("{}/{group}", rest.address());
    let unusable = |cause: &str| StorageError::new(Meaning::Misconfigured, "be used", &name, cause);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if group.is_empty() || group.len() > MAX_GROUP_LEN || !group.chars().all(plain) {
        return Err(unusable("its group has to be of letters, digits, '-', '.' and '_', and not too long"));
    }
    if target.replication.is_some_and(|(least, most)| least == 0 || most < least) {
        return Err(unusable("of its nodes at least one has to keep a result, and at most not fewer than at least"));
    }
    if !target.url_prefix.ends_with('/') {
        return Err(unusable("what its URLs begin with has to end in a slash"));
    }
    let pin_timeout = Duration::from_secs(target.pin_timeout_secs);
    let (group, replication) = (group.clone(), target.replication);
    Ok(Cluster { rest, node, group, replication, pin_timeout, name, urls: target.into() })
}

impl Cluster {
    /// The same with another patience.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        (self.rest.patience, self.node.patience) = (patience, patience);
        self
    }

    /// Frees on all nodes what nothing keeps any more, other people's as well.
    ///
    /// # Errors
    ///
    /// Any but [`StorageError::Missing`].
    pub async fn collect_garbage(&self) -> Result<(), StorageError> {
        self.rest.collect_everywhere().await.map_err(self.during("collect garbage"))
    }

    /// What the job's pin is named.
    fn pin_name(&self, job: &ResultId) -> String {
        format!("{}/{job}", self.group)
    }

    /// The job of a pin of this name, if it is one of ours.
    fn job_of(&self, name: &str) -> Option<ResultId> {
        name.strip_prefix(&self.group)?.strip_prefix('/')?.parse().ok()
    }

    fn content(&self) -> Content {
        Content { rpc: self.node.clone(), store: self.name.clone() }
    }

    fn failed(&self, what: &str, failure: Failure) -> StorageError {
        failure.during(what, &self.name)
    }

    fn during<'a>(&'a self, what: &'a str) -> impl Fn(Failure) -> StorageError + 'a {
        move |failure| self.failed(what, failure)
    }
}
