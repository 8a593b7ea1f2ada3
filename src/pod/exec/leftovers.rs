//! Removing what an algorithm left: before another attempt, and with the work folder of a local run.

use std::{fs, io, os::unix::fs::PermissionsExt as _, path::Path};

/// Removes everything below `folder`, which itself stays (in a pod it is a mount). Links are removed, never followed.
///
/// # Errors
///
/// Something cannot be removed even with its folder made writable. A missing folder is none.
pub fn clear(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if !entry.file_type()?.is_dir() {
            fs::remove_file(&path)?;
        } else if fs::remove_dir_all(&path).is_err() {
            // The algorithm may have made folders that their owner cannot write.
            open_up(&path)?;
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

fn open_up(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_go_and_what_they_point_to_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (kept, outputs) = (dir.path().join("kept"), dir.path().join("outputs"));
        fs::create_dir_all(&kept).unwrap();
        fs::write(kept.join("file"), "x").unwrap();
        fs::create_dir_all(outputs.join("a/b/c")).unwrap();
        fs::write(outputs.join("a/b/file"), "x").unwrap();
        std::os::unix::fs::symlink(&kept, outputs.join("link")).unwrap();
        std::os::unix::fs::symlink(&kept, outputs.join("a/link")).unwrap();
        fs::set_permissions(outputs.join("a/b"), fs::Permissions::from_mode(0o500)).unwrap();
        clear(&outputs).unwrap();
        assert_eq!(fs::read_dir(&outputs).unwrap().count(), 0);
        assert!(kept.join("file").exists());
        clear(&dir.path().join("missing")).unwrap();
    }
}
