//! What expiry needs of a cluster: every workflow, a page at a time; the end of those that are long over; a clock other than
//! its own; and whose turn it is.

use crate::plan::{
    Failure,
    action::Write,
    seen::{Uid, Version, WorkflowSeen},
};
use async_trait::async_trait;
use jiff::Timestamp;

/// The most bytes of [`Turn::memory`].
pub const MAX_MEMORY_LEN: usize = 1024;

/// A part of the list of all workflows.
#[derive(Debug, Clone)]
pub struct Page {
    /// Their metadata.
    pub workflows: Vec<WorkflowSeen>,
    /// What the next page is asked for with; none: this was the last.
    pub next: Option<String>,
}

/// Whose turn it is to sweep, and what earlier sweeps left in writing for later ones. There is one for each namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Its UID.
    pub uid: Uid,
    /// The version to compare and swap by.
    pub version: Version,
    /// Whose turn it is; empty: nobody's.
    pub holder: String,
    /// What was left in writing, as it stands; empty at first.
    pub memory: String,
}

/// The workflows of one namespace, as expiry sees them.
///
/// # Contract
///
/// - **Pages.** All pages from the first to the last hold every workflow (whatever has the state label, whatever its value)
///   that was there all the while, exactly once: ConfigMaps, then Secrets where these are workflows, each in the order of their names. What is not answered completely is an error.
/// - **Compare and swap.** [`Archive::write`], [`Archive::delete`] and [`Archive::set_turn`] change an object if and only if it
///   still has the UID and version named; else [`Failure::Conflict`], or [`Failure::NotFound`] if it is gone.
/// - **One turn.** However many ask at once, [`Archive::turn`] answers all with the same object.
#[async_trait]
pub trait Archive: Send + Sync {
    /// The first page, or the one after the page that said `after`; of at most `limit` workflows, as a rule.
    async fn page(&self, limit: u32, after: Option<&str>) -> Result<Page, Failure>;
    /// One workflow's metadata, consistently; of a ConfigMap whether it has the label or not.
    async fn read(&self, name: &str) -> Result<Option<WorkflowSeen>, Failure>;
    /// Sets state and record, as [`super::Cluster::write_workflow`].
    async fn write(&self, name: &str, write: &Write) -> Result<WorkflowSeen, Failure>;
    /// Deletes a workflow that is still as it was seen, and with it what it owns.
    async fn delete(&self, seen: &WorkflowSeen) -> Result<(), Failure>;
    /// What time it is by the cluster's clock; none if it does not say.
    async fn now(&self) -> Result<Option<Timestamp>, Failure>;
    /// Whose turn it is. Makes the object if there is none.
    async fn turn(&self) -> Result<Turn, Failure>;
    /// Sets holder and memory, so that the version always changes. A memory longer than [`MAX_MEMORY_LEN`] is refused.
    async fn set_turn(&self, turn: &Turn, holder: &str, memory: &str) -> Result<Turn, Failure>;
}

/// A memory that is too long.
pub(crate) fn memory_too_long(memory: &str) -> Option<Failure> {
    let message = format!("it has {} bytes, at most {MAX_MEMORY_LEN} are kept", memory.len());
    (memory.len() > MAX_MEMORY_LEN).then(|| Failure::Refused { reason: "MemoryTooLong".to_owned(), message })
}
