//! What a cluster shows: objects as evidence, without the parts that nothing here decides by.

use super::{cohort::Cohort, end::End};
use crate::workflow::{JobId, Order, Stage, State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// An object's UID: two objects of one name are told apart by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Uid(pub String);

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A workflow as the owner of pods and a volume. Its name alone may be another one's by tomorrow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The workflow's name.
    pub job: JobId,
    /// Its UID.
    pub uid: Uid,
}

/// A resourceVersion. Of one resource they are comparable integers (KEP-5504, stable in Kubernetes 1.35, true before).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// A list's answer: evidence about its own scope at one version, and about nothing else.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    /// The objects in scope.
    pub items: Vec<T>,
    /// The version at which they were all there were.
    pub version: Version,
}

/// A workflow's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowSeen {
    /// What it is called ([`super::kind`]). Not necessarily after a job id: people label what they like.
    pub name: String,
    /// Its UID.
    pub uid: Uid,
    /// The version to compare and swap by.
    pub version: Version,
    /// When it was registered, by the server's clock. Admission goes by it.
    pub created: Timestamp,
    /// Its state label, if that is one of ours.
    pub state: Option<State>,
    /// Its status annotation, as it stands.
    pub status: Option<String>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// What it says of its place in the queue.
    pub order: Order,
}

/// A pod of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodSeen {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: Uid,
    /// The version it was seen at.
    pub version: Version,
    /// What its workflow is called, by its label and the kind of its owner.
    pub workflow: String,
    /// The UID of its owner.
    pub owner: Option<Uid>,
    /// Its cohort, by its label.
    pub cohort: Option<Cohort>,
    /// Whether it is being deleted. Where its node is lost this stays so for as long as the node does.
    pub deleting: bool,
    /// How far it is.
    pub progress: Progress,
}

impl PodSeen {
    /// Whether it is a pod of this very workflow.
    pub fn belongs_to(&self, owner: &Owner) -> bool {
        self.owner.as_ref() == Some(&owner.uid)
    }
}

/// What became of a pod that is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// It was asked to. Its object stays, and says in time how it ended.
    Asked,
    /// No node had taken it, so it was deleted instead: it has certainly never run.
    Deleted,
}

/// How far a pod is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// No container of it runs yet.
    Waiting(Waiting),
    /// It runs.
    Running,
    /// It ended and will not run again.
    Ended(End),
}

/// What a pod waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The kind of obstacle: each has its own deadline.
    pub cause: WaitingCause,
    /// What the cluster says about it.
    pub message: String,
}

/// The obstacles that keep a pod from running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitingCause {
    /// Nothing particular: it is being set up.
    Starting,
    /// No node takes it.
    Unschedulable,
    /// Its image cannot be pulled.
    Image,
    /// Its volume is not bound or not mounted.
    Volume,
    /// It would exceed a quota, so it cannot even be created.
    Quota,
}

/// A workflow's volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeSeen {
    /// What its workflow is called, by its label and the kind of its owner.
    pub workflow: String,
    /// Its UID.
    pub uid: Uid,
    /// The version it was seen at.
    pub version: Version,
    /// The UID of its owner.
    pub owner: Option<Uid>,
}

/// A Lease of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseSeen {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: Uid,
    /// Changes with every renewal: that is how others see that its holder lives.
    pub version: Version,
    /// `holderIdentity`; empty once released.
    pub holder: String,
    /// `leaseDurationSeconds`.
    pub duration: Duration,
}

/// The pod of an attempt. Read from behind it is no other's: a number, perhaps the round's, then a stage.
pub fn pod_name(job: &JobId, round: u32, stage: Stage, attempt: u32) -> String {
    match round {
        0 => format!("{job}-{stage}-{attempt}"),
        round => format!("{job}-{stage}-{round}-{attempt}"),
    }
}

/// The attempt, if `name` is that of a pod of this round and stage.
pub fn attempt_of(name: &str, job: &JobId, round: u32, stage: Stage) -> Option<u32> {
    let attempt = name.rsplit('-').next()?.parse().ok()?;
    (pod_name(job, round, stage, attempt) == name).then_some(attempt)
}

/// Whether `name` is that of a pod of this stage in the first round, whatever its attempt.
pub fn is_pod_of(name: &str, job: &JobId, stage: Stage) -> bool {
    attempt_of(name, job, 0, stage).is_some()
}

/// The name of a workflow's volume.
pub fn volume_name(job: &JobId) -> String {
    format!("{job}-data")
}
