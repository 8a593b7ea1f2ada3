//! The termination message: the file in which a stage leaves its report, which Kubernetes puts into the pod's status.

use crate::workflow::report;
use serde::Serialize;
use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// Where Kubernetes looks unless told otherwise.
pub const DEFAULT_PATH: &str = "/dev/termination-log";

/// Overwrites the file at `path` with `report` as one line.
///
/// The file is overwritten, not replaced: in a pod it is a mount of its own. Whatever stood in it goes, because the
/// algorithm may have written there. A link in its place is not followed, and a FIFO does not block.
///
/// # Errors
///
/// The file cannot be written, or the report is longer than [`report::MAX_LEN`] (its texts were not clipped).
pub fn write<R: Serialize>(path: &Path, report: &R) -> io::Result<()> {
    let line = format!("{}\n", report::render(report));
    if line.len() > report::MAX_LEN {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("the report has {} bytes", line.len())));
    }
    let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).custom_flags(flags.bits()).open(path)?;
    file.write_all(line.as_bytes())
}

/// Whether something stands there already.
pub fn is_written(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stood_there_before_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "x".repeat(5000)).unwrap();
        write(&path, &serde_json::json!({"a": 1})).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"a\":1}\n");
    }

    #[test]
    fn a_link_is_not_followed_and_a_long_report_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        std::fs::write(&target, "kept").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(write(&link, &1).is_err());
        assert!(write(&target, &"x".repeat(report::MAX_LEN)).is_err());
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "kept");
    }
}
