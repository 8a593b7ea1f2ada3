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
//! Into a store that takes a whole result in one act it goes by `at_once` instead, with the same guarantee. Admin logs may
//! go to a place of their own, with a manifest of their own; they go first, so that where outputs have their manifest, all
//! is stored.
//!
//! **Assumption.** Nobody else writes below the workflow's prefix, unless it is another attempt of the same publishing,
//! which writes the same.
//!
//! The algorithm's files are a stranger's: no link is followed, nothing is opened that could block, nothing is renamed.
//! What cannot be stored as it is, is refused, and the manifest names it. Folders without a file leave no trace.

mod at_once;
mod cover;
mod fault;
mod inside;
mod leaks;
mod listing;
mod memory;
mod objects;
mod parts;
mod progress;
mod reader;
#[cfg(test)]
mod tests;
pub(super) mod tree;
mod upload;
mod walk;

use crate::{
    ethereum::OperatorKey,
    pod::layout::Layout,
    storage::{
        Folder, Keys, Place, StorageError,
        manifest::{self, Input, Kind, Manifest},
    },
    workflow::{
        Facts,
        digest::Sha256,
        record,
        report::{PublishFault, PublishReport, Published},
    },
};
use cover::Cover;
use fault::Fault;
pub use leaks::{LeakRules, TypeRule};
use objects::Publishing;
pub use parts::Places;
use progress::Progress;
use std::{io::Write, sync::Arc};
use tokio_util::sync::CancellationToken;
use tree::Tree;
use upload::Sender;
use walk::{Limits, Walk};

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
    /// What may not leave.
    pub leaks: LeakRules,
    /// Where progress is told, a line at a time.
    pub progress: Box<dyn Write + Send>,
    /// Ends it early, with a fault that asks for another attempt.
    pub stop: CancellationToken,
}

/// How many files are on their way at once. For small ones it is the time of an answer that counts: with 20 ms of it, 32
/// make 1,600 files a second. What they hold in memory is bounded apart, by bytes ([`memory::Memory`]).
const CONCURRENCY: usize = 32;

/// Publishes, and says how it went. See the module for what holds when it is interrupted.
pub async fn run(task: PublishTask, places: &Places) -> PublishReport {
    match publish(task, places).await {
        Ok(published) => PublishReport { published: Some(published), fault: None },
        Err(fault) => failed(&fault),
    }
}

/// The report of a task that cannot be understood; `message` says why.
pub fn misunderstood(message: &str) -> PublishReport {
    failed(&Fault::Misunderstood { message: message.to_owned() })
}

/// The report of credentials that cannot be used; `message` says which and why. An admin can correct them, and the results
/// are worth the wait.
pub fn misconfigured(message: &str) -> PublishReport {
    failed(&Fault::Credentials { message: message.to_owned() })
}

/// The report of a store that cannot be opened.
pub fn unopened(error: StorageError) -> PublishReport {
    failed(&Fault::Storage(error))
}

fn failed(fault: &Fault) -> PublishReport {
    let (reason, message, retry) = (fault.reason().to_owned(), fault.message(), fault.retry());
    let withheld = matches!(fault, Fault::Leak { .. });
    PublishReport { published: None, fault: Some(PublishFault { reason, message, retry, withheld }) }
}

async fn publish(task: PublishTask, places: &Places) -> Result<Published, Fault> {
    let PublishTask { data, facts, key, max_files, max_bytes, leaks, progress, stop } = task;
    let progress = Arc::new(Progress::new(progress));
    let limits = Limits { entries: max_files, bytes: max_bytes };
    let (tree, walk, inputs) = {
        let (facts, places, progress, stop) = (facts.clone(), places.clone(), progress.clone(), stop.clone());
        let look = move || look(&data, &facts, &places, limits, &leaks, &progress, &stop);
        tokio::task::spawn_blocking(look).await.map_err(|_| Fault::Interrupted)??
    };
    progress.begin(&walk, places);
    let cover = Cover { result: facts.result(), facts, inputs, key };
    cover.gaps().for_each(|gap| progress.tell(gap));
    let (files, bytes) = (walk.files.len() as u64, walk.files.iter().map(|found| found.size).sum());
    let refused = walk.refused.len() as u64;
    let (outputs, apart) = walk.split(places.adminlogs.is_some());
    let adminlogs = match (&places.adminlogs, apart) {
        (Some(place), Some(walk)) => Some(store(place, &tree, &cover, walk, &stop, &progress).await?),
        _ => None,
    };
    let outputs = store(&places.outputs, &tree, &cover, outputs, &stop, &progress).await?;
    let record::Place { store, manifest, manifest_sha256, root, .. } = outputs;
    let published = Published { store, manifest, manifest_sha256, root, adminlogs, files, bytes, refused };
    progress.end(&published);
    Ok(published)
}

