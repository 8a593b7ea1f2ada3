//! Results on an IPFS node (Kubo): each one pinned folder, entered in the node's own file system (MFS), which is the index.
//!
//! ```text
//!   pins    <root>  named operator-engine/<job>          keeps it
//!   MFS     /operator-engine/<job> → <root>              finds it
//!   root    <root>/data/outputs/… /results.json /manifest.json
//! ```
//!
//! A root belongs to one job alone, because its manifest names the job: so removing one never takes another's bytes. What a
//! node acknowledges it may still lose, and in one case all of MFS with it; `commands` says what is relied on. If MFS is
//! lost all the same, pins and records are enough to [enter everything again](Kubo::relink).
//!
//! Whoever can reach a node's RPC interface owns the node. Only publish pods and what deletes results need to.

mod answer;
pub mod cluster;
mod commands;
mod content;
mod failure;
mod mend;
mod mfs;
mod publish;
mod results;
mod rpc;
mod sending;
mod upload;

pub use mfs::MfsStore;
pub use rpc::Patience;

use super::{ContentUrls, Ipfs, IpfsCredentials, StorageError, error::Meaning};
use crate::workflow::JobId;
use failure::Failure;
use object_store::path::Path;
use rpc::Rpc;
use std::{fmt, sync::Arc};
use tokio::sync::OnceCell;

/// What paths of all commands begin with.
const API: &str = "/api/v0";
/// Kubo's limit for a pin's name, less what a job's id needs.
const MAX_FOLDER_LEN: usize = 255 - JobId::MAX_LEN - 1;

/// An IPFS node as a store. Clones share the connection.
#[derive(Clone)]
pub struct Kubo {
    rpc: Rpc,
    /// Begins with a slash and does not end in one.
    folder: String,
    name: String,
    urls: ContentUrls,
    usable: Arc<OnceCell<()>>,
}

impl fmt::Debug for Kubo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kubo").field(&self.name).finish()
    }
}

/// Opens a node. It is not asked; its first use shows.
///
/// # Errors
///
/// [`StorageError::Misconfigured`], with what is wrong with the address, the folder, a certificate or the credentials.
pub fn open(target: &Ipfs, credentials: &IpfsCredentials) -> Result<Kubo, StorageError> {
    let rpc = Rpc::new(&target.api, API, target.ca.as_deref(), credentials)?;
    let folder = folder(&target.folder).map_err(|cause| StorageError::misconfigured(cause, &rpc.address()))?;
    let name = format!("{}{folder}", rpc.address());
    if !target.url_prefix.ends_with('/') {
        let cause = "what its URLs begin with has to end in a slash".to_owned();
        return Err(StorageError::misconfigured(cause, &name));
    }
    Ok(Kubo { rpc, folder, name, urls: target.into(), usable: Arc::default() })
}

/// A folder of MFS, checked: a part that is `..` would lead out of it.
fn folder(text: &str) -> Result<String, String> {
    let path = text.strip_prefix('/').ok_or("its folder has to begin with a slash")?;
    let path = Path::parse(path).map_err(|error| format!("its folder cannot be: {error}"))?;
    match path.as_ref().len() {
        0 => Err("its folder must not be the root: the node's other files are there".into()),
        MAX_FOLDER_LEN.. => Err(format!("its folder's name is longer than {MAX_FOLDER_LEN} bytes")),
        _ => Ok(format!("/{path}")),
    }
}

impl Kubo {
    /// The same with another patience.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.rpc.patience = patience;
        self
    }

    /// Makes sure that this node can be used, and makes the folder if it is not there. Publishing does it by itself;
    /// reading and deleting do not make a folder, so that a node that never had one is told from one with nothing in it.
    ///
    /// # Errors
    ///
    /// [`StorageError::Misconfigured`] for a Kubo that is too old, or something that is no Kubo.
    pub async fn prepare(&self) -> Result<(), StorageError> {
        self.check_version().await?;
        match self.rpc.stat(&self.folder).await {
            Ok(Some(found)) if found.is_folder => Ok(()),
            Ok(Some(_)) => Err(self.misconfigured(&format!("{} is a file in it", self.folder))),
            Ok(None) => self.rpc.make_folder(&self.folder).await.map_err(self.during("make its folder")),
            Err(failure) => Err(self.failed("look for its folder", failure)),
        }
    }

    /// Checks, once, that the node is new enough.
    ///
    /// # Errors
    ///
    /// As [`Kubo::prepare`].
    pub async fn check_version(&self) -> Result<(), StorageError> {
        let check = async {
            match self.too_old().await? {
                Some(why) => Err(self.misconfigured(&why)),
                None => Ok(()),
            }
        };
        self.usable.get_or_try_init(|| check).await.copied()
    }

    /// Why the node is too old, if it is; it is asked each time.
    async fn too_old(&self) -> Result<Option<String>, StorageError> {
        let version = self.rpc.version().await.map_err(self.during("tell its version"))?;
        if is_new_enough(&version) {
            return Ok(None);
        }
        let ((major, minor), shown) = (commands::OLDEST, crate::workflow::report::clip(&version, 40));
        Ok(Some(format!("it is Kubo {shown}, and {major}.{minor} or later is needed: update it")))
    }

    /// Frees what nothing keeps any more, other people's as well; changes wait until it is done. Without it, what was
    /// removed can still be fetched for a while.
    ///
    /// # Errors
    ///
    /// Any but [`StorageError::Missing`].
    pub async fn collect_garbage(&self) -> Result<(), StorageError> {
        self.check_version().await?;
        self.rpc.collect_garbage().await.map_err(self.during("collect garbage"))
    }

    /// What lies below roots.
    fn content(&self) -> content::Content {
        content::Content { rpc: self.rpc.clone(), store: self.name.clone() }
    }

    /// Where MFS has the job.
    fn path(&self, job: &JobId) -> String {
        format!("{}/{job}", self.folder)
    }

    /// What the job's pin is named. The folder stands in it, since another folder of the node may have the same job.
    fn pin_name(&self, job: &JobId) -> String {
        format!("{}{job}", self.pin_prefix())
    }

    fn pin_prefix(&self) -> String {
        format!("{}/", self.folder.trim_start_matches('/'))
    }

    fn failed(&self, what: &str, failure: Failure) -> StorageError {
        failure.during(what, &self.name)
    }

    fn during<'a>(&'a self, what: &'a str) -> impl Fn(Failure) -> StorageError + 'a {
        move |failure| self.failed(what, failure)
    }

    fn misconfigured(&self, cause: &str) -> StorageError {
        StorageError::new(Meaning::Misconfigured, "be used", &self.name, cause)
    }
}

/// Whether this is a version as `0.43.1` from [`commands::OLDEST`] on. What is before a release is not it yet.
fn is_new_enough(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u64>().ok());
    let (Some(Some(major)), Some(Some(minor))) = (parts.next(), parts.next()) else { return false };
    let first_of_it = version.contains(&format!("{}.{}.0-", commands::OLDEST.0, commands::OLDEST.1));
    (major, minor) >= commands::OLDEST && !first_of_it
}
