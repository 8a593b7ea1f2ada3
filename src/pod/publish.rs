//! Storing what a workflow produced: files first, the manifest last.
//!
//! ```text
//!   walk the folders ─► write publish.log ─► what does the store hold already?
//!        │                                     ├─ exactly this, manifest included: done, nothing is written
//!        └─ too much, unreadable: fault        └─ else: the old manifest goes first, then what is no part of the result
//!                                                    └─► store the files, hashing ─► results.json ─► manifest.json
//! ```
//!
//! **Guarantee.** At every moment the store holds either no manifest or a manifest with all its files; publishing twice
//! yields the same bytes. So it may be killed at any point and started again.
//!
//! **Assumption.** Nobody else writes below the workflow's prefix, unless it is another attempt of the same publishing,
//! which writes the same.
//!
//! The algorithm's files are a stranger's: no link is followed, nothing is opened that could block, nothing is renamed.
//! What cannot be stored as it is, is refused, and the manifest names it. Folders without a file leave no trace.

mod cover;
mod fault;
mod listing;
mod progress;
#[cfg(test)]
mod tests;
mod tree;
mod upload;
mod walk;

use crate::{
    ethereum::{InvalidKey, OperatorKey},
    pod::layout::Layout,
    storage::{
        Folder, Keys, Storage, StorageError,
        manifest::{self, Input, Kind, Manifest},
    },
    workflow::{
        Facts,
        digest::Sha256,
        report::{PublishFault, PublishReport, Published},
    },
};
use bytes::Bytes;
use cover::Cover;
use fault::Fault;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::{ObjectMeta, path::Path};
use progress::Progress;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    sync::Arc,
};
use tokio_util::sync::CancellationToken;
use tree::Tree;
use walk::{Found, Limits, Walk};

/// What to publish.
pub struct PublishTask {
    /// Where the folders are.
    pub data: Layout,
    /// What the manifest says of the workflow, and whether outputs and logs may leave.
    pub facts: Facts,
    /// What the manifest is signed with; none: it is not signed.
    pub key: Option<OperatorKey>,
    /// The most entries of all kinds, folders included.
    pub max_files: u64,
    /// The most bytes of all files together.
    pub max_bytes: u64,
    /// Where progress is told, a line at a time.
    pub progress: Box<dyn Write + Send>,
    /// Ends it early, with a fault that asks for another attempt.
    pub stop: CancellationToken,
}

/// How many files are on their way at once. Each holds at most two parts in memory ([`Storage::part_len`]), so this bounds
/// what publishing needs: 4 × 2 × 8 MiB = 64 MiB, as long as no file is larger than 70 GiB.
const CONCURRENCY: usize = 4;

/// Publishes, and says how it went. See the module for what holds when it is interrupted.
pub async fn run(task: PublishTask, storage: &Storage) -> PublishReport {
    match publish(task, storage).await {
        Ok(published) => PublishReport { published: Some(published), fault: None },
        Err(fault) => failed(&fault),
    }
}

/// The report of a task that cannot be understood; `message` says why.
pub fn misunderstood(message: &str) -> PublishReport {
    failed(&Fault::Misunderstood { message: message.to_owned() })
}

/// The report of a key that is none. An admin can correct it, and the results are worth the wait.
pub fn unusable_key(error: InvalidKey) -> PublishReport {
    failed(&Fault::Key(error))
}

/// The report of a store that cannot be opened.
pub fn unopened(error: StorageError) -> PublishReport {
    failed(&Fault::Storage(error))
}

fn failed(fault: &Fault) -> PublishReport {
    let (reason, message, retry) = (fault.reason().to_owned(), fault.message(), fault.retry());
    PublishReport { published: None, fault: Some(PublishFault { reason, message, retry }) }
}

