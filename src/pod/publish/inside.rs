//! Files of the admin's that never go where a consumer reads: the algorithm's log as it was before the filter, and the name of
//! a file that may not leave. They are among the admin's logs where these have a place of their own, and nowhere else.
//!
//! It also brings what a filter's pod has for its `adminlogs`, a folder of its own, to the other stages' logs: two files by
//! their names, whatever else may be there.

use super::{leaks::Leak, tree::Tree, walk::Found};
use crate::{
    pod::{
        exec::{ALGORITHM_LOG, FILTER_LOG},
        layout::Layout,
    },
    storage::Folder,
};
use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _, Write as _},
    path::Path,
};

/// What the admin is told of a leak.
const LEAKS_LOG: &str = "leaks.log";
/// The most bytes of one of the filter's files that are taken: far above any sensible limit of a log, and a bound on what a
/// sparse file can become.
const MOST: u64 = 4 << 30;

/// Whether a file stays inside where the admin's logs are among the consumer's results.
pub(super) fn stays(found: &Found) -> bool {
    found.folder == Folder::Adminlogs && [ALGORITHM_LOG, LEAKS_LOG].contains(&found.relative.as_str())
}

/// Takes the filter's files. Taken again, they are the same.
///
/// # Errors
///
/// Some are missing among the admin's logs now, for want of room, say.
pub(super) fn take(tree: &Tree) -> io::Result<()> {
    let log = from_filter(tree, FILTER_LOG);
    log.and(from_filter(tree, ALGORITHM_LOG))
}

fn from_filter(tree: &Tree, name: &str) -> io::Result<()> {
    let file = match tree.file(&Path::new(Layout::FILTER).join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other(format!("{name} of the filter is not a file")));
    }
    let mut copy = create(tree, name)?;
    // Half of it would look like all of it.
    io::copy(&mut file.take(MOST), &mut copy).map(drop).inspect_err(|_| drop(remove(tree, name)))
}

/// Writes what the admin should know of `leak`.
pub(super) fn tell(tree: &Tree, leak: &Leak) -> io::Result<()> {
    let Leak { reason, message, name } = leak;
    let mut file = create(tree, LEAKS_LOG)?;
    writeln!(file, "{reason}: {message}")?;
    name.as_ref().map_or(Ok(()), |name| writeln!(file, "the file is {name}"))
}

/// Forgets what an attempt before this one told: the files are looked at anew.
pub(super) fn forget(tree: &Tree) -> io::Result<()> {
    remove(tree, LEAKS_LOG)
}

/// Newly made, so that nothing that lies in wait under this name is written to.
fn create(tree: &Tree, name: &str) -> io::Result<fs::File> {
    remove(tree, name)?;
    let folder = tree.folder(Path::new(Folder::Adminlogs.as_str()))?;
    OpenOptions::new().write(true).create_new(true).open(folder.path().join(name))
}

fn remove(tree: &Tree, name: &str) -> io::Result<()> {
    let folder = match tree.folder(Path::new(Folder::Adminlogs.as_str())) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        folder => folder?,
    };
    match fs::remove_file(folder.path().join(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
