//! What an executor may be told to do. Every write is idempotent or guarded by a version, a UID or a unique name.

use super::{
    kind::Kind,
    pod::PodSpec,
    seen::{LeaseSeen, Owner, Uid, Version},
    view::Ending,
};
use crate::workflow::{JobId, Record, Stage, State};

/// One act, complete: the executor adds nothing to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// What it is about. Of one target, one action at a time.
    pub target: Target,
    /// What to do.
    pub intent: Intent,
}

/// What an action is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// This engine's own Lease.
    OwnLease,
    /// One workflow, by name.
    Workflow(String),
    /// Pods of finished workflows.
    Pods,
    /// Volumes of finished workflows.
    Volumes,
    /// Leases of dead engines.
    DeadLeases,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Intent {
    /// Create this engine's Lease.
    TakeLease {
        /// If it exists, whether to take it from the process that had it before; else it is only looked at.
        from_predecessor: bool,
    },
    /// Renew it by compare-and-swap.
    RenewLease(LeaseSeen),
    /// Look at one workflow, consistently.
    ReadWorkflow,
    /// Look at one workflow with its document, consistently.
    ReadDocument,
    /// Look whether a workflow of the other kind has the same name, consistently.
    FindNamesake,
    /// Compare and swap a workflow's state and record.
    Write(Box<Write>),
    /// Create the volume, or find that it is there.
    CreateVolume {
        /// The workflow.
        job: JobId,
        /// Its UID: the volume's owner.
        owner: Uid,
        /// What the workflow is.
        kind: Kind,
    },
    /// Create the pod, or find that it is there.
    CreatePod(Box<PodSpec>),
    /// Look at one pod, consistently: only this shows that it is gone.
    ReadPod {
        /// Its name.
        name: String,
    },
    /// Ask a pod to end. Its object stays, unless it never started.
    EndPod {
        /// Its name.
        name: String,
        /// Its UID: another pod of that name is left alone.
        uid: Uid,
        /// Why, for what is recorded once it has ended.
        why: Ending,
    },
    /// Delete pods of these workflows.
    DeletePods {
        /// Those of one stage in the first round, which is over and recorded; all, of workflows at their end.
        stage: Option<Stage>,
        /// The workflows. Never empty.
        owners: Vec<Owner>,
    },
    /// Delete the volumes of these workflows. Never empty.
    DeleteVolumes(Vec<Owner>),
    /// Delete a dead engine's Lease, if it is still as it was seen.
    DeleteLease(LeaseSeen),
}

/// A compare-and-swap of a workflow's state and record.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    /// What it does to the workflow, for logs and metrics.
    pub step: WriteStep,
    /// It must still be this object,
    pub uid: Uid,
    /// at this version.
    pub version: Version,
    /// The new state.
    pub state: State,
    /// The new record.
    pub record: Record,
}

/// What a write does to the workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WriteStep {
    /// A pending workflow becomes ours.
    Claim,
    /// A dead engine's workflow becomes ours.
    Takeover,
    /// A stage ended; the next is intended.
    Transition,
    /// A stage is tried again after a failure of the platform.
    Retry,
    /// The end.
    Finish,
    /// Its results were deleted, their time being up.
    Expire,
    /// What became of a notification; nothing else changes.
    Notify,
}

impl Intent {
    /// The act's name, for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::TakeLease { .. } => "take-lease",
            Self::RenewLease(_) => "renew-lease",
            Self::ReadWorkflow => "read-workflow",
            Self::ReadDocument => "read-document",
            Self::FindNamesake => "find-namesake",
            Self::Write(write) => match write.step {
                WriteStep::Claim => "claim",
                WriteStep::Takeover => "takeover",
                WriteStep::Transition => "transition",
                WriteStep::Retry => "retry",
                WriteStep::Finish => "finish",
                WriteStep::Expire => "expire",
                WriteStep::Notify => "notify",
            },
            Self::CreateVolume { .. } => "create-volume",
            Self::CreatePod(_) => "create-pod",
            Self::ReadPod { .. } => "read-pod",
            Self::EndPod { .. } => "end-pod",
            Self::DeletePods { .. } => "delete-pods",
            Self::DeleteVolumes(_) => "delete-volumes",
            Self::DeleteLease(_) => "delete-lease",
        }
    }
}
