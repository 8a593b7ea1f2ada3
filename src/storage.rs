//! Where results go: one interface over every kind of store, and errors by what their receiver can do.
//!
//! ```text
//!   <job id>/data/outputs/…    what the algorithm handed out        ┐
//!   <job id>/data/logs/…       its logs                             ├ as the old engine named them
//!   <job id>/data/adminlogs/…  the stages' logs                     ┘
//!   <job id>/results.json      the old engine's array, for old clients
//!   <job id>/manifest.json     written last: what has no manifest does not exist
//! ```
//!
//! The paths are [`keys`]' alone, the manifest is [`manifest`]'s. Nothing here depends on conditional writes, on the order
//! of a list or on the clock of a store: those differ from one S3 server to the next. Credentials end in the store's
//! client; no name, URL or error of this module has any.

mod content_urls;
mod credentials;
pub mod download;
mod error;
#[cfg(test)]
pub(crate) mod faulty;
pub mod ipfs;
pub mod keys;
pub mod manifest;
mod place;
mod refusals;
mod result_store;
mod results;
mod s3;
pub mod secret_keys;
mod target;
mod tree;
pub(crate) mod unixfs;
pub mod verify;

pub use content_urls::ContentUrls;
pub use credentials::{Credentials, IpfsCredentials, S3Credentials, Secret};
pub use error::StorageError;
pub use keys::{Folder, Keys};
pub use place::Place;
pub use result_store::{Relinked, Removed, ResultStore, Stored};
pub use results::open_results;
pub use target::{Ipfs, IpfsCluster, S3, Target, Targets, refused_by_some};
pub use tree::{Broken, TreeFile, TreeSource, TreeStore};

use bytes::Bytes;
use error::{Action, classify};
use futures::TryStreamExt as _;
use object_store::{
    Attribute, Attributes, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMultipartOptions,
    PutOptions, PutPayload, memory::InMemory, path::Path,
};
use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

/// A place for results. Clones share the connection.
#[derive(Clone)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
    name: String,
    base_url: String,
    traits: Traits,
    /// The folder it is, if it is one.
    folder: Option<PathBuf>,
    /// The bucket it is, if it is one.
    bucket: Option<Arc<s3::Bucket>>,
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Storage").field(&self.name).finish()
    }
}

/// What a kind of store can and cannot do.
#[derive(Debug, Clone, Copy)]
struct Traits {
    /// Whether it keeps a content type beside an object.
    content_type: bool,
    /// How large the parts of a large object are.
    part_len: u64,
    /// Why it cannot hold an object of this key, if so.
    refuses: fn(&Path) -> Option<&'static str>,
}

impl Storage {
    /// Opens the store that `target` describes. For a remote one rustls must have a default provider by now.
    ///
    /// # Errors
    ///
    /// [`StorageError::Misconfigured`] or [`StorageError::Denied`] when it cannot be used as described. A remote store
    /// is not asked; its first use shows.
    pub fn open(target: &Target, credentials: &Credentials) -> Result<Self, StorageError> {
        target::open(target, credentials)
    }

    /// A store in memory, for tests and trials. Its URLs lead nowhere.
    pub fn memory() -> Self {
        let traits = Traits { content_type: true, part_len: 64 * 1024, refuses: |_| None };
        Self {
            store: Arc::new(InMemory::new()),
            name: "memory:".into(),
            base_url: "memory:/".into(),
            traits,
            folder: None,
            bucket: None,
        }
    }

    /// The same store behind `wrap`.
    #[cfg(test)]
    pub(crate) fn wrapped(self, wrap: impl FnOnce(Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore>) -> Self {
        Self { store: wrap(self.store), ..self }
    }

    /// The store itself, without what this type adds: for what it has no words for.
    pub fn object_store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The store's name for people and records, without credentials.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL under which the old engine's array lists an object.
    pub fn url(&self, key: &str) -> String {
        format!("{}{}", self.base_url, target::percent_encode(key))
    }

    /// A URL by which anyone may read an object, for a while. None from a store that signs nothing; whether the object is
    /// there is not asked.
    ///
    /// # Errors
    ///
    /// Any: who may sign may first have to be asked.
    pub async fn link_to(&self, key: &Path, valid_for: Duration) -> Result<Option<String>, StorageError> {
        let Some(bucket) = &self.bucket else { return Ok(None) };
        bucket.link(key, valid_for).await.map(Some).map_err(|error| self.error(Action::Sign, key, &error))
    }

    /// How large an object may be to go in one request, and how large the parts of a larger one are.
    pub fn part_len(&self) -> u64 {
        self.traits.part_len
    }

    /// Why this store cannot hold an object of this key, if so.
    pub fn refuses(&self, key: &Path) -> Option<&'static str> {
        (self.traits.refuses)(key)
    }

