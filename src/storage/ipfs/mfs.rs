//! Single objects in a node's own file system (MFS), as any program that knows `object_store` sees them.
//!
//! ```text
//!   put:  add, staged at /<folder>/.staging/<name>  ─►  files/cp to its place  ─►  files/rm of the stage  ─►  files/flush
//! ```
//!
//! Staged, it is safe from the garbage collector, and visible at its place only when it is whole. Results are not stored this
//! way (see [`super::Kubo`]): every object costs four requests.
//!
//! What differs from a bucket:
//!
//! - `PutMode::Update` compares and replaces under a lock of this process; two processes can both succeed. `Create` and
//!   `copy_if_not_exists` are atomic among all. `rename` is a copy and a deletion.
//! - While an object is replaced, a reader may find none for a moment.
//! - An object's e_tag is its content id. When it was written the node does not know: `last_modified` is the epoch.
//! - Attributes (a content type, say), tags and old versions are `NotImplemented`, and there are no signed URLs.
//! - A key must not lie below another object's; nor may it begin with `.staging`.
//! - Parts of a multipart upload are sent in one request, in the order in which they were given.

mod read;
mod stage;
mod write;

use super::{
    Kubo, Patience,
    failure::{Complaint, Failure},
    rpc::Rpc,
};
use crate::storage::{Ipfs, IpfsCredentials, StorageError};
use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt as _};
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, RenameTargetMode, Result, path::Path,
};
use std::{
    fmt,
    sync::{Arc, atomic::AtomicBool},
};
use tokio::sync::Mutex;

/// What errors name as the store.
const STORE: &str = "IPFS";
/// Where objects are until they are whole; below the folder.
const STAGING: &str = ".staging";

/// A folder of a node's MFS as an object store. Clones share the connection and the lock.
#[derive(Clone)]
pub struct MfsStore {
    rpc: Rpc,
    folder: String,
    name: String,
    /// Whether the folder and its staging are known to be there.
    prepared: Arc<AtomicBool>,
    /// For what has to be compared and then written.
    updating: Arc<Mutex<()>>,
}

impl MfsStore {
    /// The node's folder as an object store. The node is not asked.
    ///
    /// # Errors
    ///
    /// As [`super::open`].
    pub fn open(target: &Ipfs, credentials: &IpfsCredentials) -> Result<Self, StorageError> {
        let Kubo { rpc, folder, name, .. } = super::open(target, credentials)?;
        Ok(Self { rpc, folder, name, prepared: Arc::default(), updating: Arc::default() })
    }

    /// The same with another patience.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.rpc.patience = patience;
        self
    }

    /// Where MFS has the object.
    fn path(&self, location: &Path) -> Result<String> {
        if location.as_ref().is_empty() || is_staged(location) {
            return Err(Error::NotSupported { source: format!("{location:?} cannot be an object's name here").into() });
        }
        Ok(format!("{}/{location}", self.folder))
    }
}

/// Whether this is where unfinished objects are.
fn is_staged(location: &Path) -> bool {
    location.parts().next().is_some_and(|first| first.as_ref() == STAGING)
}

impl fmt::Debug for MfsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MfsStore").field(&self.name).finish()
    }
}

impl fmt::Display for MfsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The error of an act on `location`.
fn failed(location: &Path, failure: Failure) -> Error {
    let path = location.to_string();
    match &failure {
        Failure::Denied(_) => Error::PermissionDenied { path, source: failure.into() },
        Failure::Said(_) if failure.is(Complaint::Absent) => Error::NotFound { path, source: failure.into() },
        _ => Error::Generic { store: STORE, source: failure.into() },
    }
}

#[async_trait]
impl ObjectStore for MfsStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let PutOptions { mode, tags, attributes, extensions: _ } = options;
        refuse(attributes.is_empty() && tags.encoded().is_empty(), "put with attributes or tags")?;
        self.put_whole(location, payload, mode).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let PutMultipartOptions { tags, attributes, extensions: _ } = options;
        refuse(attributes.is_empty() && tags.encoded().is_empty(), "put_multipart with attributes or tags")?;
        self.put_parts(location).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        refuse(options.version.is_none(), "get of a version")?;
        self.read(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let delete = move |location: Result<Path>| {
            let store = store.clone();
            async move {
                let location = location?;
                store.remove(&location).await?;
                Ok(location)
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.clone().walk(prefix.cloned().unwrap_or_default())
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.look(prefix.cloned().unwrap_or_default()).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.copy_object(from, to, options.mode).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let mode = match options.target_mode {
            RenameTargetMode::Overwrite => CopyMode::Overwrite,
            RenameTargetMode::Create => CopyMode::Create,
        };
        self.copy_object(from, to, mode).await?;
        // Renamed to itself, it is to stay.
        if from == to { Ok(()) } else { self.remove(from).await }
    }
}

fn refuse(is_possible: bool, operation: &str) -> Result<()> {
    if is_possible {
        return Ok(());
    }
    Err(Error::NotImplemented { operation: operation.to_owned(), implementer: STORE.to_owned() })
}
