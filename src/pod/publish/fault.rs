//! Why publishing fails, and whether another attempt may do better.
//!
//! A store that denies or is not what the settings say is waited for as one that is down: keys are renewed, buckets made,
//! and the next attempt's pod gets the settings and the Secret as they are by then. Only what the files themselves rule
//! out is final.

use crate::{storage::StorageError, workflow::report::clip};
use std::{error::Error as _, io};

/// The most bytes of a fault's message: with all of JSON's escapes it still fits a termination message.
const MAX_MESSAGE_LEN: usize = 1024;

#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("outputs and logs hold more than {limit} files and folders; write fewer, or pack them into an archive")]
    TooManyFiles { limit: u64 },
    #[error("outputs and logs have more than {limit} bytes; write less")]
    TooLarge { limit: u64 },
    #[error("outputs and logs have so many files that their manifest exceeds {limit} bytes; pack them into an archive")]
    ManifestTooLarge { limit: u64 },
    #[error("{path} changed while it was read; nothing may write to the volume any more")]
    Changed { path: String },
    #[error("{path} cannot be read")]
    Unreadable { path: String, source: io::Error },
    #[error("{store} does not give back the manifest that it has just stored; look at its log")]
    Lost { store: String },
    #[error("{message}")]
    Leak { reason: &'static str, message: String },
    #[error("publishing was asked to end early")]
    Interrupted,
    #[error(
        "the task cannot be understood: {message}; images.engine and images.publish have to hold the engine's own version"
    )]
    Misunderstood { message: String },
    #[error("{message}; correct the Secret that storage.secret names")]
    Credentials { message: String },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Fault {
    /// One word for programs.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::TooManyFiles { .. } | Self::ManifestTooLarge { .. } => "TooManyFiles",
            Self::TooLarge { .. } => "ResultsTooLarge",
            Self::Changed { .. } => "FileChanged",
            Self::Unreadable { .. } => "VolumeUnreadable",
            Self::Leak { reason, .. } => reason,
            Self::Interrupted => "Interrupted",
            Self::Misunderstood { .. } => "InvalidTask",
            Self::Credentials { .. } => "InvalidCredentials",
            Self::Lost { .. } | Self::Storage(StorageError::Retry { .. }) => "StorageUnavailable",
            Self::Storage(StorageError::Denied { .. }) => "StorageDenied",
            Self::Storage(StorageError::Unfit { .. }) => "UnfitForStorage",
            Self::Storage(StorageError::Misconfigured { .. } | StorageError::Missing { .. }) => "StorageMisconfigured",
        }
    }

    /// What happened and what to do, with its cause.
    pub(super) fn message(&self) -> String {
        let cause = self.source().map_or_else(String::new, |cause| format!(": {cause}"));
        clip(&format!("{self}{cause}"), MAX_MESSAGE_LEN)
    }

    /// Whether another attempt may succeed: by itself, or because an admin saw to it meanwhile.
    pub(super) fn retry(&self) -> bool {
        match self {
            Self::Changed { .. }
            | Self::Unreadable { .. }
            | Self::Lost { .. }
            | Self::Credentials { .. }
            | Self::Misunderstood { .. }
            | Self::Interrupted => true,
            Self::Storage(error) => !matches!(error, StorageError::Unfit { .. }),
            Self::TooManyFiles { .. } | Self::TooLarge { .. } | Self::ManifestTooLarge { .. } | Self::Leak { .. } => {
                false
            }
        }
    }

    pub(super) fn is_interruption(&self) -> bool {
        matches!(self, Self::Interrupted)
    }
}
