//! What a run found and did: numbers for metrics, lines for people, both bounded.

use super::decide::Reason;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// The most lines that are kept; what is more is only counted.
pub const MAX_LINES: usize = 1000;

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// When it looked, by the time it believed.
    pub at: Timestamp,
    /// Whether it only said what it would do: then `deleted` is what would have been.
    pub dry_run: bool,
    /// Results that are past their time, whatever became of them; one for each store and workflow.
    pub found: u64,
    /// Those that were deleted.
    pub deleted: u64,
    /// Those that were gone already; their records now say so.
    pub already_gone: u64,
    /// Those that could not be deleted, or whose record could not be written.
    pub failed: u64,
    /// Objects deleted.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that were left alone, by reason.
    pub skipped: BTreeMap<Reason, u64>,
    /// Results whose time has not come.
    pub kept: u64,
    /// ConfigMaps deleted because their own time was up.
    pub records_deleted: u64,
    /// Stores of which nothing could be seen, and why.
    pub stores_failed: Vec<StoreFailure>,
    /// Why the clocks were not believed; then nothing was deleted.
    pub distrust: Option<String>,
    /// Whether everything was looked at; false when it was told to stop, or another process took its turn.
    pub complete: bool,
    /// One by one.
    pub lines: Vec<Line>,
    /// Lines that are not in `lines`.
    pub more_lines: u64,
}

/// A store of which nothing could be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreFailure {
    /// Its name.
    pub store: String,
    /// Why.
    pub error: String,
}

/// What became of one result in one store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// The workflow.
    pub job: String,
    /// The store.
    pub store: String,
    /// What was done.
    #[serde(flatten)]
    pub fate: Fate,
}

/// What became of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "fate")]
pub enum Fate {
    /// It was deleted, or would have been.
    Deleted {
        /// Objects.
        objects: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// Somebody else had deleted it.
    AlreadyGone,
    /// It was left alone.
    Skipped {
        /// One word.
        reason: Reason,
    },
    /// It could not be deleted.
    Failed {
        /// Why.
        error: String,
    },
    /// The workflow's ConfigMap was deleted, or would have been.
    RecordDeleted,
    /// Its time has not come.
    Kept,
}

impl Report {
    pub(super) fn new(at: Timestamp, dry_run: bool) -> Self {
        Self {
            at,
            dry_run,
            found: 0,
            deleted: 0,
            already_gone: 0,
            failed: 0,
            objects: 0,
            bytes: 0,
            skipped: BTreeMap::new(),
            kept: 0,
            records_deleted: 0,
            stores_failed: Vec::new(),
            distrust: None,
            complete: false,
            lines: Vec::new(),
            more_lines: 0,
        }
    }

    pub(super) fn store_failed(&mut self, store: &str, error: String) {
        self.stores_failed.push(StoreFailure { store: store.to_owned(), error });
    }

    /// Counts `line` and keeps it if there is room and it says something.
    pub(super) fn add(&mut self, line: Line) {
        let mut past = true;
        match &line.fate {
            Fate::Deleted { objects, bytes } => {
                self.deleted += 1;
                self.objects += objects;
                self.bytes += bytes;
            }
            Fate::AlreadyGone => self.already_gone += 1,
            Fate::Skipped { reason } => {
                past = matches!(reason, Reason::Unconfirmed | Reason::Capped | Reason::EmptyStore);
                *self.skipped.entry(*reason).or_default() += 1;
            }
            Fate::Failed { .. } => self.failed += 1,
            Fate::RecordDeleted => {
                past = false;
                self.records_deleted += 1;
            }
            Fate::Kept => {
                self.kept += 1;
                return;
            }
        }
        self.found += u64::from(past);
        if self.lines.len() < MAX_LINES { self.lines.push(line) } else { self.more_lines += 1 }
    }

    /// Whether something that should have been done was not.
    pub fn has_failures(&self) -> bool {
        self.failed > 0 || !self.stores_failed.is_empty() || self.distrust.is_some()
    }
}
