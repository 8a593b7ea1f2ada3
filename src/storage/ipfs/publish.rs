//! A result becomes a pinned folder, then an entry of the index.
//!
//! ```text
//!   add, pinned under the job's name ─► files/cp into the index ─► looked at: root, names, sizes ─► recorded by the caller
//!        │                                 └─ something is there already: the same root: done
//!        │                                                                 the same result: that one is kept, ours dropped
//!        │                                                                 another result: removed, then again
//!        └─ crash here: a pin without an entry; the next attempt has the same root and goes on, or the sweep finds it
//! ```
//!
//! Pin and entry survive a crash of the node from the moment they are acknowledged, and at no time is anything left
//! unflushed. So the order is not to be changed, nor the two acts made one with `to-files`.

use super::{
    Kubo,
    commands::{Stat, ipfs_path},
    failure::{Complaint, Failure},
    upload::{Begun, Upload, added, begin, together},
};
use crate::{
    storage::{ContentUrls, StorageError, TreeFile, TreeSource, TreeStore, keys::Keys, manifest},
    workflow::JobId,
};
use async_trait::async_trait;
use bytes::Bytes;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};
use tokio::sync::oneshot;

/// How often another one's entry may be found in our way.
const TRIES: usize = 5;

#[async_trait]
impl TreeStore for Kubo {
    async fn publish(&self, job: &JobId, source: Arc<dyn TreeSource>) -> Result<String, StorageError> {
        self.prepare().await?;
        let (root, sizes) = self.add(job, source.as_ref()).await.map_err(self.during("store a result"))?;
        let root = self.enter(job, &root, source.as_ref()).await?;
        self.check(job, &root, sizes).await?;
        Ok(root)
    }

    async fn find(&self, job: &JobId) -> Result<Option<String>, StorageError> {
        let found = self.rpc.stat(&self.path(job)).await.map_err(self.during("look up a result"))?;
        match found {
            Some(Stat { is_folder: false, .. }) => {
                Err(self.misconfigured(&format!("{} is a file there; move it away", self.path(job))))
            }
            found => Ok(found.map(|found| found.cid)),
        }
    }

    async fn keep(&self, job: &JobId, root: &str) -> Result<bool, StorageError> {
        self.check_version().await?;
        self.rpc.pin(root, &self.pin_name(job)).await.map_err(self.during("keep a result"))
    }

    fn urls(&self) -> &ContentUrls {
        &self.urls
    }
}

impl Kubo {
    /// Sends everything. Returns the root, and the size of each file by its path below it.
    async fn add(&self, job: &JobId, source: &dyn TreeSource) -> Result<(String, BTreeMap<String, u64>), Failure> {
        let files = source.files();
        let Begun { upload, body, content_type, alive } = begin()?;
        let (known, all_known) = oneshot::channel();
        let reading = async {
            let (name, pinned) = (self.pin_name(job), [("pin", "true")]);
            let query: Vec<_> = pinned.into_iter().chain([("pin-name", name.as_str())]).collect();
            let mut answer = self.rpc.add(&query, body, content_type).await?;
            let mut ids = Ids::new(job, &files, known);
            while let Some(line) = added(&mut answer).await? {
                alive.notify_one();
                ids.take(line.name, line.hash)?;
            }
            ids.root(job)
        };
        let writing = write(upload, job, &files, source, all_known);
        together(&alive, self.rpc.patience.write, reading, writing).await
    }

    /// Makes `root`, which is pinned, the job's entry, or finds that another one stands for the same. Returns the entry's root.
    async fn enter(&self, job: &JobId, root: &str, source: &dyn TreeSource) -> Result<String, StorageError> {
        const WHAT: &str = "enter a result in its index";
        let path = self.path(job);
        let mut last = Failure::Unreachable("others enter and remove it all the time".into());
        for _ in 0..TRIES {
            match self.rpc.copy(&ipfs_path(root), &path, false).await {
                Ok(()) => return Ok(root.to_owned()),
                Err(failure) if failure.complaint().is_none_or(|complaint| complaint == Complaint::Exists) => {
                    last = failure;
                }
                Err(failure) => return Err(self.failed(WHAT, failure)),
            }
            // The acknowledgement may have got lost.
            let Some(other) = self.find(job).await? else {
                if last.complaint().is_none() {
                    return Err(self.failed(WHAT, last));
                }
                continue;
            };
            if other == root {
                return Ok(other);
            }
            if last.complaint().is_none() {
                return Err(self.failed(WHAT, last));
            }
            let manifest = self.rpc.file(&format!("/ipfs/{other}/{}", Keys::MANIFEST), manifest::MAX_LEN).await;
            let same = match manifest {
                Ok(manifest) => manifest.is_some_and(|manifest| source.same(&manifest)),
                Err(failure) if failure.is(Complaint::NoContent) => false,
                Err(failure) => return Err(self.failed("read the manifest of another attempt", failure)),
            };
            if same && self.keep(job, &other).await? {
                self.rpc.unpin(root).await.map_err(self.during("drop what another attempt stored as well"))?;
                return Ok(other);
            }
            self.drop_root(job, &other).await?;
        }
        Err(self.failed(WHAT, last))
    }

