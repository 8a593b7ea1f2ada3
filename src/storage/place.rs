//! Where results are published: a store of single objects, or one that takes a whole tree.

use super::{Credentials, Storage, StorageError, Target, TreeStore, ipfs};
use object_store::path::Path;
use std::sync::Arc;

/// A store to publish into. Clones share the connection.
#[derive(Debug, Clone)]
pub enum Place {
    /// Objects one by one, the manifest last: S3, a directory, memory.
    Objects(Storage),
    /// All of a result in one act: IPFS, ipfs-cluster.
    Tree(Arc<dyn TreeStore>),
}

impl Place {
    /// Opens the store that `target` describes, of whatever kind. A remote one is not asked; its first use shows.
    ///
    /// # Errors
    ///
    /// As [`Storage::open`].
    pub fn open(target: &Target, credentials: &Credentials) -> Result<Self, StorageError> {
        match target {
            Target::Ipfs(target) => Ok(Self::Tree(Arc::new(ipfs::open(target, &credentials.ipfs)?))),
            Target::IpfsCluster(target) => Ok(Self::Tree(Arc::new(ipfs::cluster::open(target, &credentials.ipfs)?))),
            Target::Directory { .. } | Target::S3(_) => Storage::open(target, credentials).map(Self::Objects),
        }
    }

    /// The store's name for people and records, without credentials.
    pub fn name(&self) -> &str {
        match self {
            Self::Objects(storage) => storage.name(),
            Self::Tree(store) => store.name(),
        }
    }

    /// Why this store cannot hold a file of this key, if so. IPFS holds whatever [`super::Keys`] allows.
    pub fn refuses(&self, key: &Path) -> Option<&'static str> {
        match self {
            Self::Objects(storage) => storage.refuses(key),
            Self::Tree(_) => None,
        }
    }
}

impl From<Storage> for Place {
    fn from(storage: Storage) -> Self {
        Self::Objects(storage)
    }
}
