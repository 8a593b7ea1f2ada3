//! What there is to store, and what is refused.

use super::{fault::Fault, parts::Places, tree::Tree};
use crate::storage::{
    Folder, Keys,
    manifest::{Part, Refused},
};
use nix::errno::Errno;
use object_store::path::Path as Key;
use std::{
    ffi::OsStr,
    fs::FileType,
    io,
    os::unix::{ffi::OsStrExt as _, fs::FileTypeExt as _},
    path::{Path, PathBuf},
};

/// How deep folders may lie in one another. Deeper ones are refused.
const MAX_DEPTH: usize = 32;

/// Bounds on the whole walk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Files, folders and everything else that has a name.
    pub entries: u64,
    /// The files' bytes.
    pub bytes: u64,
}

/// What a walk found: folder by folder, each ordered by name, byte by byte.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Walk {
    /// What of a result it is, if that is stored in parts.
    pub part: Option<Part>,
    pub files: Vec<Found>,
    pub refused: Vec<Refused>,
}

/// A regular file that can be read and stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    pub folder: Folder,
    /// Its path below the folder.
    pub relative: String,
    /// Its key in the store.
    pub key: Key,
    /// Its bytes when it was found.
    pub size: u64,
}

impl Found {
    /// Its path below the data root.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.folder, self.relative)
    }

    /// By the ending of its name.
    pub(super) fn content_type(&self) -> String {
        mime_guess::from_path(&self.relative).first_or_octet_stream().to_string()
    }
}

/// Walks `folders`; one that is missing has nothing in it.
///
/// Every file is opened once, so that what cannot be read is refused before anything is stored.
pub(super) fn walk(
    tree: &Tree,
    folders: &[Folder],
    keys: Keys<'_>,
    places: &Places,
    limits: Limits,
) -> Result<Walk, Fault> {
    let mut walker = Walker { tree, keys, places, limits, entries: 0, bytes: 0, walk: Walk::default() };
    for &folder in folders {
        let mut walk = walker.folder(folder)?;
        walk.files.sort_by(|a, b| a.relative.cmp(&b.relative));
        walk.refused.sort();
        walker.walk.files.append(&mut walk.files);
        walker.walk.refused.append(&mut walk.refused);
    }
    Ok(walker.walk)
}

struct Walker<'a> {
    tree: &'a Tree,
    keys: Keys<'a>,
    places: &'a Places,
    limits: Limits,
    entries: u64,
    bytes: u64,
    walk: Walk,
}

impl Walker<'_> {
    fn folder(&mut self, folder: Folder) -> Result<Walk, Fault> {
        let mut walk = Walk::default();
        let mut queue = vec![(PathBuf::from(folder.as_str()), 0)];
        while let Some((path, depth)) = queue.pop() {
            let directory = match self.tree.folder(&path) {
                Ok(directory) => directory,
                Err(error) if depth == 0 && error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    walk.refused.push(refused(&path, reason(&path, error)?));
                    continue;
                }
            };
            let unreadable = |source| Fault::Unreadable { path: escape(path.as_os_str()), source };
            for entry in directory.entries().map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                self.count_entry()?;
                let path = path.join(entry.file_name());
                let kind = entry.file_type().map_err(unreadable)?;
                if kind.is_dir() && depth < MAX_DEPTH {
                    queue.push((path, depth + 1));
                    continue;
                }
                match self.file(folder, &path, kind)? {
                    Ok(found) => walk.files.push(found),
                    Err(reason) => walk.refused.push(refused(&path, reason)),
                }
            }
        }
        Ok(walk)
    }

    fn count_entry(&mut self) -> Result<(), Fault> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(Fault::TooManyFiles { limit: self.limits.entries });
        }
        Ok(())
    }

    /// The file at `path`, or the reason why it is refused.
    fn file(&mut self, folder: Folder, path: &Path, kind: FileType) -> Result<Result<Found, String>, Fault> {
        if let Some(reason) = not_a_file(kind) {
            return Ok(Err(reason.to_owned()));
        }
        let Some(relative) = path.strip_prefix(folder.as_str()).ok().and_then(Path::to_str) else {
            return Ok(Err("the name is not UTF-8".to_owned()));
        };
        let key = match self.keys.file(folder, relative) {
            Ok(key) => key,
            Err(error) => return Ok(Err(error.to_string())),
        };
        if let Some(reason) = self.places.of(folder).refuses(&key) {
            return Ok(Err(reason.to_owned()));
        }
        let metadata = match self.tree.file(path).and_then(|file| file.metadata()) {
            Ok(metadata) => metadata,
            Err(error) => return Ok(Err(reason(path, error)?)),
        };
        // What the folder said may have changed until it was opened.
        if let Some(reason) = not_a_file(metadata.file_type()) {
            return Ok(Err(reason.to_owned()));
        }
        self.bytes = self.bytes.saturating_add(metadata.len());
        if self.bytes > self.limits.bytes {
            return Err(Fault::TooLarge { limit: self.limits.bytes });
        }
        Ok(Ok(Found { folder, relative: relative.to_owned(), key, size: metadata.len() }))
    }
}

fn refused(path: &Path, reason: String) -> Refused {
    Refused { path: escape(path.as_os_str()), reason }
}

fn not_a_file(kind: FileType) -> Option<&'static str> {
    if kind.is_file() {
        None
    } else if kind.is_symlink() {
        Some("a symbolic link")
    } else if kind.is_dir() {
        Some("a folder that lies too deep")
    } else if kind.is_fifo() {
        Some("a FIFO")
    } else if kind.is_socket() {
        Some("a socket")
    } else {
        Some("a device")
    }
}

/// Why what `error` speaks of is refused, or the fault if the volume or this process is to blame.
fn reason(path: &Path, error: io::Error) -> Result<String, Fault> {
    let path = || escape(path.as_os_str());
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT) => Err(Fault::Changed { path: path() }),
        Some(Errno::EIO | Errno::ESTALE | Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ETIMEDOUT) | None => {
            Err(Fault::Unreadable { path: path(), source: error })
        }
        Some(Errno::ELOOP) => Ok("a symbolic link".to_owned()),
        Some(Errno::ENOTDIR) => Ok("not a folder, or a symbolic link".to_owned()),
        Some(errno) => Ok(format!("cannot be read: {}", errno.desc())),
    }
}

/// A name as one line of printable text: control characters, backslashes and what is not UTF-8 escaped as in Rust.
pub(super) fn escape(name: &OsStr) -> String {
    let mut out = String::new();
    for chunk in name.as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c == '\\' || is_invisible(c) { out.extend(c.escape_default()) } else { out.push(c) }
        }
        for byte in chunk.invalid() {
            out.extend(std::ascii::escape_default(*byte).map(char::from));
        }
    }
    out
}

/// Characters that would make a line look like another one: line and paragraph separators, and those that change the
/// direction of text.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_a_line() {
        let name = OsStr::from_bytes(b"a\n\x1b[31m\xff\\ \xc3\xbc\xe2\x80\xae");
        assert_eq!(escape(name), "a\\n\\u{1b}[31m\\xff\\\\ ü\\u{202e}");
    }
}
