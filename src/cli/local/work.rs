//! The work folder of a run: `<out>/.work/<job id>`, claimed before anything is done in it and removed at the end.

use super::error::LocalError;
use crate::{pod, workflow::JobId};
use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

/// The folder that holds the work folders of all runs with the same results directory.
const ROOT: &str = ".work";

/// A claimed work folder. Dropping it leaves it where it is: whatever went wrong, what is in it may be wanted.
#[derive(Debug)]
pub(super) struct Work {
    root: PathBuf,
    folder: PathBuf,
}

impl Work {
    /// Claims the work folder of `job` in `out`, which must exist. Of two runs with the same job id, one gets it.
    pub(super) fn claim(out: &Path, job: &JobId) -> Result<Self, LocalError> {
        let results = out.join(job.as_str());
        if results.symlink_metadata().is_ok() {
            return Err(LocalError::Exists(job.clone(), results));
        }
        let root = out.join(ROOT);
        let folder = root.join(job.as_str());
        match make(&root, &folder) {
            Ok(()) => Ok(Self { root, folder }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(LocalError::Busy(job.clone(), folder)),
            Err(error) => Err(LocalError::Out(out.to_owned(), error)),
        }
    }

    /// The folder of all runs.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of this run.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Removes it, also what the algorithm made unwritable, and with the last one the folder of all.
    pub(super) fn remove(self) -> io::Result<()> {
        pod::exec::clear(&self.folder)?;
        fs::remove_dir(&self.folder)?;
        // Others may work in it.
        let _ = fs::remove_dir(&self.root);
        Ok(())
    }
}

fn make(root: &Path, folder: &Path) -> io::Result<()> {
    loop {
        fs::create_dir_all(root)?;
        match fs::create_dir(folder) {
            // Another run was the last one, and took the root away in between.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            made => return made,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_id_is_worked_on_once_and_the_last_run_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let [one, two]: [JobId; 2] = ["one", "two"].map(|id| id.parse().unwrap());
        let first = Work::claim(dir.path(), &one).unwrap();
        let second = Work::claim(dir.path(), &two).unwrap();
        assert!(matches!(Work::claim(dir.path(), &one), Err(LocalError::Busy(..))));
        first.remove().unwrap();
        assert!(second.folder().is_dir());
        second.remove().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

        fs::create_dir(dir.path().join("one")).unwrap();
        assert!(matches!(Work::claim(dir.path(), &one), Err(LocalError::Exists(..))));
    }
}
