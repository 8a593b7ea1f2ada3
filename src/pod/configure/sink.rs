//! A file on its way into the volume: written under another name, hashed while it comes, moved into place when whole.
//!
//! Whoever reads the tree sees whole files or none. An unfinished one is removed when its sink is dropped, so a fetch may
//! be abandoned at any await.

use super::fault::{DiskError, FetchError};
use crate::workflow::digest::{Hasher, Sha256};
use std::{
    fs,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

/// An unfinished file.
#[derive(Debug)]
pub(super) struct Sink {
    target: PathBuf,
    temp: PathBuf,
    file: tokio::fs::File,
    hasher: Hasher,
    len: u64,
    caps: Caps,
    mode: u32,
}

/// How many bytes it may become.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caps {
    /// The limit of one file.
    pub(super) file: u64,
    /// The limit of the workflow.
    pub(super) total: u64,
    /// Bytes of the workflow that are already there.
    pub(super) used: u64,
}

impl Caps {
    /// Whether a file of `len` bytes is allowed.
    pub(super) fn admit(self, len: u64) -> Result<(), FetchError> {
        if len > self.file {
            return Err(FetchError::TooLarge(self.file));
        }
        if len > self.total.saturating_sub(self.used) {
            return Err(FetchError::TotalTooLarge(self.total));
        }
        Ok(())
    }
}

/// A file in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) bytes: u64,
    pub(super) sha256: Sha256,
}

impl Sink {
    /// Opens a temporary file beside `target`, whose folder exists. `mode` is what the file will have in the end.
    pub(super) async fn create(target: &Path, mode: u32, caps: Caps) -> Result<Self, DiskError> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let temp = target.with_file_name(format!(".{name}.part"));
        // What another attempt left behind. `create_new` then follows no link and opens nobody else's file.
        let _ = tokio::fs::remove_file(&temp).await;
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temp);
        let file = file.map_err(DiskError::while_doing(format!("creating {}", temp.display())))?;
        let file = tokio::fs::File::from_std(file);
        Ok(Self { target: target.to_owned(), temp, file, hasher: Hasher::default(), len: 0, caps, mode })
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The digest of the bytes so far.
    pub(super) fn sha256(&self) -> Sha256 {
        self.hasher.clone().finish()
    }

    /// Whether a file of `len` bytes is allowed: asked before the first byte where the length is announced.
    pub(super) fn admit(&self, len: u64) -> Result<(), FetchError> {
        self.caps.admit(len)
    }

    /// Adds bytes, unless that makes it too large.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        let len = self.len.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.admit(len)?;
        self.file.write_all(bytes).await.map_err(|error| self.error(error))?;
        self.hasher.update(bytes);
        self.len = len;
        Ok(())
    }

    /// Forgets all bytes.
    pub(super) async fn restart(&mut self) -> Result<(), FetchError> {
        if self.len > 0 {
            self.file.flush().await.map_err(|error| self.error(error))?;
            self.file.set_len(0).await.map_err(|error| self.error(error))?;
            self.file.rewind().await.map_err(|error| self.error(error))?;
        }
        self.hasher = Hasher::default();
        self.len = 0;
        Ok(())
    }

    /// Moves the file into place. It is synchronised first, because network volumes report a full disk no earlier.
    pub(super) async fn commit(mut self) -> Result<Stored, FetchError> {
        self.file.flush().await.map_err(|error| self.error(error))?;
        self.file.sync_data().await.map_err(|error| self.error(error))?;
        let mode = fs::Permissions::from_mode(self.mode);
        self.file.set_permissions(mode).await.map_err(|error| self.error(error))?;
        tokio::fs::rename(&self.temp, &self.target).await.map_err(|error| self.error(error))?;
        Ok(Stored { bytes: self.len, sha256: self.sha256() })
    }

    fn error(&self, source: std::io::Error) -> FetchError {
        DiskError { doing: format!("writing {}", self.target.display()), source }.into()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // After `commit` there is nothing under this name.
        let _ = fs::remove_file(&self.temp);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPS: Caps = Caps { file: 10, total: 100, used: 95 };

    #[tokio::test]
    async fn a_file_appears_whole_with_its_mode_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("0");
        let mut sink = Sink::create(&target, 0o644, Caps { used: 0, ..CAPS }).await.unwrap();
        sink.write(b"hel").await.unwrap();
        assert!(!target.exists());
        sink.restart().await.unwrap();
        sink.write(b"hello").await.unwrap();
        assert_eq!(sink.commit().await.unwrap(), Stored { bytes: 5, sha256: Sha256::of("hello") });
        assert_eq!(fs::read(&target).unwrap(), b"hello");
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o7777, 0o644);

        let mut sink = Sink::create(&target, 0o644, CAPS).await.unwrap();
        sink.write(b"x").await.unwrap();
        drop(sink);
        assert_eq!(fs::read(&target).unwrap(), b"hello");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing temporary is left");
    }

    #[tokio::test]
    async fn both_caps_hold_before_and_while_bytes_come() {
        let dir = tempfile::tempdir().unwrap();
        let mut sink = Sink::create(&dir.path().join("0"), 0o644, CAPS).await.unwrap();
        assert!(matches!(sink.admit(11), Err(FetchError::TooLarge(10))));
        assert!(matches!(sink.admit(6), Err(FetchError::TotalTooLarge(100))));
        sink.write(b"12345").await.unwrap();
        assert!(matches!(sink.write(b"6").await, Err(FetchError::TotalTooLarge(100))));
    }

    #[tokio::test]
    async fn a_link_under_the_temporary_name_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        fs::write(&outside, "safe").unwrap();
        std::os::unix::fs::symlink(&outside, dir.path().join(".0.part")).unwrap();
        let mut sink = Sink::create(&dir.path().join("0"), 0o644, CAPS).await.unwrap();
        sink.write(b"x").await.unwrap();
        sink.commit().await.unwrap();
        assert_eq!(fs::read(&outside).unwrap(), b"safe");
    }
}
