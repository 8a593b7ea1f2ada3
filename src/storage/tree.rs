//! Stores that take a whole result in one act, as one tree of content ids: IPFS and ipfs-cluster.

use super::{ContentUrls, ResultStore, StorageError};
use crate::workflow::ResultId;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use std::sync::Arc;

/// A place for results that stores a workflow's result as one tree, all of it or nothing.
#[async_trait]
pub trait TreeStore: ResultStore {
    /// Stores what `source` has, and enters it in the store's index under the job's name. Returns the content id of the
    /// whole, by which [`ResultStore`] finds it from then on.
    ///
    /// **Guarantee.** When this returns, the tree is kept by the store, was looked at there (names and sizes), and survives a
    /// crash of it. Until then the index has what it had before, or nothing. Doing it again changes nothing. If the index has
    /// another tree whose manifest [says the same](TreeSource::same), that one is kept and returned; one that says something
    /// else is replaced.
    ///
    /// # Errors
    ///
    /// Any but [`StorageError::Missing`]. Also when the source [broke](Broken): it knows why.
    async fn publish(&self, job: &ResultId, source: Arc<dyn TreeSource>) -> Result<String, StorageError>;

    /// The content id that the index has for the job; none if it has none.
    async fn find(&self, job: &ResultId) -> Result<Option<String>, StorageError>;

    /// Makes sure that the store keeps the tree, which its index has for the job; false if it does not have all of it, or if
    /// it has other files than these and the [last](TreeSource::last_paths).
    async fn keep(&self, job: &ResultId, root: &str, files: &[TreeFile]) -> Result<bool, StorageError>;

    /// How the URLs of this store's files are made.
    fn urls(&self) -> &ContentUrls;
}

/// What a tree is made of. Each file is read once, one after the other.
pub trait TreeSource: Send + Sync {
    /// The files in the order in which they are sent. Those of one folder stand together.
    fn files(&self) -> Vec<TreeFile>;

    /// The bytes of the file at `index` of [`TreeSource::files`]; exactly its size, or a break.
    fn bytes(&self, index: usize) -> BoxStream<'static, Result<Bytes, Broken>>;

    /// The paths of the small files that come after them and may speak of them, the manifest's last.
    fn last_paths(&self) -> &'static [&'static str];

    /// The bytes of those, in that order. `cids` has the content ids of [`TreeSource::files`], in their order. Asked once, when
    /// all of them were read.
    fn last(&self, cids: Vec<String>) -> Result<Vec<Bytes>, Broken>;

    /// Whether another tree's manifest says the same of this workflow and of each file as this source. Asked after
    /// [`TreeSource::last`].
    fn same(&self, manifest: &[u8]) -> bool;
}

/// A file on its way into a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// Its path below the job, e.g. `data/outputs/a/b.csv`.
    pub path: String,
    /// Its bytes.
    pub size: u64,
}

/// A source cannot go on. Why, it keeps to itself: the store could not do anything about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what is to be stored cannot be read any more")]
pub struct Broken;
