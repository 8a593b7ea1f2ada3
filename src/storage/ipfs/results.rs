//! Results on a node, for those who read and delete them.

use super::{Kubo, failure::Complaint};
use crate::{
    storage::{Relinked, Removed, ResultStore, StorageError, Stored, TreeStore as _},
    workflow::JobId,
};
use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;
use futures::stream::BoxStream;
use jiff::Timestamp;
use reqwest::Method;
use std::{collections::BTreeMap, time::Duration};

#[async_trait]
impl ResultStore for Kubo {
    fn name(&self) -> &str {
        &self.name
    }

    async fn outdated(&self) -> Result<Option<String>, StorageError> {
        self.too_old().await
    }

    async fn is_new(&self) -> Result<bool, StorageError> {
        let found = self.rpc.stat(&self.folder).await.map_err(self.during("look for its folder"))?;
        // Pins outlive an index that was lost.
        Ok(found.is_none() && self.rpc.pins(&self.pin_prefix()).await.map_err(self.during("list pins"))?.is_empty())
    }

    async fn jobs(&self) -> Result<Vec<Stored>, StorageError> {
        self.check_version().await?;
        let folder = self.check_folder().await?;
        // By content id: to list MFS itself makes the next write wait for minutes, and shows it as it changes.
        let entries = self.rpc.entries(&folder).await.map_err(self.during("list results"))?;
        let folders = entries.into_iter().filter(|entry| entry.is_folder);
        let mut jobs: Vec<_> =
            folders.filter_map(|entry| Some(Stored { job: entry.name.parse().ok()?, root: Some(entry.cid) })).collect();
        jobs.sort();
        Ok(jobs)
    }

    async fn manifest(&self, stored: &Stored) -> Result<Option<Bytes>, StorageError> {
        match self.root(stored).await? {
            Some(root) => self.content().manifest(&root).await,
            None => Ok(None),
        }
    }

    async fn read(
        &self,
        stored: &Stored,
        key: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, StorageError>>, StorageError> {
        self.content().read_own(&stored.job, key, self.root(stored)).await
    }

    async fn link(&self, stored: &Stored, key: &str, _: Duration) -> Result<Option<String>, StorageError> {
        self.content().link_own(&self.urls, &stored.job, key, self.root(stored)).await
    }

    async fn keys(&self, stored: &Stored) -> Result<Option<Vec<String>>, StorageError> {
        match self.root(stored).await? {
            Some(root) => self.content().keys(&stored.job, &root).await.map(Some),
            None => Ok(Some(Vec::new())),
        }
    }

    async fn content_id(&self, stored: &Stored) -> Result<Option<String>, StorageError> {
        self.root(stored).await
    }

    async fn block(&self, cid: &Cid) -> Result<Option<Bytes>, StorageError> {
        self.content().block(cid).await
    }

    async fn last_written(&self, _: &Stored) -> Result<Option<Timestamp>, StorageError> {
        self.check_folder().await.map(|_| None)
    }

    /// In this order: the pin, the entry, and the flush without which a crash would bring the entry back.
    async fn remove(&self, stored: &Stored) -> Result<Removed, StorageError> {
        self.check_version().await?;
        let Some(root) = self.root(stored).await? else { return Ok(Removed::default()) };
        let files = match self.content().files(&root).await {
            Err(failure) if failure.is(Complaint::NoContent) => BTreeMap::new(),
            files => files.map_err(self.during("list what is to be removed"))?,
        };
        if !self.drop_root(&stored.job, &root).await? {
            return Ok(Removed::default());
        }
        Ok(Removed { objects: files.len() as u64, bytes: files.values().sum() })
    }

    async fn unlinked(&self) -> Result<Vec<Stored>, StorageError> {
        // Its own, which has this name too.
        Self::unlinked(self).await
    }

    async fn relink(&self, recorded: &[Stored]) -> Result<Relinked, StorageError> {
        Self::relink(self, recorded).await
    }

    async fn now(&self) -> Result<Option<Timestamp>, StorageError> {
        let asked = self.rpc.send(Method::POST, "version", &[], None);
        let answer = super::rpc::within(self.rpc.patience.read, asked).await;
        Ok(answer.map_err(self.during("tell the time"))?.date())
    }
}

impl Kubo {
    /// The root that is recorded or, without one, that the index has; none if the node does not keep it. What was removed may
    /// still be there for a while, but is as good as gone.
    async fn root(&self, stored: &Stored) -> Result<Option<String>, StorageError> {
        let entered = self.find(&stored.job).await?;
        let Some(root) = &stored.root else {
            return match entered {
                None => self.check_folder().await.map(|_| None),
                found => Ok(found),
            };
        };
        let checked = super::commands::checked_cid(root.clone());
        let root = checked.map_err(|_| self.misconfigured("the recorded root is no content id"))?;
        // Where MFS was lost, the pin still has it.
        let kept = entered.as_ref() == Some(&root)
            || self.rpc.pin_name(&root).await.map_err(self.during("look up a pin"))?.is_some();
        if kept { Ok(Some(root)) } else { self.check_folder().await.map(|_| None) }
    }

    /// The content id of the folder that is the index.
    pub(super) async fn check_folder(&self) -> Result<String, StorageError> {
        let found = self.rpc.stat(&self.folder).await.map_err(self.during("look for its folder"))?;
        let found = found.filter(|found| found.is_folder).ok_or_else(|| {
            self.misconfigured(
                "it has no such folder: nothing was published there yet, or it is another node, or its index was lost, \
                 in which case `operator-engine sweep --relink` enters all results again",
            )
        })?;
        Ok(found.cid)
    }

    /// Lets go of a root of the job: its pin, then its entry, unless that is another root's. Whether it had either.
    pub(super) async fn drop_root(&self, job: &JobId, root: &str) -> Result<bool, StorageError> {
        // A pin of another name is not ours: somebody else may want to keep the very same bytes.
        let ours = match self.rpc.pin_name(root).await.map_err(self.during("look up a pin"))? {
            Some(name) => name == self.pin_name(job) || name.is_empty(),
            None => false,
        };
        let unpinned = ours && self.rpc.unpin(root).await.map_err(self.during("unpin a result"))?;
        let entered = self.find(job).await?.as_deref() == Some(root);
        if entered {
            let removed = self.rpc.remove_path(&self.path(job)).await;
            removed.map_err(self.during("remove a result from its index"))?;
        }
        Ok(unpinned || entered)
    }
}
