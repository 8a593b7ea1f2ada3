//! How the intended pod of a stage came to its end.

use crate::plan::{end::End, seen::WaitingCause, view::Ending};
use jiff::SignedDuration;
use std::time::Duration;

/// How the intended pod of a stage came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended<'a> {
    /// It ended, perhaps because it was asked to.
    Pod {
        /// Its end.
        end: &'a End,
        /// Why it was asked to end, if it was.
        ending: Option<&'a Ending>,
    },
    /// It was there, and somebody or something deleted it.
    Vanished,
    /// It is being deleted and does not go, because its node does not answer. It may still run there.
    Lost,
    /// A person stopped the workflow before it ran.
    StoppedBefore,
    /// It could not be created, or waited too long.
    NeverRan {
        /// One CamelCase word.
        reason: String,
        /// What happened and what to do.
        message: String,
    },
    /// The document is not the one that was claimed.
    DocumentChanged,
}

impl Ended<'_> {
    /// The end of a pod that waited too long for `cause`.
    pub fn waited(cause: WaitingCause, message: &str, after: Duration) -> Self {
        let (reason, what) = match cause {
            WaitingCause::Starting => ("StartTimeout", "the pod did not start"),
            WaitingCause::Unschedulable => (
                "Unschedulable",
                "no node took the pod; ask for less, or the admin should add capacity or correct the node selector",
            ),
            WaitingCause::Image => {
                ("ImageNotAvailable", "the image could not be pulled; check its name, tag and registry")
            }
            WaitingCause::Volume => {
                ("VolumeNotAvailable", "the volume was not ready; the admin should check the storage class")
            }
            WaitingCause::Quota => {
                ("QuotaExceeded", "a quota stayed used up; the admin should check the namespace's quotas")
            }
        };
        let detail = if message.is_empty() { String::new() } else { format!(": {message}") };
        let after = SignedDuration::try_from(after).unwrap_or_default();
        Self::NeverRan { reason: reason.to_owned(), message: format!("after {after:#} {what}{detail}") }
    }
}
