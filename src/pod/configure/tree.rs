//! The folders of a workflow, made or made again.
//!
//! Running over what an earlier attempt left gives the same tree as running in an empty volume: what configure owns is
//! emptied first, what others write to is left alone.

use super::fault::DiskError;
use crate::pod::layout::Layout;
use nix::fcntl::OFlag;
use std::{
    fs, io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

/// Folders that only configure writes to.
const OWN: u32 = 0o755;
/// Folders that the algorithm or a filter writes to, whatever user its image insists on.
const SHARED: u32 = 0o777;
/// The name of this program in `bin`: what the algorithm's pod starts with.
const PROGRAM: &str = "operator-engine";

/// Makes all folders, an empty `logs/algorithm.log` and a copy of `program`, and empties what configure owns.
pub(super) fn prepare(layout: &Layout, program: Option<&Path>) -> Result<(), DiskError> {
    let root = layout.root();
    fs::create_dir_all(root).map_err(DiskError::while_doing(format!("creating {}", root.display())))?;
    for name in Layout::FOLDERS {
        let path = root.join(name);
        folder(&path, if matches!(name, "outputs" | "logs" | Layout::FILTER) { SHARED } else { OWN })?;
        if matches!(name, "inputs" | "transformations" | "ddos") {
            empty(&path).map_err(DiskError::while_doing(format!("emptying {}", path.display())))?;
        }
    }
    let list = layout.provisioned();
    remove(&list).map_err(DiskError::while_doing(format!("removing {}", list.display())))?;
    let log = layout.logs().join("algorithm.log");
    touch(&log).map_err(DiskError::while_doing(format!("creating {}", log.display())))?;
    if let Some(program) = program {
        let target = layout.bin().join(PROGRAM);
        install(program, &target)
            .map_err(DiskError::while_doing(format!("copying this program to {}", target.display())))?;
    }
    Ok(())
}

/// Makes a folder of configure's own below one that exists.
pub(super) fn own_folder(path: &Path) -> Result<(), DiskError> {
    folder(path, OWN)
}

/// A real folder, not a link to one, with this mode whatever the umask says.
fn folder(path: &Path, mode: u32) -> Result<(), DiskError> {
    let make = || {
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other?,
        }
        let metadata = fs::symlink_metadata(path)?;
        if !metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        set_mode(path, metadata.permissions().mode(), mode)
    };
    make().map_err(DiskError::while_doing(format!("creating {}", path.display())))
}

/// Keeps the set-group-id bit with which Kubernetes marks volumes of an `fsGroup`, and changes nothing that is right
/// already: a volume may belong to somebody else.
fn set_mode(path: &Path, found: u32, wanted: u32) -> io::Result<()> {
    let wanted = (found & 0o7000) | wanted;
    if found & 0o7777 == wanted { Ok(()) } else { fs::set_permissions(path, fs::Permissions::from_mode(wanted)) }
}

/// Removes everything below `path`. Links are removed, not followed.
fn empty(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A log that any user may append to. What is in it stays.
fn touch(path: &Path) -> io::Result<()> {
    let nofollow = OFlag::O_NOFOLLOW.bits();
    let file = fs::OpenOptions::new().append(true).create(true).custom_flags(nofollow).open(path)?;
    let found = file.metadata()?.permissions().mode();
    if found & 0o777 == 0o666 { Ok(()) } else { file.set_permissions(fs::Permissions::from_mode(0o666)) }
}

/// Copied, not linked: the image and the volume are different file systems, and a link would share its mode with the
/// program that runs. Renamed into place, so that the name never stands for half a program.
fn install(program: &Path, target: &Path) -> io::Result<()> {
    let temp = target.with_extension("part");
    remove(&temp)?;
    let mut from = fs::File::open(program)?;
    let mut to = fs::OpenOptions::new().write(true).create_new(true).mode(0o700).open(&temp)?;
    io::copy(&mut from, &mut to)?;
    to.set_permissions(fs::Permissions::from_mode(0o755))?;
    to.sync_all()?;
    drop(to);
    fs::rename(&temp, target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: impl AsRef<Path>) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn any_user_can_write_outputs_and_logs_and_nobody_else_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().join("deep/data"));
        prepare(&layout, None).unwrap();
        for name in Layout::FOLDERS {
            let expected = if matches!(name, "outputs" | "logs" | "filter") { 0o777 } else { 0o755 };
            assert_eq!(mode(layout.root().join(name)), expected, "{name}");
        }
        assert_eq!(mode(layout.logs().join("algorithm.log")), 0o666);
    }

    #[test]
    fn a_second_time_keeps_what_others_wrote_and_removes_what_is_stale() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        prepare(&layout, None).unwrap();
        fs::create_dir(layout.inputs().join("old")).unwrap();
        fs::write(layout.inputs().join("old/0"), "x").unwrap();
        fs::write(layout.transformations().join(".algorithm.part"), "x").unwrap();
        fs::write(layout.logs().join("algorithm.log"), "kept").unwrap();
        fs::write(dir.path().join("precious"), "kept").unwrap();
        std::os::unix::fs::symlink(dir.path(), layout.ddos().join("link")).unwrap();
        prepare(&layout, None).unwrap();
        for path in [layout.inputs(), layout.transformations(), layout.ddos()] {
            assert_eq!(fs::read_dir(&path).unwrap().count(), 0, "{}", path.display());
        }
        assert_eq!(fs::read_to_string(layout.logs().join("algorithm.log")).unwrap(), "kept");
        assert_eq!(fs::read_to_string(dir.path().join("precious")).unwrap(), "kept");
    }

    #[test]
    fn a_link_in_place_of_a_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("file"), "kept").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), dir.path().join("inputs")).unwrap();
        assert!(prepare(&Layout::new(dir.path()), None).is_err());
        assert!(elsewhere.path().join("file").exists());
    }

    #[test]
    fn the_set_group_id_bit_of_a_volume_stays() {
        let dir = tempfile::tempdir().unwrap();
        let outputs = dir.path().join("outputs");
        fs::create_dir(&outputs).unwrap();
        fs::set_permissions(&outputs, fs::Permissions::from_mode(0o2700)).unwrap();
        prepare(&Layout::new(dir.path()), None).unwrap();
        assert_eq!(mode(&outputs), 0o2777);
    }

    #[test]
    fn the_program_is_copied_and_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().join("data"));
        let program = dir.path().join("program");
        for text in ["one", "another"] {
            fs::write(&program, text).unwrap();
            prepare(&layout, Some(&program)).unwrap();
            assert_eq!(fs::read_to_string(layout.bin().join(PROGRAM)).unwrap(), text);
            assert_eq!(mode(layout.bin().join(PROGRAM)), 0o755);
            assert_eq!(fs::read_dir(layout.bin()).unwrap().count(), 1);
        }
    }
}