    /// Looks whether the index has `root` and the node all its names, with these sizes unless it is another attempt's.
    async fn check(&self, job: &JobId, root: &str, sizes: BTreeMap<String, u64>) -> Result<(), StorageError> {
        let wrong = |cause: &str| self.failed("hold what it was given", Failure::Said(cause.to_owned()));
        if self.find(job).await?.as_deref() != Some(root) {
            return Err(wrong("its index has something else by now"));
        }
        let found = self.files(root).await.map_err(self.during("list what it was given"))?;
        let of_manifests = [Keys::RESULTS, Keys::MANIFEST];
        let ours = |(path, _): &(&String, &u64)| !of_manifests.contains(&path.as_str());
        if found.iter().filter(ours).ne(sizes.iter().filter(ours)) || found.len() != sizes.len() {
            return Err(wrong("names or sizes are not those that were sent"));
        }
        Ok(())
    }
}

/// Writes all parts; the last wait until the content ids of all others are known.
async fn write(
    mut upload: Upload,
    job: &JobId,
    files: &[TreeFile],
    source: &dyn TreeSource,
    all_known: oneshot::Receiver<Vec<String>>,
) -> Result<BTreeMap<String, u64>, Failure> {
    let mut sizes = BTreeMap::new();
    for (index, file) in files.iter().enumerate() {
        upload.file(&format!("{job}/{}", file.path)).await?;
        upload.stream(source.bytes(index), file.size).await?;
        sizes.insert(file.path.clone(), file.size);
    }
    let mut all_known = Some(all_known);
    let mut last: Vec<Bytes> = Vec::new();
    for (index, path) in source.last_paths().iter().enumerate() {
        // The node tells of a file when the next one begins.
        upload.file(&format!("{job}/{path}")).await?;
        if let Some(all_known) = all_known.take() {
            let cids = all_known.await.map_err(|_| Failure::Unreachable("the node stopped answering".into()))?;
            last = source.last(cids).map_err(|_| Failure::Broken)?;
        }
        let bytes = last.get(index).cloned().ok_or(Failure::Broken)?;
        sizes.insert((*path).to_owned(), bytes.len() as u64);
        upload.bytes(bytes).await?;
    }
    upload.end().await?;
    Ok(sizes)
}

/// The content ids that the node tells, in the files' order.
struct Ids {
    /// By full name, of those that are awaited.
    places: HashMap<String, usize>,
    ids: Vec<String>,
    known: Option<oneshot::Sender<Vec<String>>>,
    last: Option<(String, String)>,
}

impl Ids {
    fn new(job: &JobId, files: &[TreeFile], known: oneshot::Sender<Vec<String>>) -> Self {
        let names = files.iter().enumerate().map(|(index, file)| (format!("{job}/{}", file.path), index));
        let mut ids =
            Self { places: names.collect(), ids: vec![String::new(); files.len()], known: Some(known), last: None };
        ids.tell();
        ids
    }

    fn take(&mut self, name: String, id: String) -> Result<(), Failure> {
        if let Some(index) = self.places.remove(&name) {
            if let Some(place) = self.ids.get_mut(index) {
                place.clone_from(&id);
            }
            self.tell();
        }
        self.last = Some((name, id));
        Ok(())
    }

    fn tell(&mut self) {
        if self.places.is_empty()
            && let Some(known) = self.known.take()
        {
            // Nobody waits any more only if the upload failed, which is told by that.
            let _ = known.send(std::mem::take(&mut self.ids));
        }
    }

    /// The last line is the root's.
    fn root(self, job: &JobId) -> Result<String, Failure> {
        match self.last {
            Some((name, id)) if name == job.as_str() && self.known.is_none() => Ok(id),
            _ => Err(Failure::Unreachable("its answer ended before it was complete".into())),
        }
    }
}
