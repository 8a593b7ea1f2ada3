//! What configure put in place for the algorithm: told to publish, which puts it into the manifest.
//!
//! The two stages share a volume and nothing else, and a list may be longer than a termination message. It is a file beside
//! the folders that other pods mount, so that none of those can write it.

use super::layout::Layout;
use crate::{storage::manifest::Input, workflow::digest::Sha256};
use std::{
    fs, io,
    io::{Read, Write as _},
    path::Path,
};

/// The most bytes of a list that are read: tens of thousands of files.
const MAX_LEN: u64 = 16 * 1024 * 1024;

/// The files that are in place.
#[derive(Debug, Clone)]
pub struct Provisioned {
    layout: Layout,
    files: Vec<Input>,
}

impl Provisioned {
    /// None yet.
    pub fn new(layout: Layout) -> Self {
        Self { layout, files: Vec::new() }
    }

    /// Adds a file below the data root, perhaps one that an earlier stage put out. One that is outside of it is none of the
    /// algorithm's.
    pub fn add(&mut self, target: &Path, size: u64, sha256: Sha256, stage: Option<u32>) {
        if let Some(path) = target.strip_prefix(self.layout.root()).ok().and_then(Path::to_str) {
            self.files.push(Input { path: path.to_owned(), size, sha256, stage });
        }
    }

    /// Writes the list, in place of an older one.
    ///
    /// # Errors
    ///
    /// The disk's. The list is either as before or whole.
    pub fn write(&self) -> io::Result<()> {
        let mut files = self.files.clone();
        files.sort();
        let path = self.layout.provisioned();
        let temp = path.with_extension("part");
        let mut file = fs::File::create(&temp)?;
        file.write_all(&serde_json::to_vec(&files)?)?;
        file.sync_all()?;
        fs::rename(&temp, &path)
    }
}

/// Reads a list; none if it is not one.
pub fn read(file: impl Read) -> Option<Vec<Input>> {
    let mut bytes = Vec::new();
    file.take(MAX_LEN + 1).read_to_end(&mut bytes).ok()?;
    let whole = u64::try_from(bytes.len()).is_ok_and(|len| len <= MAX_LEN);
    serde_json::from_slice(&bytes).ok().filter(|_| whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_ordered_and_without_what_lies_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let mut placed = Provisioned::new(layout.clone());
        placed.add(&layout.algorithm(), 2, Sha256::of("b"), None);
        placed.add(&layout.inputs().join("x/0"), 1, Sha256::of("a"), None);
        placed.add(Path::new("/etc/passwd"), 1, Sha256::of("a"), None);
        placed.write().unwrap();
        placed.write().unwrap();
        let files = read(fs::File::open(layout.provisioned()).unwrap()).unwrap();
        assert_eq!(
            files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(),
            ["inputs/x/0", "transformations/algorithm"]
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        for other in ["", "{}", "[{\"path\":1}]"] {
            assert_eq!(read(other.as_bytes()), None, "{other}");
        }
    }
}
