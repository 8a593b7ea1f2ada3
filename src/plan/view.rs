//! What is known of the cluster: built from partial evidence, never assumed complete.

pub use super::track::{Ending, PodTrack, Refused};
use super::{
    Now, Policy,
    look::{Look, Looks},
    namesake::NameTrack,
    seen::{LeaseSeen, Uid, Version, WorkflowSeen, pod_name},
    standing::Standing,
};
use crate::workflow::{Document, JobId, Record, State, document::Fault, record::Holder};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Everything this engine knows.
#[derive(Debug, Clone)]
pub struct View {
    /// This process.
    pub me: Holder,
    /// Its Lease.
    pub own_lease: OwnLease,
    /// Whether an action on the own Lease is under way.
    pub own_lease_busy: bool,
    /// Whether this process has ever held it.
    pub own_lease_had: bool,
    /// A request about it failed: the next is not sent before this, monotonic.
    pub own_lease_after: Duration,
    /// Workflows that need something, by name.
    pub workflows: BTreeMap<String, Tracked>,
    /// Other engines' Leases, by name.
    pub leases: BTreeMap<String, LeaseTrack>,
    /// What was asked, when.
    pub looks: Looks,
    /// Batched deletions under way.
    pub cleaning: Cleaning,
    /// Whether anything was learned that a plan could depend on. Who plans takes it back.
    pub news: bool,
}

/// This engine's Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnLease {
    /// Not created yet, or deleted by somebody.
    Absent,
    /// Held.
    Held {
        /// As last answered.
        seen: LeaseSeen,
        /// When the last successful renewal was *sent*: monotonic.
        since: Duration,
    },
    /// Another process took it: it is our successor, and this process must end.
    Taken {
        /// The successor's identity.
        by: String,
    },
}

/// Another engine's Lease as watched by our own clock: wall clocks are not compared.
#[derive(Debug, Clone)]
pub struct LeaseTrack {
    /// As last listed; none when it was absent.
    pub seen: Option<LeaseSeen>,
    /// When we first saw it in this version: monotonic.
    pub since: Duration,
}

/// Batched deletions under way.
#[derive(Debug, Clone, Default)]
pub struct Cleaning {
    /// Of pods.
    pub pods: bool,
    /// Of volumes.
    pub volumes: bool,
    /// Of a dead engine's Lease.
    pub leases: bool,
}

/// A workflow in view.
#[derive(Debug, Clone)]
pub struct Tracked {
    /// Its metadata, newest version seen. None: only a pod or a volume with its name was seen.
    pub seen: Option<WorkflowSeen>,
    /// Its record, read from there.
    pub record: RecordSeen,
    /// Its document, if it was fetched.
    pub document: Option<DocumentSeen>,
    /// Its pods, by name. Boxed: most have one, and a map has room for eleven.
    pub pods: BTreeMap<String, Box<PodTrack>>,
    /// Whether its volume is there.
    pub volume: VolumeTrack,
    /// Whether its name is another one's.
    pub name: NameTrack,
    /// An action about it is under way: the action's name.
    pub busy: Option<&'static str>,
    /// What we know may be outdated: look before acting.
    pub stale: bool,
    /// Requests about it that failed in a row.
    pub trouble: Option<Trouble>,
    /// It made the engine fail, at this version.
    pub quarantine: Option<Quarantine>,
    /// When it was first seen at its end: monotonic.
    pub done_since: Option<Duration>,
}

/// A document, or all that is wrong with it.
pub type DocumentSeen = Result<Arc<Document>, Vec<Fault>>;

/// A record as far as it could be read.
#[derive(Debug, Clone, PartialEq)]
pub enum RecordSeen {
    /// There is none: never claimed.
    None,
    /// There is something else in its place.
    Unreadable(String),
    /// It is this.
    Some(Box<Record>),
}

/// Whether the volume is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VolumeTrack {
    /// Not known.
    Unknown,
    /// There.
    Present,
    /// Belongs to an earlier workflow of the same name.
    Foreign,
    /// Deleted by us.
    Deleted,
}

