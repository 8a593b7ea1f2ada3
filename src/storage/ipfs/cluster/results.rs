//! Results in a cluster, for those who read and delete them.

use super::Cluster;
use crate::storage::{
    Removed, ResultStore, StorageError, Stored, TreeStore as _, error::Meaning, ipfs::commands::checked_cid,
};
use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;
use futures::stream::BoxStream;
use jiff::Timestamp;
use std::time::Duration;

#[async_trait]
impl ResultStore for Cluster {
    fn name(&self) -> &str {
        &self.name
    }

    async fn jobs(&self) -> Result<Vec<Stored>, StorageError> {
        let pins = self.rest.pinset(|name| self.job_of(name).is_some()).await.map_err(self.during("list results"))?;
        let jobs =
            pins.into_iter().filter_map(|pin| Some(Stored { job: self.job_of(&pin.name)?, root: Some(pin.cid) }));
        let mut jobs: Vec<_> = jobs.collect();
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

    /// When the cluster was last asked to keep it.
    async fn last_written(&self, stored: &Stored) -> Result<Option<Timestamp>, StorageError> {
        let Some(root) = self.root(stored).await? else { return Ok(None) };
        let pin = self.rest.pin_of(&root).await.map_err(self.during("look up a result"))?;
        Ok(pin.and_then(|pin| pin.timestamp))
    }

    async fn remove(&self, stored: &Stored) -> Result<Removed, StorageError> {
        let Some(root) = self.root(stored).await? else { return Ok(Removed::default()) };
        // What no node can give us any more can be let go all the same.
        let files = self.content().files(&root).await.unwrap_or_default();
        if !self.rest.unpin_everywhere(&root).await.map_err(self.during("unpin a result"))? {
            return Ok(Removed::default());
        }
        Ok(Removed { objects: (files.len() as u64).max(1), bytes: files.values().sum() })
    }

    async fn now(&self) -> Result<Option<Timestamp>, StorageError> {
        self.rest.clock().await.map_err(self.during("tell the time"))
    }
}

impl Cluster {
    /// The root that is recorded or, without one, that has the job's name; none if the cluster is not to keep it as this job's.
    async fn root(&self, stored: &Stored) -> Result<Option<String>, StorageError> {
        let Some(root) = &stored.root else { return self.find(&stored.job).await };
        let root = checked_cid(root.clone()).map_err(|_| {
            StorageError::new(Meaning::Misconfigured, "be used", &self.name, "the recorded root is no content id")
        })?;
        let pin = self.rest.pin_of(&root).await.map_err(self.during("look up a result"))?;
        Ok(pin.filter(|pin| pin.name == self.pin_name(&stored.job)).map(|_| root))
    }
}
