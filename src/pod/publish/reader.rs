//! Reads a file that must stay as it was found. Blocks.

use super::{fault::Fault, tree::Tree, walk::Found};
use crate::workflow::digest::{Hasher, Sha256};
use bytes::Bytes;
use std::{
    fs::{File, Metadata},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

pub(super) struct Reader {
    file: File,
    as_found: Metadata,
    left: u64,
    hasher: Hasher,
    path: String,
}

impl Reader {
    pub(super) fn open(tree: &Tree, found: &Found) -> Result<Self, Fault> {
        let path = found.path();
        let opened = tree.file(Path::new(&path)).and_then(|file| Ok((file.metadata()?, file)));
        // It could be opened a moment ago.
        let Ok((as_found, file)) = opened else { return Err(Fault::Changed { path }) };
        if !as_found.is_file() || as_found.len() != found.size {
            return Err(Fault::Changed { path });
        }
        Ok(Self { file, left: as_found.len(), as_found, hasher: Hasher::default(), path })
    }

    /// How many bytes there are still to read.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// The next bytes, as many as there is room for; there must be so many [left](Self::left).
    pub(super) fn fill(&mut self, room: &mut [u8]) -> Result<(), Fault> {
        match self.file.read_exact(room) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(Fault::Changed { path: self.path.clone() });
            }
            Err(source) => return Err(Fault::Unreadable { path: self.path.clone(), source }),
        }
        self.left = self.left.saturating_sub(room.len() as u64);
        self.hasher.update(room);
        Ok(())
    }

    /// The next `len` bytes, or all that are left; none at the end.
    pub(super) fn next(&mut self, len: u64) -> Result<Option<Bytes>, Fault> {
        let len = len.min(self.left);
        if len == 0 {
            return Ok(None);
        }
        let mut part = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        self.fill(&mut part)?;
        Ok(Some(part.into()))
    }

    /// The digest, if the file is still what it was.
    pub(super) fn finish(mut self) -> Result<Sha256, Fault> {
        let unreadable = |source| Fault::Unreadable { path: self.path.clone(), source };
        let more = self.file.read(&mut [0]).map_err(unreadable)?;
        let now = self.file.metadata().map_err(unreadable)?;
        let same = |of: fn(&Metadata) -> i64| of(&now) == of(&self.as_found);
        if more > 0 || now.len() != self.as_found.len() || !same(Metadata::mtime) || !same(Metadata::mtime_nsec) {
            return Err(Fault::Changed { path: self.path });
        }
        Ok(self.hasher.finish())
    }
}
