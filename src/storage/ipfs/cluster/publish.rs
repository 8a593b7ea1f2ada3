//! A result becomes a folder that the cluster is to keep, and is published once it says that it does.
//!
//! ```text
//!   add, pinned under the job's name ─► wait until enough nodes have it ─► looked at: names, sizes ─► recorded by the caller
//!                                          │                                  └─ then what else has the name goes
//!                                          └─ not in time: an error; the pin stays, and the next attempt finds it again
//! ```
//!
//! Two attempts that stored the same as two roots (a cluster whose settings changed in between) must not remove each other's:
//! both keep the one whose id comes first.

use super::{Cluster, pinset::Pin};
use crate::{
    storage::{
        ContentUrls, StorageError, TreeFile, TreeSource, TreeStore,
        ipfs::{failure::Failure, sending::send_tree},
    },
    workflow::ResultId,
};
use async_trait::async_trait;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// How often nodes are asked whether they have it by now.
const PERIOD: Duration = Duration::from_millis(500);

#[async_trait]
impl TreeStore for Cluster {
    async fn publish(&self, job: &ResultId, source: Arc<dyn TreeSource>) -> Result<String, StorageError> {
        let (files, name) = (source.files(), self.pin_name(job));
        let query = self.options(&name);
        let query: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        // In a stream, so that ids are told while files are still being sent. Then a failure stands in a trailer.
        let query: Vec<_> = query.into_iter().chain([("stream-channels", "true")]).collect();
        let sent = send_tree(&self.rest, &query, job, source.as_ref(), &files).await;
        let root = sent.map_err(self.during("store a result"))?;
        self.wait(&root).await?;
        if !self.content().has_exactly(&root, &files).await? {
            let cause = Failure::Said("names or sizes are not those that were sent".into());
            return Err(self.failed("hold what it was given", cause));
        }
        self.settle(job, root, source.as_ref(), &files).await
    }

    async fn find(&self, job: &ResultId) -> Result<Option<String>, StorageError> {
        Ok(self.pins(job).await?.into_iter().map(|pin| pin.cid).min())
    }

    async fn keep(&self, job: &ResultId, root: &str, files: &[TreeFile]) -> Result<bool, StorageError> {
        let name = self.pin_name(job);
        let query = self.options(&name);
        let query: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.rest.pin_everywhere(root, &query).await.map_err(self.during("keep a result"))?;
        self.wait(root).await?;
        let whole = self.content().has_exactly(root, files).await?;
        if whole {
            // It was found first, so it would also be what is left of several that say the same.
            self.leave_only(job, root).await?;
        }
        Ok(whole)
    }

    fn urls(&self) -> &ContentUrls {
        &self.urls
    }
}

impl Cluster {
    fn options(&self, name: &str) -> Vec<(&'static str, String)> {
        let mut options = vec![("name", name.to_owned())];
        if let Some((least, most)) = self.replication {
            options.extend([("replication-min", least.to_string()), ("replication-max", most.to_string())]);
        }
        options
    }

    /// The pins of this job: one, unless something was broken off.
    pub(super) async fn pins(&self, job: &ResultId) -> Result<Vec<Pin>, StorageError> {
        let name = self.pin_name(job);
        self.rest.pinset(|other| other == name).await.map_err(self.during("look up a result"))
    }

    /// Waits until enough nodes say that they have it.
    async fn wait(&self, root: &str) -> Result<(), StorageError> {
        const WHAT: &str = "keep a result on enough nodes";
        let enough = self.replication.map_or(1, |(least, _)| least.max(1)) as usize;
        let deadline = Instant::now() + self.pin_timeout;
        loop {
            let status = self.rest.status(root).await.map_err(self.during(WHAT))?;
            let pinned = status.pinned();
            if pinned >= enough {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let waited = self.pin_timeout.as_secs();
                let told = format!("after {waited} s {pinned} of {enough} have it ({})", status.told());
                return Err(self.failed(WHAT, Failure::Unreachable(told)));
            }
            sleep(PERIOD).await;
        }
    }

    /// Leaves one root of the job, which is returned: ours, or one that says the same and whose id comes first.
    async fn settle(
        &self,
        job: &ResultId,
        root: String,
        source: &dyn TreeSource,
        files: &[TreeFile],
    ) -> Result<String, StorageError> {
        let mut first = root;
        for other in self.pins(job).await? {
            if other.cid < first && self.says_the_same(&other.cid, source, files).await? {
                first = other.cid;
            }
        }
        self.leave_only(job, &first).await?;
        Ok(first)
    }

    async fn leave_only(&self, job: &ResultId, root: &str) -> Result<(), StorageError> {
        for other in self.pins(job).await?.iter().filter(|pin| pin.cid != root) {
            self.rest.unpin_everywhere(&other.cid).await.map_err(self.during("drop another result of this name"))?;
        }
        Ok(())
    }

    /// Whether it is kept and whole, and its manifest says what ours does. One that cannot be read is no reason to keep it.
    async fn says_the_same(
        &self,
        root: &str,
        source: &dyn TreeSource,
        files: &[TreeFile],
    ) -> Result<bool, StorageError> {
        let status = self.rest.status(root).await.map_err(self.during("look up another result of this name"))?;
        if status.pinned() == 0 {
            return Ok(false);
        }
        let manifest = self.content().manifest(root).await?;
        Ok(manifest.is_some_and(|manifest| source.same(&manifest)) && self.content().has_exactly(root, files).await?)
    }
}
