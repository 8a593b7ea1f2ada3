//! `adminlogs/publish.log`: what is stored and what is not, written before anything is stored.
//!
//! It is itself part of the result, so it knows neither times nor how the storing went: the same files give the same
//! log, however often they are published.

use super::{
    tree::Tree,
    walk::{Found, Walk},
};
use crate::{
    storage::{Folder, Keys},
    workflow::Facts,
};
use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

/// Its name in `adminlogs`.
const NAME: &str = "publish.log";
/// Where it is, below the data root.
pub(super) const PATH: &str = "adminlogs/publish.log";

/// Writes it, and puts it into `walk` in place of an older one.
///
/// # Errors
///
/// The folder is missing or cannot be written; `walk` is as before then.
pub(super) fn write(tree: &Tree, walk: &mut Walk, facts: &Facts) -> io::Result<()> {
    let key = Keys(&facts.result()).file(Folder::Adminlogs, NAME).map_err(io::Error::other)?;
    let mut others = walk.clone();
    others.files.retain(|found| found.key != key);
    others.refused.retain(|refused| refused.path != PATH);
    let text = text(&others, facts);

    let folder = tree.folder(Path::new(Folder::Adminlogs.as_str()))?;
    let path = folder.path().join(NAME);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Newly made, so that nothing that lies in wait under this name is written to.
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    file.write_all(text.as_bytes())?;

    let found = Found { folder: Folder::Adminlogs, relative: NAME.to_owned(), key, size: text.len() as u64 };
    let place = others.files.partition_point(|other| (other.folder, &other.relative) < (found.folder, &found.relative));
    others.files.insert(place, found);
    *walk = others;
    Ok(())
}

fn text(walk: &Walk, facts: &Facts) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "publish {}", facts.result());
    if !facts.release {
        let _ = writeln!(text, "withheld outputs and logs");
    }
    for found in &walk.files {
        let _ = writeln!(text, "store {} ({} bytes)", super::walk::escape(found.path().as_ref()), found.size);
    }
    let _ = writeln!(text, "store {PATH}");
    for refused in &walk.refused {
        let _ = writeln!(text, "refuse {}: {}", refused.path, refused.reason);
    }
    text
}