/// Requests that failed in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// How many.
    pub failures: u32,
    /// Nothing is tried before: monotonic.
    pub until: Duration,
    /// The last error.
    pub error: String,
}

/// A workflow that made the engine fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    /// How.
    pub panic: String,
    /// The version it had: another one gets another chance.
    pub version: Version,
}

impl View {
    /// The view of a process that has seen nothing.
    pub fn new(me: Holder) -> Self {
        Self {
            me,
            own_lease: OwnLease::Absent,
            own_lease_busy: false,
            own_lease_had: false,
            own_lease_after: Duration::ZERO,
            workflows: BTreeMap::new(),
            leases: BTreeMap::new(),
            looks: Looks::default(),
            cleaning: Cleaning::default(),
            news: true,
        }
    }

    /// Whether a write sent now would be answered, or given up, before anybody may think that this engine is dead. A
    /// lease is no fence (versions are), but this keeps the case rare.
    pub fn may_write(&self, policy: &Policy, now: Now) -> bool {
        match &self.own_lease {
            OwnLease::Held { since, .. } => now.mono + policy.request_timeout < *since + policy.lease.duration,
            OwnLease::Absent | OwnLease::Taken { .. } => false,
        }
    }

    /// Whether `record` names this process.
    pub fn is_mine(&self, record: &Record) -> bool {
        record.holder == self.me
    }

    /// Whether [`View::running`] counts what other engines have claimed: they do not tell, and a list of what is pending does
    /// not show it any more. So where there are others, the active ones must have been listed no earlier than the pending.
    pub fn counted(&self) -> bool {
        let alone = self.leases.values().all(|track| track.seen.as_ref().is_none_or(|lease| lease.holder.is_empty()));
        let listed = |look| self.looks.listed.get(&look).copied().unwrap_or_default();
        let secrets = |look| self.looks.secrets_listed.get(&look).copied().unwrap_or_default();
        let (all, new) = (Look::AuditWorkflows, Look::Attention);
        alone || (listed(all) >= listed(new) && secrets(all) >= secrets(new))
    }

    /// How many workflows are claimed and not at their end, whoever holds them. One that is being deleted counts while a
    /// pod of it does.
    pub fn running(&self) -> usize {
        let may_run = |tracked: &&Tracked| {
            !tracked.is_deleting() || tracked.pods.values().any(|pod| pod.seen.is_some() && !pod.is_over())
        };
        let running = self.workflows.values().filter(|tracked| matches!(tracked.standing(), Standing::Running(_)));
        running.filter(may_run).count()
    }
}

impl Tracked {
    /// A workflow of which nothing is known but that something bears its name.
    pub fn unknown() -> Self {
        Self {
            seen: None,
            record: RecordSeen::None,
            document: None,
            pods: BTreeMap::new(),
            volume: VolumeTrack::Unknown,
            name: NameTrack::Unknown,
            busy: None,
            stale: true,
            trouble: None,
            quarantine: None,
            done_since: None,
        }
    }

    /// Whether its label says so.
    pub fn is_labelled(&self, state: State) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.state == Some(state))
    }

    /// Whether it is being deleted. It is there until what it owns is gone, or until whoever holds on to it lets go.
    pub fn is_deleting(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.deleting)
    }

    /// Whether a person asked for its end.
    pub fn stop_requested(&self) -> bool {
        self.is_labelled(State::Stopping) || matches!(&self.record, RecordSeen::Some(record) if record.stopreq == 1)
    }

    /// The stage of its document that `record` is in, if it was read.
    pub fn document_of(&self, record: &Record) -> Option<&Document> {
        self.document.as_ref()?.as_ref().ok()?.stage(record.round)
    }

    /// The pod that `record` intends, if anything is known of it.
    pub fn intended_pod(&self, job: &JobId, record: &Record) -> Option<&PodTrack> {
        let name = pod_name(job, record.round, record.phase.stage()?, record.attempt);
        self.pods.get(&name).map(|pod| &**pod)
    }

    /// Its UID, once seen.
    pub fn uid(&self) -> Option<&Uid> {
        self.seen.as_ref().map(|seen| &seen.uid)
    }
}
