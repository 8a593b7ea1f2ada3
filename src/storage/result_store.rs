//! What reading and deleting results needs of a store, whatever its kind.

use super::StorageError;
use crate::workflow::JobId;
use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;
use futures::stream::BoxStream;
use jiff::Timestamp;
use std::{fmt, time::Duration};

/// The results of one workflow in one store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stored {
    /// The workflow.
    pub job: JobId,
    /// The content id of all of it, in a store that has such. A store that has them finds results without it too, as long as
    /// its index is whole; with it, always.
    pub root: Option<String>,
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Objects; 0: there was nothing any more.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What became of recorded results that were to be entered in a store's index again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relinked {
    /// Entered now.
    pub entered: Vec<Stored>,
    /// Entered already.
    pub present: Vec<Stored>,
    /// The store does not have all of it any more.
    pub lost: Vec<Stored>,
    /// The index has something else under this name, which was left alone.
    pub other: Vec<Stored>,
}

/// A place for results, as those see it who read and delete them.
///
/// A store that cannot be reached, a bucket that does not exist or a denied request is always an error and never looks like
/// "there is nothing".
#[async_trait]
pub trait ResultStore: fmt::Debug + Send + Sync {
    /// The store's name for people and records, without credentials. Two stores with one name are one store.
    fn name(&self) -> &str;

    /// Why this store must not be used as it is, if it says so itself: a server that is too old, and what to do about it.
    async fn outdated(&self) -> Result<Option<String>, StorageError> {
        Ok(None)
    }

    /// Whether nothing was ever stored: the place that the first publishing makes is not there, and nothing else of ours
    /// either. Then [`ResultStore::jobs`] is an error all the same: who reads this from a store that records speak of has
    /// another store before him, or one that lost its index. False in stores that have no such place.
    async fn is_new(&self) -> Result<bool, StorageError> {
        Ok(false)
    }

    /// Every workflow of which anything is stored, uploads left open included, also if its manifest is missing, ordered.
    /// What is not named like a job is not ours and is left out. Some stores go on naming one for a while after it was
    /// removed.
    async fn jobs(&self) -> Result<Vec<Stored>, StorageError>;

    /// The bytes of `manifest.json`, at most [`super::manifest::MAX_LEN`]; none if there is none.
    async fn manifest(&self, stored: &Stored) -> Result<Option<Bytes>, StorageError>;

    /// The bytes of a file; `key` is [`super::manifest::File::key`].
    ///
    /// # Errors
    ///
    /// [`StorageError::Missing`] if there is none, or if `key` is none of this workflow's. An item may be an error too; a stream that ends early says so by one.
    async fn read(
        &self,
        stored: &Stored,
        key: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, StorageError>>, StorageError>;

    /// A URL that anyone may read the file by for that long, but not beyond the life of the store's own credentials; none
    /// if the store has no such. It is a secret for as long as it is valid.
    ///
    /// # Errors
    ///
    /// [`StorageError::Misconfigured`] for longer than the store can promise: 7 days in S3.
    async fn link(&self, stored: &Stored, key: &str, valid_for: Duration) -> Result<Option<String>, StorageError>;

    /// The keys of everything that is stored of it, the manifest included, ordered; none if the store does not tell.
    async fn keys(&self, stored: &Stored) -> Result<Option<Vec<String>>, StorageError> {
        let _ = stored;
        Ok(None)
    }

    /// The content id of all of it; none in a store that has no such, or if there is nothing.
    async fn content_id(&self, stored: &Stored) -> Result<Option<String>, StorageError> {
        let _ = stored;
        Ok(None)
    }

    /// The bytes of a block of a content id, as the store gives them: to be checked by whoever asks. None if it has no such
    /// block.
    async fn block(&self, cid: &Cid) -> Result<Option<Bytes>, StorageError> {
        let _ = cid;
        Ok(None)
    }

    /// When anything of it was last written, by the store's own clock; none if the store does not know, or holds nothing.
    async fn last_written(&self, stored: &Stored) -> Result<Option<Timestamp>, StorageError>;

    /// Removes all of it and nothing else, uploads left open included, the manifest last; doing it again does no harm.
    async fn remove(&self, stored: &Stored) -> Result<Removed, StorageError>;

    /// What time it is by the store's own clock; none if it does not say.
    async fn now(&self) -> Result<Option<Timestamp>, StorageError>;

    /// What is stored and not entered where [`ResultStore::jobs`] finds it: publishing was broken off between the two, or is
    /// between them now. Nothing in stores where these are one act.
    async fn unlinked(&self) -> Result<Vec<Stored>, StorageError> {
        Ok(Vec::new())
    }

    /// Enters recorded results where [`ResultStore::jobs`] finds them, after that index was lost. Doing it again does no harm.
    /// A store without an index has nothing to do.
    async fn relink(&self, recorded: &[Stored]) -> Result<Relinked, StorageError> {
        Ok(Relinked { present: recorded.to_vec(), ..Relinked::default() })
    }
}
