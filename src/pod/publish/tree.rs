//! Opening files below one folder, and only there.

use nix::{
    errno::Errno,
    fcntl::{OFlag, open, openat},
    sys::stat::Mode,
};
use std::{
    fs::{File, ReadDir, read_dir},
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
};

/// A folder whose insides are not trusted. Every part of a path below it is opened by itself and must not be a link, so
/// no path leads out, even if somebody changes the tree meanwhile.
#[derive(Debug, Clone)]
pub(in crate::pod) struct Tree {
    root: Arc<OwnedFd>,
}

impl Tree {
    /// Opens `root`, which may be reached by links: it is the caller's.
    pub(in crate::pod) fn open(root: &Path) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self { root: Arc::new(open(root, flags, Mode::empty())?) })
    }

    /// Opens a file for reading. A FIFO does not block; that it is a regular file is the caller's to check.
    pub(in crate::pod) fn file(&self, relative: &Path) -> io::Result<File> {
        self.descend(relative, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY).map(File::from)
    }

    /// Opens a folder.
    pub(in crate::pod) fn folder(&self, relative: &Path) -> io::Result<Directory> {
        self.descend(relative, OFlag::O_RDONLY | OFlag::O_DIRECTORY).map(Directory)
    }

    fn descend(&self, relative: &Path, last: OFlag) -> io::Result<OwnedFd> {
        let never = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut parts = relative.components().peekable();
        let mut parent: Option<OwnedFd> = None;
        while let Some(part) = parts.next() {
            let std::path::Component::Normal(name) = part else { return Err(Errno::EINVAL.into()) };
            let flags = if parts.peek().is_some() { OFlag::O_PATH | OFlag::O_DIRECTORY } else { last } | never;
            let from = parent.as_ref().unwrap_or(&self.root);
            parent = Some(openat(from, name, flags, Mode::empty())?);
        }
        parent.ok_or_else(|| Errno::EINVAL.into())
    }
}

/// An open folder: what is found in it is found in this very folder, whatever its name leads to by now.
pub(in crate::pod) struct Directory(OwnedFd);

impl Directory {
    pub(in crate::pod) fn entries(&self) -> io::Result<ReadDir> {
        read_dir(self.path())
    }

    /// A path to it that needs no other folder. Valid as long as this value lives.
    pub(super) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn no_path_leads_out() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("root/in")).unwrap();
        fs::write(dir.path().join("secret"), "x").unwrap();
        fs::write(dir.path().join("root/in/file"), "x").unwrap();
        symlink(dir.path(), dir.path().join("root/up")).unwrap();
        symlink("../../secret", dir.path().join("root/in/link")).unwrap();
        let tree = Tree::open(&dir.path().join("root")).unwrap();
        assert!(tree.file(Path::new("in/file")).is_ok());
        for path in ["up/secret", "in/link", "../secret", "in/../../secret", "/etc/passwd", ""] {
            assert!(tree.file(Path::new(path)).is_err(), "{path}");
        }
        assert!(tree.folder(Path::new("up")).is_err());
        assert!(tree.folder(Path::new("in/file")).is_err());
    }
}
