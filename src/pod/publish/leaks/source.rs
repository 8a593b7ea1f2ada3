//! Files as the search for copies reads them: at any place, a block at a time, as long as there is time.

use super::super::{fault::Fault, tree::Tree};
use crate::{
    storage::manifest::Input,
    workflow::digest::{Hasher, Sha256},
};
use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path, time::Instant};
use tokio_util::sync::CancellationToken;

/// What is read at once.
const BLOCK: u64 = 256 * 1024;

/// Why a search has no answer.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The time is up.
    Late,
    /// An input is not there, or not what it was.
    Unknown { path: String },
    /// Publishing fails.
    Fault(Fault),
}

/// How long to go on, and where files are.
pub(super) struct Watch<'a> {
    pub(super) tree: &'a Tree,
    pub(super) until: Instant,
    pub(super) stop: &'a CancellationToken,
}

impl Watch<'_> {
    /// Whether to go on. Asked before each block.
    pub(super) fn go_on(&self) -> Result<(), Stopped> {
        if self.stop.is_cancelled() {
            return Err(Stopped::Fault(Fault::Interrupted));
        }
        if Instant::now() >= self.until { Err(Stopped::Late) } else { Ok(()) }
    }

    /// Opens a file that has `len` bytes.
    pub(super) fn open(&self, path: &str, len: u64) -> Result<Source, Stopped> {
        self.go_on()?;
        let changed = || Stopped::Fault(Fault::Changed { path: path.to_owned() });
        let file = self.tree.file(Path::new(path)).map_err(|_| changed())?;
        let metadata = file.metadata().map_err(|_| changed())?;
        if !metadata.is_file() || metadata.len() != len {
            return Err(changed());
        }
        Ok(Source { file, len, path: path.to_owned() })
    }

    /// Opens an input, which nobody was to change.
    pub(super) fn input(&self, input: &Input) -> Result<Source, Stopped> {
        self.open(&input.path, input.size).map_err(|stopped| match stopped {
            Stopped::Fault(Fault::Changed { path }) => Stopped::Unknown { path },
            other => other,
        })
    }
}

/// An open file.
pub(super) struct Source {
    file: File,
    pub(super) len: u64,
    path: String,
}

impl Source {
    /// Hands `len` bytes from `at` on to `take`, block by block.
    pub(super) fn read(
        &self,
        watch: &Watch<'_>,
        at: u64,
        len: u64,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), Stopped> {
        self.blocks(watch, at, 0, len, |block, _| {
            take(block);
            Ok(None::<()>)
        })?;
        Ok(())
    }

    /// Hands the `len` bytes from `at` + `ahead` on to `take`, block by block, each with the block that lies `ahead` bytes
    /// before it, until it says something.
    pub(super) fn read_both<T>(
        &self,
        watch: &Watch<'_>,
        at: u64,
        ahead: u64,
        len: u64,
        take: impl FnMut(&[u8], &[u8]) -> Result<Option<T>, Stopped>,
    ) -> Result<Option<T>, Stopped> {
        self.blocks(watch, at, ahead, len, take)
    }

    fn blocks<T>(
        &self,
        watch: &Watch<'_>,
        mut at: u64,
        ahead: u64,
        mut left: u64,
        mut take: impl FnMut(&[u8], &[u8]) -> Result<Option<T>, Stopped>,
    ) -> Result<Option<T>, Stopped> {
        let room = || vec![0; usize::try_from(BLOCK.min(left)).unwrap_or_default()];
        let (mut front, mut back) = (room(), if ahead > 0 { room() } else { Vec::new() });
        while left > 0 {
            watch.go_on()?;
            let len = usize::try_from(left.min(BLOCK)).unwrap_or_default();
            front.truncate(len);
            self.exactly(at + ahead, &mut front)?;
            if ahead > 0 {
                back.truncate(len);
                self.exactly(at, &mut back)?;
            }
            if let Some(said) = take(&front, &back)? {
                return Ok(Some(said));
            }
            at += len as u64;
            left -= len as u64;
        }
        Ok(None)
    }

    fn exactly(&self, at: u64, room: &mut [u8]) -> Result<(), Stopped> {
        self.file.read_exact_at(room, at).map_err(|source| {
            let path = self.path.clone();
            Stopped::Fault(match source.kind() {
                io::ErrorKind::UnexpectedEof => Fault::Changed { path },
                _ => Fault::Unreadable { path, source },
            })
        })
    }

    /// Whether all of `other` stands at `at`.
    pub(super) fn has(&self, watch: &Watch<'_>, at: u64, other: &Source) -> Result<bool, Stopped> {
        let mut theirs = Vec::new();
        let mut done = 0;
        let differs = self.blocks(watch, at, 0, other.len, |ours, _| {
            theirs.resize(ours.len(), 0);
            other.exactly(done, &mut theirs)?;
            done += ours.len() as u64;
            Ok((ours != theirs).then_some(()))
        })?;
        Ok(differs.is_none())
    }

    /// The digest of all of it.
    pub(super) fn digest(&self, watch: &Watch<'_>) -> Result<Sha256, Stopped> {
        let mut hasher = Hasher::default();
        self.read(watch, 0, self.len, |bytes| hasher.update(bytes))?;
        Ok(hasher.finish())
    }
}
