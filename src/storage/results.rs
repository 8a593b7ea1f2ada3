//! Results as objects: those of a bucket, of a folder and of memory, for those who read and delete them.
//!
//! No order of a list and no offset into one is relied on; servers differ in both.

use super::{
    Action, Credentials, Keys, Removed, ResultStore, Storage, StorageError, Stored, Target, error::is_missing, ipfs,
    manifest,
};
use crate::workflow::ResultId;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use object_store::{Error, GetOptions, ObjectMeta, path::Path};
use std::{collections::BTreeSet, time::Duration};

/// How many objects are deleted at once.
const CONCURRENCY: usize = 16;

/// Opens the store that `target` describes to read and to delete; nothing is made that is missing.
///
/// # Errors
///
/// As [`Storage::open`], and [`StorageError::Misconfigured`] for a folder that is not there: it never reads as one with
/// nothing in it.
pub fn open_results(target: &Target, credentials: &Credentials) -> Result<Box<dyn ResultStore>, StorageError> {
    match target {
        Target::Directory { path } if !path.is_dir() => Err(no_folder(&format!("file://{}", path.display()))),
        Target::Ipfs(target) => Ok(Box::new(ipfs::open(target, &credentials.ipfs)?)),
        Target::IpfsCluster(target) => Ok(Box::new(ipfs::cluster::open(target, &credentials.ipfs)?)),
        Target::Directory { .. } | Target::S3(_) => Ok(Box::new(Storage::open(target, credentials)?)),
    }
}

#[async_trait]
impl ResultStore for Storage {
    fn name(&self) -> &str {
        Self::name(self)
    }

    async fn jobs(&self) -> Result<Vec<Stored>, StorageError> {
        self.check_folder()?;
        let all = Path::default();
        let error = |error: &Error| self.error(Action::List, &all, error);
        let listed = self.store.list_with_delimiter(None).await.map_err(|failed| error(&failed))?;
        let mut names: BTreeSet<String> = listed.common_prefixes.into_iter().map(Into::into).collect();
        if let Some(bucket) = &self.bucket {
            let unfinished = bucket.unfinished(&all).await.map_err(|failed| error(&failed))?;
            let first = |key: &Path| key.as_ref().split('/').next().map(str::to_owned);
            names.extend(unfinished.iter().filter_map(|upload| first(&upload.key)));
        }
        let jobs: BTreeSet<ResultId> = names.iter().filter_map(|name| name.parse().ok()).collect();
        Ok(jobs.into_iter().map(|job| Stored { job, root: None }).collect())
    }

    async fn manifest(&self, stored: &Stored) -> Result<Option<Bytes>, StorageError> {
        match self.get(&Keys(&stored.job).manifest(), manifest::MAX_LEN).await {
            Err(StorageError::Missing { .. }) => self.list(&Keys(&stored.job).prefix()).await.map(|_| None),
            got => got.map(Some),
        }
    }

