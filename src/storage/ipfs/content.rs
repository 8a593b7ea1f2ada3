//! What lies below a root, read by content ids: no index is asked, and nothing that happens meanwhile changes what is seen.

use super::{
    commands::ipfs_path,
    failure::{Complaint, Failure},
    rpc::Rpc,
};
use crate::{
    storage::{ContentUrls, Keys, StorageError, TreeFile, manifest},
    workflow::JobId,
};
use bytes::Bytes;
use cid::Cid;
use futures::stream::{self, BoxStream, StreamExt as _};
use std::collections::BTreeMap;

/// The most files and folders of a result that are counted.
const MAX_ENTRIES: usize = 2_000_000;

/// A node, for the store of this name.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub rpc: Rpc,
    pub store: String,
}

/// `key` as a path below the root, if it is one of this job's. A manifest may have been written by anybody with access to
/// the store, and a part that is `..` would lead out of the root.
fn own_path<'k>(job: &JobId, key: &'k str) -> Option<&'k str> {
    let path = object_store::path::Path::parse(key).ok().filter(|path| path.as_ref() == key)?;
    path.prefix_matches(&Keys(job).prefix()).then(|| key.split_once('/').map(|(_, path)| path)).flatten()
}

impl Content {
    fn missing(&self, key: &str) -> StorageError {
        StorageError::Missing { key: key.to_owned(), store: self.store.clone() }
    }

    /// The bytes of the file of this key, below the root that `root` finds; errors name it by its key.
    pub(super) async fn read_own(
        &self,
        job: &JobId,
        key: &str,
        root: impl Future<Output = Result<Option<String>, StorageError>>,
    ) -> Result<BoxStream<'static, Result<Bytes, StorageError>>, StorageError> {
        let path = own_path(job, key).ok_or_else(|| self.missing(key))?;
        let root = root.await?.ok_or_else(|| self.missing(key))?;
        self.read(&root, path, key).await
    }

    /// The file's URL at the gateway, which anyone may read for as long as a node has it: on IPFS there is no other.
    pub(super) async fn link_own(
        &self,
        urls: &ContentUrls,
        job: &JobId,
        key: &str,
        root: impl Future<Output = Result<Option<String>, StorageError>>,
    ) -> Result<Option<String>, StorageError> {
        let path = own_path(job, key).ok_or_else(|| self.missing(key))?;
        Ok(root.await?.map(|root| urls.below(&root, path)))
    }

    /// The keys of all files below a root.
    pub(super) async fn keys(&self, job: &JobId, root: &str) -> Result<Vec<String>, StorageError> {
        let files = self.files(root).await;
        let files = files.map_err(|failure| failure.during("list what is stored", &self.store))?;
        Ok(files.into_keys().map(|path| format!("{job}/{path}")).collect())
    }

    /// The bytes of the manifest; none if there is none. That a block is missing of what is kept is no sign of that.
    pub(super) async fn manifest(&self, root: &str) -> Result<Option<Bytes>, StorageError> {
        match self.rpc.file(&format!("/ipfs/{root}/{}", Keys::MANIFEST), manifest::MAX_LEN).await {
            Err(failure) if failure.is(Complaint::WrongKind) => Ok(None),
            file => file.map_err(|failure| failure.during("read a manifest", &self.store)),
        }
    }

    /// A block, as the node gives it; none if it does not have it.
    pub(super) async fn block(&self, cid: &Cid) -> Result<Option<Bytes>, StorageError> {
        match self.rpc.ask("block/get", &[("arg", &cid.to_string())]).await {
            Err(failure) if failure.is(Complaint::NoContent) => Ok(None),
            block => block.map(Some).map_err(|failure| failure.during("read a block", &self.store)),
        }
    }

    /// The bytes of the file at `path`, counted; errors name it by its key.
    async fn read(
        &self,
        root: &str,
        path: &str,
        key: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, StorageError>>, StorageError> {
        let (what, store) = (format!("read {key}"), self.store.clone());
        let failed = move |failure: Failure| failure.during(&what, &store);
        let found = match self.rpc.stat(&format!("/ipfs/{root}/{path}")).await {
            Err(failure) if failure.is(Complaint::WrongKind) => None,
            found => found.map_err(&failed)?,
        };
        let found = found.filter(|found| !found.is_folder).ok_or_else(|| self.missing(key))?;
        if found.size == 0 {
            return Ok(stream::empty().boxed());
        }
        let answer = self.rpc.cat(&ipfs_path(&found.cid), 0, found.size).await.map_err(&failed)?;
        let size = found.size;
        let counted = stream::try_unfold((answer, 0), move |(mut answer, read)| {
            let failed = failed.clone();
            async move {
                match answer.chunk().await.map_err(&failed)? {
                    Some(chunk) => {
                        let read = read + chunk.len() as u64;
                        Ok(Some((chunk, (answer, read))))
                    }
                    None if read == size => Ok(None),
                    None => Err(failed(Failure::Unreachable(format!("it ended after {read} of {size} bytes")))),
                }
            }
        });
        Ok(counted.boxed())
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

    /// Whether a root has these files, and the two that speak of them, and no others.
    pub(super) async fn has_exactly(&self, root: &str, files: &[TreeFile]) -> Result<bool, StorageError> {
        let found = self.files(root).await;
        let mut found = found.map_err(|failure| failure.during("list a result", &self.store))?;
        let named = [Keys::RESULTS, Keys::MANIFEST].iter().all(|path| found.remove(*path).is_some());
        let same = files.iter().all(|file| found.get(&file.path) == Some(&file.size));
        Ok(named && same && found.len() == files.len())
    }
}
