//! `[storage]`: where results go, and for how long.

use super::{
    duration,
    pods::object_name,
    values::{Values, optional},
};
use std::{path::PathBuf, time::Duration};

/// `[storage]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Storage {
    /// Where results go.
    pub target: StorageTarget,
    /// The claim that publish pods mount at the directory; none: it is there without one.
    pub claim: Option<String>,
    /// How long they are kept; none: for ever.
    pub expiry: Option<Duration>,
}

/// Where results go; each kind with exactly what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageTarget {
    /// Nowhere.
    None,
    /// An absolute path.
    Directory(PathBuf),
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Kind {
    #[default]
    None,
    Directory,
}

impl Storage {
    pub(super) fn read(values: &mut Values) -> Self {
        let kind = values.choice("storage.kind", &[("none", Kind::None), ("directory", Kind::Directory)]);
        let directory = values.checked_text("storage.directory", |text| {
            let path = PathBuf::from(text);
            let usable = text.is_empty() || path.is_absolute();
            if usable {
                Ok(path)
            } else {
                Err("must be an absolute path: processes have different working folders".to_owned())
            }
        });
        let named = !directory.as_os_str().is_empty();
        let keys = ["storage.kind", "storage.directory"];
        values.rule(&keys, named || kind != Kind::Directory, "storage.kind = \"directory\" needs storage.directory");
        values.rule(&keys, !named || kind == Kind::Directory, "storage.directory needs storage.kind = \"directory\"");
        Self {
            target: if kind == Kind::Directory { StorageTarget::Directory(directory) } else { StorageTarget::None },
            claim: values.checked_text("storage.claim", |text| optional(text, object_name)),
            expiry: values.optional_duration("storage.expiry", Duration::from_secs(1)..=duration::MAX),
        }
    }
}
