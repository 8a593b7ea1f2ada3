//! The four stages of a workflow and the phase it is in.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One of the four pods of a workflow, in the order in which they run. Its name is the pod's `component` label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Fetches the data sets and the algorithm.
    Configure,
    /// Runs the author's image over them.
    Algorithm,
    /// May veto what came out.
    Filter,
    /// Stores outputs and logs.
    Publish,
}

impl Stage {
    /// All stages, in order.
    pub const ALL: [Self; 4] = [Self::Configure, Self::Algorithm, Self::Filter, Self::Publish];

    /// The stage's name: the `component` label and the middle of the pod's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configure => "configure",
            Self::Algorithm => "algorithm",
            Self::Filter => "filter",
            Self::Publish => "publish",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where a claimed workflow is: in one of its stages, or at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// See [`Stage::Configure`].
    Configure,
    /// See [`Stage::Algorithm`].
    Algorithm,
    /// See [`Stage::Filter`].
    Filter,
    /// See [`Stage::Publish`].
    Publish,
    /// Terminal: no pod is made for this workflow any more.
    Done,
}

impl Phase {
    /// The stage that runs in this phase; none at the end.
    pub fn stage(self) -> Option<Stage> {
        match self {
            Self::Configure => Some(Stage::Configure),
            Self::Algorithm => Some(Stage::Algorithm),
            Self::Filter => Some(Stage::Filter),
            Self::Publish => Some(Stage::Publish),
            Self::Done => None,
        }
    }

    /// The phase's name.
    pub fn as_str(self) -> &'static str {
        self.stage().map_or("done", Stage::as_str)
    }
}

impl From<Stage> for Phase {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Configure => Self::Configure,
            Stage::Algorithm => Self::Algorithm,
            Stage::Filter => Self::Filter,
            Stage::Publish => Self::Publish,
        }
    }
}