    async fn read(
        &self,
        stored: &Stored,
        key: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, StorageError>>, StorageError> {
        let path = self.own_key(stored, key)?;
        let found = match self.store.get_opts(&path, GetOptions::default()).await {
            Ok(found) => found,
            Err(error) => {
                if is_missing(&error) {
                    self.list(&Keys(&stored.job).prefix()).await?;
                }
                return Err(self.error(Action::Read, &path, &error));
            }
        };
        let (storage, size) = (self.clone(), found.meta.size);
        let counted = stream::try_unfold((found.into_stream(), 0), move |(mut chunks, read)| {
            let (storage, path) = (storage.clone(), path.clone());
            async move {
                match chunks.try_next().await {
                    Ok(Some(chunk)) => {
                        let read = read + chunk.len() as u64;
                        Ok(Some((chunk, (chunks, read))))
                    }
                    Ok(None) if read == size => Ok(None),
                    Ok(None) => {
                        let short = format!("it ended after {read} of {size} bytes");
                        let error = Error::Generic { store: "storage", source: short.into() };
                        Err(storage.error(Action::Read, &path, &error))
                    }
                    Err(error) => Err(storage.error(Action::Read, &path, &error)),
                }
            }
        });
        Ok(counted.boxed())
    }

    async fn link(&self, stored: &Stored, key: &str, valid_for: Duration) -> Result<Option<String>, StorageError> {
        let path = self.own_key(stored, key)?;
        let Some(bucket) = &self.bucket else { return Ok(None) };
        let link = bucket.link(&path, valid_for).await;
        link.map(Some).map_err(|error| self.error(Action::Sign, &path, &error))
    }

    async fn keys(&self, stored: &Stored) -> Result<Option<Vec<String>>, StorageError> {
        let listed = self.list(&Keys(&stored.job).prefix()).await?;
        Ok(Some(listed.into_iter().map(|meta| meta.location.into()).collect()))
    }

    async fn last_written(&self, stored: &Stored) -> Result<Option<Timestamp>, StorageError> {
        let prefix = Keys(&stored.job).prefix();
        let listed = self.list(&prefix).await?;
        let mut times: Vec<_> = listed.iter().filter_map(modified).collect();
        if let Some(bucket) = &self.bucket {
            let unfinished = bucket.unfinished(&prefix).await;
            let unfinished = unfinished.map_err(|error| self.error(Action::List, &prefix, &error))?;
            times.extend(unfinished.iter().filter_map(|upload| upload.begun));
        }
        Ok(times.into_iter().max())
    }

    async fn remove(&self, stored: &Stored) -> Result<Removed, StorageError> {
        let keys = Keys(&stored.job);
        let (prefix, manifest) = (keys.prefix(), keys.manifest());
        // A bucket that is not there says so now: of a deletion it may say that the object is gone.
        let listed = self.list(&prefix).await?;
        let others: Vec<_> = listed.iter().map(|meta| &meta.location).filter(|key| **key != manifest).collect();
        stream::iter(others.into_iter().map(Ok)).try_for_each_concurrent(CONCURRENCY, |key| self.delete(key)).await?;
        self.drop_unfinished(&prefix).await?;
        // An interrupted removal is found again by it.
        if listed.iter().any(|meta| meta.location == manifest) {
            self.delete(&manifest).await?;
            self.drop_unfinished(&prefix).await?;
        }
        if let Some(left) = self.list(&prefix).await?.first() {
            let error = Error::Generic { store: "storage", source: "it is still there after it was deleted".into() };
            return Err(self.error(Action::Delete, &left.location, &error));
        }
        Ok(Removed { objects: listed.len() as u64, bytes: listed.iter().map(|meta| meta.size).sum() })
    }

    async fn now(&self) -> Result<Option<Timestamp>, StorageError> {
        let Some(bucket) = &self.bucket else { return Ok(None) };
        bucket.now().await.map_err(|error| self.error(Action::Clock, &Path::default(), &error))
    }
}

impl Storage {
    /// `key` as one of this result's objects. A manifest may have been written by anybody with access to the store, so what
    /// it names is not taken on trust.
    fn own_key(&self, stored: &Stored, key: &str) -> Result<Path, StorageError> {
        let path = Path::parse(key).ok().filter(|path| path.prefix_matches(&Keys(&stored.job).prefix()));
        path.ok_or_else(|| StorageError::Missing { key: key.to_owned(), store: self.name().to_owned() })
    }

    /// A folder that is not there any more must not read as an empty one.
    pub(super) fn check_folder(&self) -> Result<(), StorageError> {
        match &self.folder {
            Some(folder) if !folder.is_dir() => Err(no_folder(self.name())),
            _ => Ok(()),
        }
    }
}

fn no_folder(name: &str) -> StorageError {
    StorageError::misconfigured("there is no such folder".to_owned(), name)
}

fn modified(meta: &ObjectMeta) -> Option<Timestamp> {
    let nanoseconds = i32::try_from(meta.last_modified.timestamp_subsec_nanos()).ok()?;
    Timestamp::new(meta.last_modified.timestamp(), nanoseconds).ok()
}
