//! The outputs of an earlier stage, as a data set of this one.
//!
//! They are a stranger's: every part of a path is opened by itself and is no link, only regular files are taken, and a name that
//! the list of inputs could not hold is left out, as is what cannot be read. The same was left out of what was stored.
//!
//! A file is written under its final name at once, since any name may be another output's: the folder is nobody's before
//! configure ends, and is emptied before it is tried again.

use super::{
    fault::{DiskError, FetchError},
    sink::{Caps, Stored},
};
use crate::{pod::publish::tree::Tree, workflow::digest::Hasher};
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

/// What an earlier stage put out.
pub(super) struct Found {
    /// Regular files, ordered by path.
    pub(super) files: Vec<Output>,
    /// Everything that has a name, folders included.
    pub(super) entries: u64,
    /// What is not taken, and why.
    pub(super) left_out: Vec<String>,
}

/// A regular file among them.
pub(super) struct Output {
    tree: Tree,
    pub(super) relative: PathBuf,
}

/// Looks what there is in `outputs`, at most `most` entries.
pub(super) async fn find(outputs: &Path, most: u64) -> Result<Found, FetchError> {
    let outputs = outputs.to_owned();
    let looked = tokio::task::spawn_blocking(move || look(&outputs, most)).await;
    looked.map_err(io::Error::other).map_err(DiskError::while_doing("looking at an earlier stage's outputs"))?
}

fn look(outputs: &Path, most: u64) -> Result<Found, FetchError> {
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
            if found.entries > most {
                return Err(FetchError::TooManyFiles(most));
            }
            let relative = folder.join(entry.file_name());
            let kind = entry.file_type().map_err(failed(&relative))?;
            match () {
                () if relative.to_str().is_none() => {
                    found.left_out.push(format!("{relative:?}: its name is not UTF-8"))
                }
                () if kind.is_dir() && depth < MAX_DEPTH => waiting.push((relative, depth + 1)),
                () if kind.is_dir() => found.left_out.push(format!("{relative:?}: it lies too deep")),
                () if kind.is_file() => match tree.file(&relative) {
                    Err(error) if is_refusal(&error) => found.left_out.push(format!("{relative:?}: {error}")),
                    Err(error) => return Err(failed(&relative)(error).into()),
                    Ok(_) => found.files.push(Output { tree: tree.clone(), relative }),
                },
                () => found.left_out.push(format!("{relative:?}: not a regular file")),
            }
        }
    }
    found.files.sort_by(|a, b| a.relative.cmp(&b.relative));
    Ok(found)
}

impl Output {
    /// Copies it below `folder`.
    pub(super) async fn copy(&self, folder: &Path, caps: Caps) -> Result<Stored, FetchError> {
        let (tree, relative, folder) = (self.tree.clone(), self.relative.clone(), folder.to_owned());
        let copied = tokio::task::spawn_blocking(move || copy(&tree, &relative, &folder, caps)).await;
        copied.map_err(io::Error::other).map_err(DiskError::while_doing("copying an earlier stage's output"))?
    }
}

fn copy(tree: &Tree, relative: &Path, folder: &Path, caps: Caps) -> Result<Stored, FetchError> {
    let reading = || DiskError::while_doing(format!("reading {}", relative.display()));
    let target = folder.join(relative);
    let writing = || DiskError::while_doing(format!("writing {}", target.display()));
    let mut from = tree.file(relative).map_err(reading())?;
    if !from.metadata().map_err(reading())?.is_file() {
        return Err(FetchError::NotRegular(relative.display().to_string()));
    }
    if let Some(parent) = target.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(writing())?;
    }
    let mut to = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&target).map_err(writing())?;
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
