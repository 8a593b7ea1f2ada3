//! The outputs of an earlier stage, as a data set of this one.
//!
//! They are a stranger's: every part of a path is opened by itself and is no link, only regular files are taken, and what cannot
//! be read or has a name that a store may refuse is left out. So what is taken was published: whatever was to be looked at before
//! that was looked at, and it is nothing that the consumer has not got.
//!
//! A file is written under its final name at once, since any name may be another output's: the folder is nobody's before
//! configure ends, and is emptied before it is tried again.

use super::{
    ConfigureTask,
    fault::{DiskError, FetchError},
    fetch::Fetcher,
    sink::{Caps, Stored},
};
use crate::{
    pod::publish::tree::Tree,
    storage::{Folder, Keys, refused_by_some},
    workflow::{ResultId, digest::Hasher},
};
use nix::errno::Errno;
use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// How deep folders may lie in one another: as deep as they are stored.
const MAX_DEPTH: usize = 32;
/// How much is read at once.
const CHUNK: usize = 256 * 1024;

/// A data set to be made of an earlier stage's outputs.
pub(super) struct Bring<'a> {
    pub(super) task: &'a ConfigureTask,
    /// Which stage's.
    pub(super) stage: u32,
    /// The data set's folder, which is empty.
    pub(super) folder: &'a Path,
    /// How many files and folders there may be.
    pub(super) room: u64,
    /// The data set's name in the log.
    pub(super) what: &'a str,
}

/// What was brought.
pub(super) struct Brought {
    /// Files.
    pub(super) files: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Everything that has a name, folders included.
    pub(super) entries: u64,
}

impl Bring<'_> {
    /// Copies all of it.
    pub(super) async fn all(&self, fetcher: &mut Fetcher<'_>) -> Result<Brought, FetchError> {
        let Self { task, stage, folder, room, what } = *self;
        let missing = || FetchError::NotFound(format!("outputs of stages[{stage}]"));
        let outputs = task.earlier.get(&stage).ok_or_else(missing)?.clone();
        let (max_files, result) = (task.policy.max_files, ResultId::of(task.job.clone(), stage));
        let looked = tokio::task::spawn_blocking(move || look(&outputs, &result, room, max_files)).await;
        let looked = looked.map_err(io::Error::other);
        let found = looked.map_err(DiskError::while_doing("looking at an earlier stage's outputs"))??;
        for left in &found.left_out {
            fetcher.journal().line(format!("{what}: left out {left}"));
        }
        let mut brought = Brought { files: 0, bytes: 0, entries: found.entries };
        for file in &found.files {
            let what = format!("{what}, file {:?} of stages[{stage}]", file.relative);
            let target = folder.join(&file.relative);
            brought.bytes += fetcher.place(&target, stage, &what, |caps| file.copy(&target, caps)).await?.bytes;
            brought.files += 1;
        }
        Ok(brought)
    }
}

/// What an earlier stage put out.
struct Found {
    /// Regular files, ordered by path.
    files: Vec<Output>,
    /// Everything that has a name, folders included.
    entries: u64,
    /// What is not taken, and why.
    left_out: Vec<String>,
}

/// A regular file among them.
struct Output {
    tree: Tree,
    relative: PathBuf,
}

fn look(outputs: &Path, result: &ResultId, room: u64, max_files: u64) -> Result<Found, FetchError> {
    let failed = |path: &Path| DiskError::while_doing(format!("looking into {}", path.display()));
    let tree = Tree::open(outputs).map_err(failed(outputs))?;
    let mut found = Found { files: Vec::new(), entries: 0, left_out: Vec::new() };
    // The tree opens what lies below its root, and the root itself is our own.
    let mut waiting = vec![(PathBuf::new(), 0)];
    while let Some((folder, depth)) = waiting.pop() {
        let entries =
            if depth == 0 { fs::read_dir(outputs) } else { tree.folder(&folder).and_then(|open| open.entries()) };
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) if depth > 0 && is_refusal(&error) => {
                found.left_out.push(format!("{folder:?}: {error}"));
                continue;
            }
            Err(error) => return Err(failed(&folder)(error).into()),
        };
        for entry in entries {
            let entry = entry.map_err(failed(&folder))?;
            found.entries += 1;
            if found.entries > room {
                return Err(FetchError::TooManyFiles(max_files));
            }
            let relative = folder.join(entry.file_name());
            let kind = entry.file_type().map_err(failed(&relative))?;
            match () {
                () if kind.is_dir() && depth < MAX_DEPTH => waiting.push((relative, depth + 1)),
                () if kind.is_dir() => found.left_out.push(format!("{relative:?}: it lies too deep")),
                () if kind.is_file() => match (unstorable(result, &relative), tree.file(&relative)) {
                    (Some(why), _) => found.left_out.push(format!("{relative:?}: {why}")),
                    (_, Err(error)) if is_refusal(&error) => found.left_out.push(format!("{relative:?}: {error}")),
                    (_, Err(error)) => return Err(failed(&relative)(error).into()),
                    (None, Ok(_)) => found.files.push(Output { tree: tree.clone(), relative }),
                },
                () => found.left_out.push(format!("{relative:?}: not a regular file")),
            }
        }
    }
    found.files.sort_by(|a, b| a.relative.cmp(&b.relative));
    Ok(found)
}

/// Why a store may have refused the file, whichever it was.
fn unstorable(result: &ResultId, relative: &Path) -> Option<String> {
    let Some(name) = relative.to_str() else { return Some("its name is not UTF-8".to_owned()) };
    match Keys(result).file(Folder::Outputs, name) {
        Ok(key) => refused_by_some(&key).map(str::to_owned),
        Err(error) => Some(error.to_string()),
    }
}

impl Output {
    async fn copy(&self, target: &Path, caps: Caps) -> Result<Stored, FetchError> {
        let (tree, relative, target) = (self.tree.clone(), self.relative.clone(), target.to_owned());
        let copied = tokio::task::spawn_blocking(move || copy(&tree, &relative, &target, caps)).await;
        copied.map_err(io::Error::other).map_err(DiskError::while_doing("copying an earlier stage's output"))?
    }
}

fn copy(tree: &Tree, relative: &Path, target: &Path, caps: Caps) -> Result<Stored, FetchError> {
    let reading = || DiskError::while_doing(format!("reading {}", relative.display()));
    let writing = || DiskError::while_doing(format!("writing {}", target.display()));
    let mut from = tree.file(relative).map_err(reading())?;
    if !from.metadata().map_err(reading())?.is_file() {
        return Err(FetchError::NotRegular(relative.display().to_string()));
    }
    if let Some(parent) = target.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(writing())?;
    }
    let mut to = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(target).map_err(writing())?;
    let (mut hasher, mut bytes, mut buffer) = (Hasher::default(), 0u64, vec![0; CHUNK]);
    loop {
        let read = from.read(&mut buffer).map_err(reading())?;
        let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else { break };
        bytes = bytes.saturating_add(read as u64);
        caps.admit(bytes)?;
        to.write_all(chunk).map_err(writing())?;
        hasher.update(chunk);
    }
    to.set_permissions(fs::Permissions::from_mode(0o644)).map_err(writing())?;
    // Network volumes report a full disk no earlier.
    to.sync_data().map_err(writing())?;
    Ok(Stored { bytes, sha256: hasher.finish() })
}

/// Whether it says no about this path alone.
fn is_refusal(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EACCES | Errno::EPERM | Errno::ELOOP | Errno::ENOTDIR))
}
