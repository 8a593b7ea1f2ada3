//! The requests to a cluster that are used. Unlike a node's they have statuses, except for the adding of files.

use crate::storage::ipfs::{
    commands::checked_cid,
    failure::{Complaint, Failure},
    rpc::{Answer, Rpc, json, within},
};
use bytes::Bytes;
use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The most bytes of an answer about one pin.
const MAX_LEN: usize = 4 * 1024 * 1024;

/// What a cluster is to keep.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Pin {
    pub cid: String,
    #[serde(default)]
    pub name: String,
    /// When it was asked to.
    pub timestamp: Option<Timestamp>,
}

/// What its nodes say of it.
#[derive(Debug, Deserialize)]
pub(super) struct Status {
    peer_map: BTreeMap<String, Peer>,
}

#[derive(Debug, Deserialize)]
struct Peer {
    status: String,
    #[serde(default)]
    error: String,
}

impl Status {
    /// How many nodes have it.
    pub(super) fn pinned(&self) -> usize {
        self.peer_map.values().filter(|peer| peer.status == "pinned").count()
    }

    /// What the others say, for people.
    pub(super) fn told(&self) -> String {
        let others = self.peer_map.values().filter(|peer| peer.status != "pinned");
        let told = others.map(|Peer { status, error }| match error.as_str() {
            "" => status.clone(),
            error => format!("{status}: {error}"),
        });
        crate::workflow::report::clip(&told.collect::<Vec<_>>().join("; "), 300)
    }
}

impl Rpc {
    /// Every pin whose name `wanted` agrees to.
    pub(super) async fn pinset(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<Pin>, Failure> {
        let asked = self.send(Method::GET, "allocations", &[("filter", "pin")], None);
        let mut answer = within(self.patience.read, asked).await?;
        let mut pins = Vec::new();
        while let Some(line) = answer.line().await? {
            let pin: Pin = json(&line)?;
            if wanted(&pin.name) {
                pins.push(Pin { cid: checked_cid(pin.cid)?, ..pin });
            }
        }
        Ok(pins)
    }

    /// The pin of this content id; none if it is not to be kept.
    pub(super) async fn pin_of(&self, cid: &str) -> Result<Option<Pin>, Failure> {
        match self.whole(Method::GET, &format!("allocations/{cid}"), &[]).await {
            Err(failure) if failure.is(Complaint::NotPinned) => Ok(None),
            pin => json(&pin?).map(Some),
        }
    }

    /// What nodes say of it. They say something also of what is not to be kept.
    pub(super) async fn status(&self, cid: &str) -> Result<Status, Failure> {
        json(&self.whole(Method::GET, &format!("pins/{cid}"), &[]).await?)
    }

    /// Asks the cluster to keep it. A second time replaces the name.
    pub(super) async fn pin_everywhere(&self, cid: &str, query: &[(&str, &str)]) -> Result<(), Failure> {
        self.whole(Method::POST, &format!("pins/{cid}"), query).await.map(drop)
    }

    /// Asks it to keep it no longer; false if it did not.
    pub(super) async fn unpin_everywhere(&self, cid: &str) -> Result<bool, Failure> {
        match self.whole(Method::DELETE, &format!("pins/{cid}"), &[]).await {
            Err(failure) if failure.is(Complaint::NotPinned) => Ok(false),
            unpinned => unpinned.map(|_| true),
        }
    }

    /// When it is, by the cluster's clock.
    pub(super) async fn clock(&self) -> Result<Option<Timestamp>, Failure> {
        let answer = within(self.patience.read, self.send(Method::GET, "version", &[], None)).await?;
        Ok(answer.date())
    }

    /// Has all nodes free what nothing keeps.
    pub(super) async fn collect_everywhere(&self) -> Result<(), Failure> {
        let answer = within(self.patience.write, self.send(Method::POST, "ipfs/gc", &[], None)).await?;
        Answer::whole(answer, MAX_LEN).await.map(drop)
    }

    async fn whole(&self, method: Method, path: &str, query: &[(&str, &str)]) -> Result<Bytes, Failure> {
        let patience = if method == Method::GET { self.patience.read } else { self.patience.write };
        within(patience, async { self.send(method, path, query, None).await?.whole(MAX_LEN).await }).await
    }
}
