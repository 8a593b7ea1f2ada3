//! What is to be said of a workflow: logs, metrics and pages are views of it.

use super::seen::WaitingCause;
use crate::workflow::{Outcome, Stage};
use std::fmt;

/// What the plan says of one workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Something is being done about it: the action's name.
    Acting(&'static str),
    /// Nothing can be done now.
    Waiting(WaitingOn),
    /// It is at its end.
    Finished(Outcome),
    /// It is nothing to us: no label of ours, being deleted, or already gone.
    Ignored,
    /// It made the engine fail; it is left alone until it changes. The text says how it failed.
    Quarantined(String),
}

/// Why nothing happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitingOn {
    /// Too many workflows are active; this many are before it.
    Slot {
        /// How many pending workflows come first.
        ahead: usize,
    },
    /// Another engine drives it.
    OtherEngine {
        /// That engine's Lease.
        lease: String,
    },
    /// This engine's own Lease is not safely held.
    OwnLease,
    /// The first audit is not complete.
    FirstAudit,
    /// Its pod has not started.
    PodStart {
        /// The stage.
        stage: Stage,
        /// The obstacle.
        cause: WaitingCause,
    },
    /// Its pod runs.
    PodEnd {
        /// The stage.
        stage: Stage,
    },
    /// Its pod was asked to end.
    PodStop {
        /// The stage.
        stage: Stage,
    },
    /// The platform failed; the next attempt is not due yet.
    Retry {
        /// The stage.
        stage: Stage,
        /// The attempt that will be made.
        attempt: u32,
    },
    /// A request about it failed; it is tried again later.
    Trouble {
        /// What failed.
        error: String,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acting(action) => write!(f, "acting: {action}"),
            Self::Waiting(on) => write!(f, "waiting {on}"),
            Self::Finished(outcome) => write!(f, "finished: {}", outcome.as_str()),
            Self::Ignored => f.write_str("ignored"),
            Self::Quarantined(why) => write!(f, "quarantined: {why}"),
        }
    }
}

impl fmt::Display for WaitingOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slot { ahead } => write!(f, "for a slot, {ahead} ahead"),
            Self::OtherEngine { lease } => write!(f, "for the engine {lease}"),
            Self::OwnLease => f.write_str("for this engine's lease"),
            Self::FirstAudit => f.write_str("for the first audit"),
            Self::PodStart { stage, cause } => write!(f, "for the {stage} pod to start ({cause})"),
            Self::PodEnd { stage } => write!(f, "for the {stage} pod to end"),
            Self::PodStop { stage } => write!(f, "for the {stage} pod to stop"),
            Self::Retry { stage, attempt } => write!(f, "before attempt {attempt} of {stage}"),
            Self::Trouble { error } => write!(f, "after an error: {error}"),
        }
    }
}

impl fmt::Display for WaitingCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Unschedulable => "no node takes it",
            Self::Image => "its image is not there",
            Self::Volume => "its volume is not there",
            Self::Quota => "a quota is used up",
        })
    }
}