async fn publish(task: PublishTask, storage: &Storage) -> Result<Published, Fault> {
    let PublishTask { data, facts, key, max_files, max_bytes, progress, stop } = task;
    let progress = Arc::new(Progress::new(progress));
    let limits = Limits { entries: max_files, bytes: max_bytes };
    let (tree, walk, inputs) = {
        let (facts, storage, progress) = (facts.clone(), storage.clone(), progress.clone());
        let look = move || look(&data, &facts, &storage, limits, &progress);
        tokio::task::spawn_blocking(look).await.map_err(|_| Fault::Interrupted)??
    };
    progress.begin(&walk, storage.name());
    let cover = Cover { facts, inputs, key };
    cover.gaps().for_each(|gap| progress.tell(gap));
    let publishing = Publishing { tree, cover, walk, storage, stop, progress: &progress };
    let (manifest, bytes) = publishing.complete().await?;
    let published = Published {
        store: storage.name().to_owned(),
        manifest: Keys(&manifest.facts.job).manifest().to_string(),
        manifest_sha256: Sha256::of(&bytes),
        root: None,
        adminlogs: None,
        files: manifest.files.len() as u64,
        bytes: manifest.files.iter().map(|file| file.size).sum(),
        refused: manifest.refused.len() as u64,
    };
    progress.end(&published);
    Ok(published)
}

/// Finds what may leave, and writes `publish.log` about it, which then is part of it.
fn look(
    data: &Layout,
    facts: &Facts,
    storage: &Storage,
    limits: Limits,
    progress: &Progress,
) -> Result<(Tree, Walk, Option<Vec<Input>>), Fault> {
    let tree =
        Tree::open(data.root()).map_err(|source| Fault::Unreadable { path: "the data folder".into(), source })?;
    let folders: &[Folder] = if facts.release { &Folder::ALL } else { &[Folder::Adminlogs] };
    let mut walk = walk::walk(&tree, folders, Keys(&facts.job), storage, limits)?;
    if let Err(error) = listing::write(&tree, &mut walk, facts) {
        progress.tell(&format!("{} cannot be written: {error}", listing::PATH));
    }
    let inputs = cover::inputs(&tree);
    Ok((tree, walk, inputs))
}

/// A result on its way into the store.
struct Publishing<'a> {
    tree: Tree,
    cover: Cover,
    walk: Walk,
    storage: &'a Storage,
    stop: CancellationToken,
    progress: &'a Progress,
}

