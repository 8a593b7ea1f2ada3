//! A result becomes a pinned folder, then an entry of the index.
//!
//! ```text
//!   add, pinned under the job's name ─► files/cp into the index ─► looked at: root, names, sizes ─► recorded by the caller
//!        │                                 └─ something is there already: the same root: done
//!        │                                                                 the same result: that one is kept, ours dropped
//!        │                                                                 another result: removed, then again
//!        └─ crash here: a pin without an entry; the next attempt has the same root and goes on, or the sweep finds it
//! ```
//!
//! Pin and entry survive a crash of the node from the moment they are acknowledged, and at no time is anything left
//! unflushed. So the order is not to be changed, nor the two acts made one with `to-files`.

use super::{
    Kubo,
    commands::{Stat, ipfs_path},
    failure::{Complaint, Failure},
    sending::send_tree,
};
use crate::{
    storage::{ContentUrls, StorageError, TreeFile, TreeSource, TreeStore, keys::Keys, manifest},
    workflow::ResultId,
};
use async_trait::async_trait;
use std::sync::Arc;

/// How often another one's entry may be found in our way.
const TRIES: usize = 5;

#[async_trait]
impl TreeStore for Kubo {
    async fn publish(&self, job: &ResultId, source: Arc<dyn TreeSource>) -> Result<String, StorageError> {
        self.prepare().await?;
        let files = source.files();
        let name = self.pin_name(job);
        let query = [("pin", "true"), ("pin-name", name.as_str())];
        let sent = send_tree(&self.rpc, &query, job, source.as_ref(), &files).await;
        let root = sent.map_err(self.during("store a result"))?;
        let root = self.enter(job, &root, source.as_ref(), &files).await?;
        self.check(job, &root, &files).await?;
        Ok(root)
    }

    async fn find(&self, job: &ResultId) -> Result<Option<String>, StorageError> {
        let found = self.rpc.stat(&self.path(job)).await.map_err(self.during("look up a result"))?;
        match found {
            Some(Stat { is_folder: false, .. }) => {
                Err(self.misconfigured(&format!("{} is a file there; move it away", self.path(job))))
            }
            found => Ok(found.map(|found| found.cid)),
        }
    }

    async fn keep(&self, job: &ResultId, root: &str, files: &[TreeFile]) -> Result<bool, StorageError> {
        Ok(self.pin(job, root).await? && self.content().has_exactly(root, files).await?)
    }

    fn urls(&self) -> &ContentUrls {
        &self.urls
    }
}

impl Kubo {
    /// Pins a root as the job's; false if the node does not have all of it.
    pub(super) async fn pin(&self, job: &ResultId, root: &str) -> Result<bool, StorageError> {
        self.check_version().await?;
        self.rpc.pin(root, &self.pin_name(job)).await.map_err(self.during("keep a result"))
    }

    /// Makes `root`, which is pinned, the job's entry, or finds that another one stands for the same. Returns the entry's root.
    async fn enter(
        &self,
        job: &ResultId,
        root: &str,
        source: &dyn TreeSource,
        files: &[TreeFile],
    ) -> Result<String, StorageError> {
        const WHAT: &str = "enter a result in its index";
        let path = self.path(job);
        let mut last = Failure::Unreachable("others enter and remove it all the time".into());
        for _ in 0..TRIES {
            match self.rpc.copy(&ipfs_path(root), &path, false).await {
                Ok(()) => return Ok(root.to_owned()),
                Err(failure) if failure.complaint().is_none_or(|complaint| complaint == Complaint::Exists) => {
                    last = failure;
                }
                Err(failure) => return Err(self.failed(WHAT, failure)),
            }
            // The acknowledgement may have got lost.
            let Some(other) = self.find(job).await? else {
                if last.complaint().is_none() {
                    return Err(self.failed(WHAT, last));
                }
                continue;
            };
            if other == root {
                return Ok(other);
            }
            if last.complaint().is_none() {
                return Err(self.failed(WHAT, last));
            }
            let manifest = self.rpc.file(&format!("/ipfs/{other}/{}", Keys::MANIFEST), manifest::MAX_LEN).await;
            let same = match manifest {
                Ok(manifest) => manifest.is_some_and(|manifest| source.same(&manifest)),
                Err(failure) if failure.is(Complaint::NoContent) => false,
                Err(failure) => return Err(self.failed("read the manifest of another attempt", failure)),
            };
            if same && self.keep(job, &other, files).await? {
                self.rpc.unpin(root).await.map_err(self.during("drop what another attempt stored as well"))?;
                return Ok(other);
            }
            self.drop_root(job, &other).await?;
        }
        Err(self.failed(WHAT, last))
    }

    /// Looks whether the index has `root`, and the node everything in it.
    async fn check(&self, job: &ResultId, root: &str, files: &[TreeFile]) -> Result<(), StorageError> {
        let wrong = |cause: &str| self.failed("hold what it was given", Failure::Said(cause.to_owned()));
        if self.find(job).await?.as_deref() != Some(root) {
            return Err(wrong("its index has something else by now"));
        }
        if !self.content().has_exactly(root, files).await? {
            return Err(wrong("names or sizes are not those that were sent"));
        }
        Ok(())
    }
}