/// Brings a place to hold exactly what `walk` found.
async fn store(
    place: &Place,
    tree: &Tree,
    cover: &Cover,
    walk: Walk,
    stop: &CancellationToken,
    progress: &Arc<Progress>,
) -> Result<record::Place, Fault> {
    let (tree, stop) = (tree.clone(), stop.clone());
    let (bytes, root) = match place {
        Place::Objects(storage) => {
            let sender = Sender::new(tree, storage.clone(), progress.clone());
            let publishing = Publishing { sender, cover: cover.clone(), walk, storage, stop, progress };
            (publishing.complete().await?, None)
        }
        Place::Tree(store) => at_once::complete(store.as_ref(), tree, cover.clone(), walk, stop, progress).await?,
    };
    let keys = Keys(&cover.result);
    Ok(record::Place {
        store: place.name().to_owned(),
        prefix: keys.prefix().to_string(),
        manifest: keys.manifest().to_string(),
        manifest_sha256: Sha256::of(&bytes),
        root,
    })
}

/// Finds what may leave, and writes `publish.log` about it, which then is part of it.
fn look(
    data: &Layout,
    facts: &Facts,
    places: &Places,
    limits: Limits,
    leaks: &LeakRules,
    progress: &Progress,
    stop: &CancellationToken,
) -> Result<(Tree, Walk, Option<Vec<Input>>), Fault> {
    let tree =
        Tree::open(data.root()).map_err(|source| Fault::Unreadable { path: "the data folder".into(), source })?;
    let folders: &[Folder] = if facts.release { &Folder::ALL } else { &[Folder::Adminlogs] };
    if let Err(error) = inside::take(&tree) {
        progress.tell(&format!("what the filter's pod left cannot be taken to the admin's logs: {error}"));
    }
    let walked = walk::walk(&tree, folders, Keys(&facts.result()), places, limits);
    let inputs = cover::inputs(&tree);
    if facts.release && leaks.any() {
        let _ = inside::forget(&tree);
        progress.tell("looking for what may not leave");
        let leak = match &walked {
            Ok(walk) => leaks::check(leaks, &tree, walk, inputs.as_deref(), stop)?,
            Err(fault) => leaks::uncounted(leaks, fault),
        };
        if let Some(leak) = leak {
            if let Err(error) = inside::tell(&tree, &leak) {
                progress.tell(&format!("leaks.log cannot be written: {error}"));
            }
            return Err(leak.into());
        }
    }
    let mut walk = walked?;
    if places.adminlogs.is_none() {
        walk.files.retain(|found| !inside::stays(found));
    }
    if let Err(error) = listing::write(&tree, &mut walk, facts) {
        progress.tell(&format!("{} cannot be written: {error}", listing::PATH));
    }
    Ok((tree, walk, inputs))
}

fn check_len(manifest: &Manifest) -> Result<(), Fault> {
    let limit = manifest::MAX_LEN;
    if manifest.render().len() as u64 > limit { Err(Fault::ManifestTooLarge { limit }) } else { Ok(()) }
}

/// The manifest of what `walk` found, not signed yet, given the files' digests in its order.
fn manifest_of(cover: &Cover, walk: &Walk, digests: Vec<Sha256>) -> Manifest {
    let files = walk.files.iter().zip(digests).map(|(found, sha256)| manifest::File {
        key: found.key.to_string(),
        path: found.path(),
        kind: Kind::of(found.folder, &found.relative),
        size: found.size,
        sha256,
        content_type: found.content_type(),
        cid: None,
    });
    cover.manifest(walk.part, files.collect(), walk.refused.clone())
}
