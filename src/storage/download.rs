//! Results into a folder of this machine: all of them and as they should be, or none.
//!
//! ```text
//!   <folder>/<job id>.partial/…   while they come: every file new, of its size and its digest
//!        └─ all came: renamed ─►  <folder>/<job id>/data/outputs/…, results.json, manifest.json
//! ```
//!
//! The layout is that of a store in a folder, so what was downloaded can be verified again where it lies. Names are a
//! stranger's: no path leads out of the folder, and nothing that is there is written over.

use super::{
    Keys, ResultStore, StorageError, Stored,
    manifest::{File, Manifest},
    verify::{place, small},
};
use crate::workflow::{
    ResultId,
    digest::{Hasher, Sha256},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};
use tokio::{fs, io::AsyncWriteExt as _};

/// How many files come at once.
const CONCURRENCY: usize = 4;

/// Why results were not downloaded. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// There is something already.
    #[error("{} is there already; choose another folder, or remove it", .0.display())]
    Exists(PathBuf),
    /// The results are not what their manifest says.
    #[error("{path:?} {what}")]
    Differs {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// The disk failed.
    #[error("cannot write {}", path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

fn disk(path: &Path) -> impl FnOnce(io::Error) -> DownloadError {
    move |source| match source.kind() {
        io::ErrorKind::AlreadyExists => DownloadError::Exists(path.to_owned()),
        _ => DownloadError::Disk { path: path.to_owned(), source },
    }
}

/// Downloads what `manifest`, whose bytes these are, names. `watch` is told of the bytes as they come. Answers the folder that
/// they are in.
///
/// # Errors
///
/// See [`DownloadError`].
pub async fn download(
    store: &dyn ResultStore,
    stored: &Stored,
    (manifest, bytes): (&Manifest, &[u8]),
    folder: &Path,
    watch: &(dyn Fn(u64) + Sync),
) -> Result<PathBuf, DownloadError> {
    let target = folder.join(stored.job.as_str());
    let partial = folder.join(format!("{}.partial", stored.job));
    fs::create_dir_all(folder).await.map_err(disk(folder))?;
    if fs::symlink_metadata(&target).await.is_ok() {
        return Err(DownloadError::Exists(target));
    }
    // Ours alone from here on: nothing in it was there before.
    fs::create_dir(&partial).await.map_err(disk(&partial))?;
    let filled = fill(store, stored, (manifest, bytes), &partial, watch).await;
    let done = match filled {
        // An empty folder of that name, made meanwhile, would be replaced; any other is left.
        Ok(()) => fs::rename(&partial, &target).await.map_err(disk(&target)),
        Err(error) => Err(error),
    };
    if done.is_err() {
        // What cannot be removed is named by the next attempt.
        let _ = fs::remove_dir_all(&partial).await;
    }
    done.map(|()| target)
}

async fn fill(
    store: &dyn ResultStore,
    stored: &Stored,
    (manifest, bytes): (&Manifest, &[u8]),
    root: &Path,
    watch: &(dyn Fn(u64) + Sync),
) -> Result<(), DownloadError> {
    // What has begun is not dropped when another one fails: it would go on making folders behind whoever removes them.
    let failed = AtomicBool::new(false);
    let all = stream::iter(&manifest.files).map(|file| async {
        let came = one(store, stored, file, root, (watch, &failed)).await;
        failed.fetch_or(came.is_err(), Ordering::Relaxed);
        came
    });
    all.buffered(CONCURRENCY).fold(Ok(()), async |first: Result<_, _>, came| first.and(came)).await?;
    let keys = Keys(&stored.job);
    let name = |path: object_store::path::Path| path.filename().map(str::to_owned).unwrap_or_default();
    if let Some(array) = small(store, stored, keys.results().as_ref(), watch).await? {
        put(&root.join(name(keys.results())), &array).await?;
    }
    put(&root.join(name(keys.manifest())), bytes).await
}

async fn put(path: &Path, bytes: &[u8]) -> Result<(), DownloadError> {
    let mut file = fs::File::create_new(path).await.map_err(disk(path))?;
    file.write_all(bytes).await.map_err(disk(path))?;
    file.flush().await.map_err(disk(path))
}

async fn one(
    store: &dyn ResultStore,
    stored: &Stored,
    file: &File,
    root: &Path,
    (watch, failed): (&(dyn Fn(u64) + Sync), &AtomicBool),
) -> Result<(), DownloadError> {
    if failed.load(Ordering::Relaxed) {
        return Ok(());
    }
    let differs = |what: String| DownloadError::Differs { path: file.path.clone(), what };
    let path = root.join(below(&stored.job, file).map_err(differs)?);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).await.map_err(disk(parent))?;
    }
    let mut to = fs::File::create_new(&path).await.map_err(disk(&path))?;
    let mut bytes = match store.read(stored, &file.key).await {
        Err(StorageError::Missing { .. }) => return Err(differs("is missing".to_owned())),
        bytes => bytes?,
    };
    let (mut hasher, mut size) = (Hasher::default(), 0_u64);
    while let Some(chunk) = bytes.try_next().await? {
        size += chunk.len() as u64;
        if size > file.size {
            return Err(differs(format!("has more than its {} bytes", file.size)));
        }
        hasher.update(&chunk);
        to.write_all(&chunk).await.map_err(disk(&path))?;
        watch(chunk.len() as u64);
        if failed.load(Ordering::Relaxed) {
            return Ok(());
        }
    }
    to.flush().await.map_err(disk(&path))?;
    let digest: Sha256 = hasher.finish();
    match (size == file.size, digest == file.sha256) {
        (false, _) => Err(differs(format!("has {size} of its {} bytes", file.size))),
        (true, false) => Err(differs(format!("has the SHA-256 {digest}, not {}", file.sha256))),
        (true, true) => Ok(()),
    }
}

/// The path of a file below its job's folder: its key without the job. [`Keys::file`] made the same key, so no part of it is
/// empty, a dot or two, or holds a NUL.
fn below(job: &ResultId, file: &File) -> Result<PathBuf, String> {
    let (folder, relative) = place(job, file)?;
    Ok(Path::new("data").join(folder.as_str()).join(relative))
}