    /// Stores an object, in place of an older one if there is one.
    ///
    /// # Errors
    ///
    /// Any but [`StorageError::Missing`]. The object is either as before or whole; which, is unknown.
    pub async fn put(&self, key: &Path, bytes: Bytes, content_type: &str) -> Result<(), StorageError> {
        self.put_payload(key, bytes.into(), content_type).await
    }

    /// As [`Storage::put`], for bytes that lie in several places.
    ///
    /// # Errors
    ///
    /// As [`Storage::put`].
    pub async fn put_payload(&self, key: &Path, payload: PutPayload, content_type: &str) -> Result<(), StorageError> {
        let options = PutOptions { attributes: self.attributes(content_type), ..PutOptions::default() };
        let put = self.store.put_opts(key, payload, options).await;
        put.map(drop).map_err(|error| self.error(Action::Write, key, &error))
    }

    /// Begins to store a large object in parts; nothing is visible before its end. The caller aborts what it does not
    /// complete.
    ///
    /// # Errors
    ///
    /// As [`Storage::put`].
    pub async fn put_in_parts(&self, key: &Path, content_type: &str) -> Result<Box<dyn MultipartUpload>, StorageError> {
        let options = PutMultipartOptions { attributes: self.attributes(content_type), ..Default::default() };
        let begun = self.store.put_multipart_opts(key, options).await;
        begun.map_err(|error| self.error(Action::Write, key, &error))
    }

    /// What an error of an upload begun with [`Storage::put_in_parts`] means.
    pub fn write_error(&self, key: &Path, error: &object_store::Error) -> StorageError {
        self.error(Action::Write, key, error)
    }

    /// Reads an object of at most `max_len` bytes.
    ///
    /// # Errors
    ///
    /// [`StorageError::Missing`] if there is none (or no bucket: a list tells), [`StorageError::Misconfigured`] if it
    /// is larger.
    pub async fn get(&self, key: &Path, max_len: u64) -> Result<Bytes, StorageError> {
        let read = |error: &object_store::Error| self.error(Action::Read, key, error);
        let found = self.store.get(key).await.map_err(|error| read(&error))?;
        if found.meta.size > max_len {
            let what = format!("{key} has {} bytes where at most {max_len} are read", found.meta.size);
            return Err(StorageError::misconfigured(what, self.name()));
        }
        found.bytes().await.map_err(|error| read(&error))
    }

    /// All objects below `prefix` (whole segments: `a` has `a/b` below it, not `ab`), ordered by key, byte by byte.
    ///
    /// # Errors
    ///
    /// Any. A store that does not exist is told from an empty one.
    pub async fn list(&self, prefix: &Path) -> Result<Vec<ObjectMeta>, StorageError> {
        self.check_folder()?;
        let listed: Result<Vec<_>, _> = self.store.list(Some(prefix)).try_collect().await;
        let mut listed = listed.map_err(|error| self.error(Action::List, prefix, &error))?;
        listed.sort_by(|a, b| a.location.as_ref().as_bytes().cmp(b.location.as_ref().as_bytes()));
        Ok(listed)
    }

    /// Deletes an object. One that is not there is deleted already; to tell that from a store that does not exist, list
    /// first.
    ///
    /// # Errors
    ///
    /// Any but [`StorageError::Missing`].
    pub async fn delete(&self, key: &Path) -> Result<(), StorageError> {
        match self.store.delete(key).await {
            Err(error) if !error::is_missing(&error) => Err(self.error(Action::Delete, key, &error)),
            _ => Ok(()),
        }
    }