impl Publishing<'_> {
    /// Brings the store to hold exactly this result. Returns its manifest, and that as bytes.
    async fn complete(&self) -> Result<(Manifest, Vec<u8>), Fault> {
        self.check_manifest_len()?;
        let keys = Keys(&self.cover.facts.job);
        let stored = self.storage.list(&keys.prefix()).await?;
        if let Some(done) = self.stored_already(&stored).await? {
            self.progress.tell("the store holds all of it already");
            return Ok(done);
        }
        self.make_room(&stored).await?;
        let digests = self.for_each_file(|found, stop| async move {
            upload::store(&self.tree, found, self.storage, &stop, self.progress).await
        });
        let manifest = self.manifest(digests.await?);
        let bytes = manifest.render();
        for (key, bytes) in [(keys.results(), manifest.results(self.storage)), (keys.manifest(), bytes.clone())] {
            self.storage.put(&key, Bytes::from(bytes), manifest::CONTENT_TYPE).await?;
        }
        Ok((manifest, bytes))
    }

    /// Whether an earlier attempt got to the end: then its acknowledgement was lost, and the result is left alone. The
    /// files are read again, since only the bytes tell.
    async fn stored_already(&self, stored: &[ObjectMeta]) -> Result<Option<(Manifest, Vec<u8>)>, Fault> {
        let keys = Keys(&self.cover.facts.job);
        let sizes: BTreeMap<&Path, u64> = stored.iter().map(|meta| (&meta.location, meta.size)).collect();
        let whole = self.walk.files.iter().all(|found| sizes.get(&found.key) == Some(&found.size));
        if !whole || !sizes.contains_key(&keys.results()) || stored.len() != self.walk.files.len() + 2 {
            return Ok(None);
        }
        let Some(old) = self.read(&keys.manifest(), manifest::MAX_LEN).await? else { return Ok(None) };
        let comparable = Manifest::parse(&old).is_some_and(|old| old.facts == self.cover.facts);
        if !comparable {
            return Ok(None);
        }
        let digests = self.for_each_file(|found, stop| async move { upload::digest(&self.tree, found, &stop).await });
        let manifest = self.manifest(digests.await?);
        let bytes = manifest.render();
        let results = self.read(&keys.results(), manifest::MAX_LEN).await?;
        let same = old == bytes && results.is_some_and(|results| results == manifest.results(self.storage));
        Ok(same.then_some((manifest, bytes)))
    }

    async fn read(&self, key: &Path, max_len: u64) -> Result<Option<Bytes>, Fault> {
        match self.storage.get(key, max_len).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(StorageError::Missing { .. } | StorageError::Misconfigured { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the manifest of another result, then its objects that this one does not have. In this order: a manifest
    /// must never outlive a file of it.
    async fn make_room(&self, stored: &[ObjectMeta]) -> Result<(), Fault> {
        let keys = Keys(&self.cover.facts.job);
        if stored.iter().any(|meta| meta.location == keys.manifest()) {
            self.storage.delete(&keys.manifest()).await?;
        }
        self.storage.drop_unfinished(&keys.prefix()).await?;
        let mut kept: BTreeSet<Path> = self.walk.files.iter().map(|found| found.key.clone()).collect();
        kept.extend([keys.results(), keys.manifest()]);
        let stale = stored.iter().map(|meta| &meta.location).filter(|key| !kept.contains(key));
        stream::iter(stale.map(Ok::<_, Fault>))
            .try_for_each_concurrent(CONCURRENCY, |key| async move { Ok(self.storage.delete(key).await?) })
            .await
    }

    /// Does `act` for every file, [`CONCURRENCY`] at a time, and returns what came of each in the files' order. The first
    /// failure stops the others; all have ended when this returns.
    async fn for_each_file<'s, F, Acting>(&'s self, act: F) -> Result<Vec<Sha256>, Fault>
    where
        F: Fn(&'s Found, CancellationToken) -> Acting,
        Acting: Future<Output = Result<Sha256, Fault>> + 's,
    {
        let stop = self.stop.child_token();
        let mut acts = stream::iter(&self.walk.files)
            .map(|found| act(found, stop.clone()))
            .map(|acting| {
                let stop = stop.clone();
                async move {
                    let done = if stop.is_cancelled() { Err(Fault::Interrupted) } else { acting.await };
                    done.inspect_err(|_| stop.cancel())
                }
            })
            // In order: the files before the slowest wait as digests only.
            .buffered(CONCURRENCY);
        let mut digests = Vec::with_capacity(self.walk.files.len());
        let mut failure: Option<Fault> = None;
        let mut pulse = progress::pulse();
        loop {
            tokio::select! {
                done = acts.next() => match done {
                    None => break,
                    Some(Ok(digest)) => digests.push(digest),
                    // What failed by itself says more than what was interrupted by that.
                    Some(Err(fault)) if failure.as_ref().is_none_or(Fault::is_interruption) => failure = Some(fault),
                    Some(Err(_)) => {}
                },
                _ = pulse.tick() => self.progress.so_far(),
            }
        }
        failure.map_or(Ok(digests), Err)
    }

    /// A manifest that readers would refuse must not be written. All digests are of one length, so it is known before.
    fn check_manifest_len(&self) -> Result<(), Fault> {
        let digests = vec![Sha256::of(""); self.walk.files.len()];
        let limit = manifest::MAX_LEN;
        if self.manifest(digests).render().len() as u64 > limit {
            Err(Fault::ManifestTooLarge { limit })
        } else {
            Ok(())
        }
    }

    fn manifest(&self, digests: Vec<Sha256>) -> Manifest {
        let files = self.walk.files.iter().zip(digests).map(|(found, sha256)| manifest::File {
            key: found.key.to_string(),
            path: found.path(),
            kind: Kind::of(found.folder, &found.relative),
            size: found.size,
            sha256,
            content_type: found.content_type(),
        });
        self.cover.manifest(files.collect(), self.walk.refused.clone())
    }
}
