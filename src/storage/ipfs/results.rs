//! Results on a node, for those who read and delete them.

use super::{
    Kubo,
    commands::ipfs_path,
    failure::{Complaint, Failure},
};
use crate::{
    storage::{Keys, Relinked, Removed, ResultStore, StorageError, Stored, TreeStore as _, manifest},
    workflow::JobId,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use jiff::Timestamp;
use reqwest::Method;
use std::{collections::BTreeMap, time::Duration};

/// The most files and folders of a result that are counted.
const MAX_ENTRIES: usize = 2_000_000;

#[async_trait]
impl ResultStore for Kubo {
    fn name(&self) -> &str {
        &self.name
    }

    async fn jobs(&self) -> Result<Vec<Stored>, StorageError> {
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
        let Some(root) = self.root(stored).await? else { return Ok(None) };
        match self.rpc.file(&format!("/ipfs/{root}/{}", Keys::MANIFEST), manifest::MAX_LEN).await {
            Err(failure) if failure.is(Complaint::WrongKind) => Ok(None),
            // That a block is missing of what is kept is no sign that there never was one.
            file => file.map_err(self.during("read a manifest")),
        }
    }

    async fn read(
        &self,
        stored: &Stored,
        key: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, StorageError>>, StorageError> {
        let missing = || StorageError::Missing { key: key.to_owned(), store: self.name.clone() };
        let path = own_path(&stored.job, key).ok_or_else(missing)?;
        let Some(root) = self.root(stored).await? else { return Err(missing()) };
        let found = match self.rpc.stat(&format!("/ipfs/{root}/{path}")).await {
            Err(failure) if failure.is(Complaint::WrongKind) => None,
            found => found.map_err(self.during(&format!("read {key}")))?,
        };
        let found = found.filter(|found| !found.is_folder).ok_or_else(missing)?;
        if found.size == 0 {
            return Ok(stream::empty().boxed());
        }
        let answer = self.rpc.cat(&ipfs_path(&found.cid), 0, found.size).await;
        let answer = answer.map_err(self.during(&format!("read {key}")))?;
        let (store, what, size) = (self.clone(), format!("read {key}"), found.size);
        let counted = stream::try_unfold((answer, 0), move |(mut answer, read)| {
            let (store, what) = (store.clone(), what.clone());
            async move {
                match answer.chunk().await.map_err(store.during(&what))? {
                    Some(chunk) => {
                        let read = read + chunk.len() as u64;
                        Ok(Some((chunk, (answer, read))))
                    }
                    None if read == size => Ok(None),
                    None => {
                        let short = format!("it ended after {read} of {size} bytes");
                        Err(store.failed(&what, Failure::Unreachable(short)))
                    }
                }
            }
        });
        Ok(counted.boxed())
    }

    /// The file's URL at the gateway, which anyone may read for as long as the node has it: on IPFS there is no other.
    async fn link(&self, stored: &Stored, key: &str, _: Duration) -> Result<Option<String>, StorageError> {
        let Some(path) = own_path(&stored.job, key) else {
            return Err(StorageError::Missing { key: key.to_owned(), store: self.name.clone() });
        };
        Ok(self.root(stored).await?.map(|root| self.urls.below(&root, path)))
    }

    async fn keys(&self, stored: &Stored) -> Result<Option<Vec<String>>, StorageError> {
        let Some(root) = self.root(stored).await? else { return Ok(Some(Vec::new())) };
        let files = self.files(&root).await.map_err(self.during("list what is stored"))?;
        Ok(Some(files.into_keys().map(|path| format!("{}/{path}", stored.job)).collect()))
    }

    async fn last_written(&self, _: &Stored) -> Result<Option<Timestamp>, StorageError> {
        self.check_folder().await.map(|_| None)
    }

    /// In this order: the pin, the entry, and the flush without which a crash would bring the entry back.
    async fn remove(&self, stored: &Stored) -> Result<Removed, StorageError> {
        self.check_version().await?;
        let Some(root) = self.root(stored).await? else { return Ok(Removed::default()) };
        let files = match self.files(&root).await {
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

/// `key` as a path below the root, if it is one of this job's. A manifest may have been written by anybody with access to
/// the store, and a part that is `..` would lead out of the root.
pub(in crate::storage) fn own_path<'k>(job: &JobId, key: &'k str) -> Option<&'k str> {
    let path = object_store::path::Path::parse(key).ok().filter(|path| path.as_ref() == key)?;
    path.prefix_matches(&Keys(job).prefix()).then(|| key.split_once('/').map(|(_, path)| path)).flatten()
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

    /// Every file below `root` with its size, by path.
    pub(super) async fn files(&self, root: &str) -> Result<BTreeMap<String, u64>, Failure> {
        let (mut files, mut folders, mut seen) = (BTreeMap::new(), vec![(root.to_owned(), String::new())], 0);
        while let Some((cid, path)) = folders.pop() {
            for entry in self.rpc.entries(&cid).await? {
                seen += 1;
                if seen > MAX_ENTRIES {
                    return Err(Failure::Foreign(format!("it has more than {MAX_ENTRIES} entries")));
                }
                let below = format!("{path}{}", entry.name);
                if entry.is_folder {
                    folders.push((entry.cid, format!("{below}/")));
                } else {
                    files.insert(below, entry.size);
                }
            }
        }
        Ok(files)
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