    /// Removes what interrupted writes left below `prefix`, which no list shows and no delete finds. A write that is in
    /// progress there fails, and may be tried again.
    ///
    /// # Errors
    ///
    /// Any but [`StorageError::Missing`].
    pub async fn drop_unfinished(&self, prefix: &Path) -> Result<(), StorageError> {
        if let Some(bucket) = &self.bucket {
            let aborted = bucket.abort_unfinished(prefix).await;
            return aborted.map_err(|error| self.error(Action::Abort, prefix, &error));
        }
        let Some(root) = &self.folder else { return Ok(()) };
        let (folder, name) = (root.join(prefix.as_ref()), self.name.clone());
        let removed = tokio::task::spawn_blocking(move || target::remove_staged(&folder)).await;
        let removed = removed.map_err(std::io::Error::other).flatten();
        removed.map_err(|error| StorageError::of_io("remove unfinished files", &name, &error))
    }

    fn attributes(&self, content_type: &str) -> Attributes {
        let mut attributes = Attributes::new();
        if self.traits.content_type {
            attributes.insert(Attribute::ContentType, content_type.to_owned().into());
        }
        attributes
    }

    fn error(&self, action: Action, key: &Path, error: &object_store::Error) -> StorageError {
        classify(action, key, &self.name, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stores() -> (tempfile::TempDir, [Storage; 2]) {
        let dir = tempfile::tempdir().unwrap();
        let directory =
            Storage::open(&Target::Directory { path: dir.path().join("results") }, &Credentials::default()).unwrap();
        (dir, [directory, Storage::memory()])
    }

    #[tokio::test]
    async fn every_store_keeps_names_as_they_are() {
        let (_dir, stores) = stores();
        for storage in stores {
            let keys = ["wf/data/outputs/ü %#?.csv", "wf/data/outputs/%41", "wf/a", "wf/a-b/c"];
            for key in keys {
                storage.put(&Path::parse(key).unwrap(), key.into(), "text/plain").await.unwrap();
            }
            storage.put(&Path::parse("wf-2/x").unwrap(), Bytes::new(), "text/plain").await.unwrap();
            let listed = storage.list(&Path::parse("wf").unwrap()).await.unwrap();
            let mut expected = keys;
            expected.sort_unstable();
            assert_eq!(listed.iter().map(|meta| meta.location.as_ref()).collect::<Vec<_>>(), expected);
            for key in keys {
                assert_eq!(storage.get(&Path::parse(key).unwrap(), 100).await.unwrap(), key);
            }
        }
    }

    #[tokio::test]
    async fn what_an_interrupted_write_left_goes_and_nothing_else() {
        let (dir, [storage, memory]) = stores();
        let root = dir.path().join("results");
        let key = Path::parse("wf/data/outputs/x").unwrap();
        storage.put(&key, Bytes::new(), "text/plain").await.unwrap();
        std::fs::create_dir_all(root.join("wf/data/logs/deep")).unwrap();
        for left in ["wf/data/outputs/x#1", "wf/data/logs/deep/y#23", "wf-2#7"] {
            std::fs::write(root.join(left), "left").unwrap();
        }
        // Nothing of ours makes links in a store; one is left alone all the same.
        std::os::unix::fs::symlink(&root, root.join("wf/link")).unwrap();
        let prefix = Path::parse("wf").unwrap();
        storage.drop_unfinished(&prefix).await.unwrap();
        storage.drop_unfinished(&Path::parse("nowhere").unwrap()).await.unwrap();
        memory.drop_unfinished(&prefix).await.unwrap();
        assert_eq!(std::fs::read_dir(root.join("wf/data/outputs")).unwrap().count(), 1);
        assert!(!root.join("wf/data/logs").exists(), "folders left empty go as well");
        assert!(root.join("wf-2#7").exists(), "a neighbour's stays, and no link is followed");
        std::fs::remove_file(root.join("wf/link")).unwrap();
        assert_eq!(storage.list(&prefix).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn deleting_twice_is_deleting_and_a_missing_object_is_told() {
        let (_dir, stores) = stores();
        for storage in stores {
            let key = Path::parse("wf/x").unwrap();
            storage.put(&key, Bytes::from_static(b"abc"), "text/plain").await.unwrap();
            assert!(matches!(storage.get(&key, 2).await, Err(StorageError::Misconfigured { .. })));
            storage.delete(&key).await.unwrap();
            storage.delete(&key).await.unwrap();
            assert!(matches!(storage.get(&key, 2).await, Err(StorageError::Missing { .. })));
        }
    }
}
