//! The only place that knows how stored objects are named.

use crate::workflow::ResultId;
use object_store::path::Path;
use std::fmt;

/// A folder of a workflow whose files are stored, in the order in which they are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Folder {
    /// What the algorithm hands out.
    Outputs,
    /// What it says.
    Logs,
    /// What the stages around it say.
    Adminlogs,
}

impl Folder {
    /// All folders, in the order of the old engine's array.
    pub const ALL: [Self; 3] = [Self::Outputs, Self::Logs, Self::Adminlogs];

    /// The folder's name below the data root.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Outputs => "outputs",
            Self::Logs => "logs",
            Self::Adminlogs => "adminlogs",
        }
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The keys of the objects of one stage of a workflow.
#[derive(Debug, Clone, Copy)]
pub struct Keys<'a>(pub &'a ResultId);

/// A name that no store can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// A control character, `.`, `..` or an empty part.
    #[error("a control character, or a part that is empty, '.' or '..'")]
    Alphabet,
    /// A part above [`Keys::MAX_PART_LEN`].
    #[error("a part of the name is longer than {max} bytes", max = Keys::MAX_PART_LEN)]
    PartTooLong,
    /// A key above [`Keys::MAX_LEN`].
    #[error("the name is too long: a stored name has at most {max} bytes", max = Keys::MAX_LEN)]
    TooLong,
}

impl Keys<'_> {
    /// What file systems and some S3 servers allow for a part between slashes.
    pub const MAX_PART_LEN: usize = 255;
    /// S3's limit for a whole key ("Naming Amazon S3 objects").
    pub const MAX_LEN: usize = 1024;

    /// The old engine's array, below the job.
    pub const RESULTS: &'static str = "results.json";
    /// The manifest, below the job.
    pub const MANIFEST: &'static str = "manifest.json";

    /// What all keys of the workflow begin with.
    pub fn prefix(self) -> Path {
        // A job id has no character that this would change.
        Path::from(self.0.as_str())
    }

    /// The key of the file at `relative` below `folder`, its name taken as it is: `<job id>/data/<folder>/<relative>`.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] for a name that a store would refuse or change.
    pub fn file(self, folder: Folder, relative: &str) -> Result<Path, InvalidKey> {
        let text = format!("{}/data/{folder}/{relative}", self.0);
        if relative.is_empty() || relative.starts_with('/') || relative.ends_with('/') {
            return Err(InvalidKey::Alphabet);
        }
        if relative.split('/').any(|part| part.len() > Self::MAX_PART_LEN) {
            return Err(InvalidKey::PartTooLong);
        }
        if text.len() > Self::MAX_LEN {
            return Err(InvalidKey::TooLong);
        }
        Path::parse(text).map_err(|_| InvalidKey::Alphabet)
    }

    /// The old engine's array.
    pub fn results(self) -> Path {
        self.prefix().join(Self::RESULTS)
    }

    /// The manifest.
    pub fn manifest(self) -> Path {
        self.prefix().join(Self::MANIFEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_old_engines() {
        let job: ResultId = "wf-1".parse().unwrap();
        let keys = Keys(&job);
        let key = keys.file(Folder::Outputs, "a b/ü%#.csv").unwrap();
        assert_eq!(key.as_ref(), "wf-1/data/outputs/a b/ü%#.csv");
        assert_eq!(
            keys.file(Folder::Adminlogs, "configure.log").unwrap().as_ref(),
            "wf-1/data/adminlogs/configure.log"
        );
        assert_eq!(keys.manifest().as_ref(), "wf-1/manifest.json");
        assert_eq!(keys.results().as_ref(), "wf-1/results.json");
    }

    #[test]
    fn names_that_a_store_would_refuse_or_change_are_refused() {
        let job: ResultId = "wf-1".parse().unwrap();
        for (name, reason) in [
            ("", InvalidKey::Alphabet),
            ("a\nb", InvalidKey::Alphabet),
            ("..", InvalidKey::Alphabet),
            ("a/../../b", InvalidKey::Alphabet),
            ("a//b", InvalidKey::Alphabet),
            ("a/", InvalidKey::Alphabet),
            (&"x".repeat(256), InvalidKey::PartTooLong),
            ("x/".repeat(600).trim_end_matches('/'), InvalidKey::TooLong),
        ] {
            assert_eq!(Keys(&job).file(Folder::Logs, name), Err(reason), "{name:?}");
        }
    }
}
