//! The record: what the engine knows of a workflow, in the annotation `operator-engine/status` of its ConfigMap.
//!
//! ```json
//! { "code": 40, "text": "Running algorithm ", "phase": "algorithm", "attempt": 0,
//!   "document": "9f86d081…", "holder": { "lease": "operator-engine-x", "identity": "x-1" }, "stopreq": 0,
//!   "times": { "configure": { "started": "2026-01-01T00:00:00Z", "ended": "2026-01-01T00:00:04Z" },
//!              "algorithm": { "started": "2026-01-01T00:00:04Z" } } }
//! ```
//!
//! It is written by compare-and-swap only, by the engine whose Lease it names, and always *before* the act it speaks of:
//! `phase` and `attempt` are the intent to run the pod `<job id>-<phase>-<attempt>`. So whoever reads it after a crash
//! knows every pod that can exist.
//!
//! A document may have several stages, each of which goes through all phases: a *round* here, since a stage here is one of the
//! four pods. From the second round on the record has its number as `stage`, and pods are called
//! `<job id>-<phase>-<stage>-<attempt>`; what is told beside it is of the round in hand, `earlier` has what is left of those
//! before it, and `ahead` those to come.

mod rounds;

pub use rounds::{Ahead, Earlier, MAX_EARLIER_IMAGE_ID_LEN};

use super::{Code, Phase, Resources, Stage, digest::Sha256, notice::Notices};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The label that the engine's lists select by.
pub const STATE_LABEL: &str = "operator-engine/state";
/// The annotation that holds the [`Record`].
pub const STATUS_ANNOTATION: &str = "operator-engine/status";
/// The most bytes a record may have as JSON.
pub const MAX_LEN: usize = 16 * 1024;
/// The most bytes of [`Record::message`].
pub const MAX_MESSAGE_LEN: usize = 1024;
/// The most bytes of [`Record::image_id`]: a name of 255 characters and a digest are far below.
pub const MAX_IMAGE_ID_LEN: usize = 512;
/// The most that a number of [`Usage`] may be: the largest integer that every reader of JSON knows exactly.
pub const MAX_USAGE: u64 = (1 << 53) - 1;

/// The value of the label `operator-engine/state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Registered by its submitter; nobody has claimed it.
    Pending,
    /// Claimed by the engine that its record names.
    Active,
    /// A person wants it to end.
    Stopping,
    /// At its end. Only expiry touches it now.
    Done,
}

impl State {
    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Stopping => "stopping",
            Self::Done => "done",
        }
    }

    /// The state that a label's value names.
    pub fn from_label(value: &str) -> Option<Self> {
        [Self::Pending, Self::Active, Self::Stopping, Self::Done].into_iter().find(|state| state.as_str() == value)
    }
}

/// How a workflow ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The algorithm exited with 0, the filter (if any) agreed, and the results are stored.
    Succeeded,
    /// Inputs, algorithm, platform or storage failed; `reason` says which.
    Failed,
    /// A person stopped it.
    Stopped,
    /// The algorithm's time was up.
    TimedOut,
    /// The filter, or a rule about what may leave, let nothing out.
    Withheld,
    /// The document was unusable; nothing ran.
    Refused,
}

impl Outcome {
    /// The outcome's name in the record.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::TimedOut => "timed-out",
            Self::Withheld => "withheld",
            Self::Refused => "refused",
        }
    }
}

/// Everything the engine has recorded of one workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The old engine's status code.
    pub code: Code,
    /// The code's text, so that a reader needs no table.
    pub text: String,
    /// The stage whose pod is intended or runs, or `done`.
    pub phase: Phase,
    /// The round: which of the document's stages is in hand, from 0.
    #[serde(default, rename = "stage", skip_serializing_if = "is_zero")]
    pub round: u32,
    /// The attempt of that stage, from 0; a new one after a failure of the platform.
    pub attempt: u32,
    /// The digest of the document's text when the workflow was claimed. A document edited later is not run.
    pub document: Sha256,
    /// Who drives this workflow.
    pub holder: Holder,
    /// As in the old engine: 0 nobody asked to stop, 1 a person did, 2 the time was up.
    #[serde(default)]
    pub stopreq: u8,
    /// Failures of the platform (not of the user) in this round.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: u32,
    /// The next attempt is not begun before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// How it ends. Known as soon as it is decided, which may be while logs are still being published; final when
    /// `phase` is `done`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The filter did not agree, or publish found that they may not leave: outputs and logs stay inside, whatever the outcome.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withheld: bool,
    /// One CamelCase word that says why, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What happened and what to do, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The algorithm's exit status, if it ran to an exit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The algorithm's image as the node ran it, in the node's own words: `python@sha256:…`, or `sha256:…` alone for one that no
    /// registry gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// What the algorithm used, as its wrapper reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What the algorithm is given, of several rounds the most that any needs; absent in records from before it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// When each stage began and ended.
    #[serde(default)]
    pub times: BTreeMap<Stage, Times>,
    /// How long the document wants its results kept, in seconds, as it was claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_expiry_secs: Option<u64>,
    /// What was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<Results>,
    /// The rounds before this one, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Earlier>,
    /// The rounds after this one, in order, as they were claimed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ahead: Vec<Ahead>,
    /// Who was told, and who still is to be.
    #[serde(default, skip_serializing_if = "Notices::is_empty")]
    pub notices: Notices,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// The engine process that drives a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Holder {
    /// The Lease that says whether it is alive.
    pub lease: String,
    /// The process, as the Lease's `holderIdentity` names it. A restarted process has another.
    pub identity: String,
}

/// When a stage began and ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// The intent of its first attempt was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// Its end was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

/// What the algorithm used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Wall-clock time, in milliseconds.
    pub wall_ms: u64,
    /// CPU time, in milliseconds.
    pub cpu_ms: u64,
    /// Peak memory, in bytes.
    pub peak_memory_bytes: u64,
}

/// Where the results are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Results {
    /// The store, without credentials.
    pub store: String,
    /// What all keys of this workflow begin with.
    pub prefix: String,
    /// The key of `manifest.json`: readers follow only that.
    pub manifest: String,
    /// The digest of `manifest.json`.
    pub manifest_sha256: Sha256,
    /// The content id of all of it, in a store that has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// Where the admin's logs are, if they are kept apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adminlogs: Option<Place>,
    /// Files stored.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When they may be deleted; never, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When they were deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
}

/// One of the places where something of a workflow is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Place {
    /// See [`Results::store`].
    pub store: String,
    /// See [`Results::prefix`].
    pub prefix: String,
    /// See [`Results::manifest`].
    pub manifest: String,
    /// See [`Results::manifest_sha256`].
    pub manifest_sha256: Sha256,
    /// See [`Results::root`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
}

impl Record {
    /// Sets the code and its text, unless an earlier code sticks (31 and 32 stay to the end).
    pub fn set_code(&mut self, code: Code) {
        if !self.code.sticks() {
            self.code = code;
            self.text = code.text().to_owned();
        }
    }

    /// Reads the annotation's value. Bounded by [`MAX_LEN`]; `Err` says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LEN {
            return Err(format!("the record has {} bytes, at most {MAX_LEN} are read", text.len()));
        }
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// The annotation's value.
    pub fn render(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
