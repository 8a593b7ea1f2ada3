//! The objects and their rules. Every change happens under one lock, takes a new version and goes into the history.

use super::{
    history::{Event, History},
    kubelet::StopHandle,
};
use crate::{
    cluster::archive::Turn,
    plan::{
        Failure,
        action::Write,
        cohort::Cohorts,
        kind::{self, Kind},
        look::Look,
        pod::PodSpec,
        seen::{
            LeaseSeen, Leaving, Listed, Owner, PodSeen, Progress, Uid, Version, VolumeSeen, Waiting, WaitingCause,
            WorkflowSeen, is_pod_of, volume_name,
        },
    },
    workflow::{JobId, Order, Record, Stage, State, record},
};
use jiff::Timestamp;
use std::{collections::BTreeMap, time::Duration};

#[derive(Default)]
pub(super) struct Store {
    version: u64,
    uids: u64,
    pub(super) workflows: BTreeMap<String, Workflow>,
    pub(super) pods: BTreeMap<String, Pod>,
    pub(super) volumes: BTreeMap<String, VolumeSeen>,
    pub(super) leases: BTreeMap<String, LeaseSeen>,
    pub(super) turn: Option<Turn>,
    /// Whether Secrets are workflows.
    pub(super) secrets: bool,
    pub(super) history: History,
}

pub(super) struct Workflow {
    pub(super) seen: WorkflowSeen,
    pub(super) data: BTreeMap<String, Vec<u8>>,
}

pub(super) struct Pod {
    pub(super) seen: PodSeen,
    pub(super) stop: StopHandle,
}

/// The label of what is owed is a function of the record.
fn owes(seen: &WorkflowSeen) -> bool {
    seen.status.as_deref().and_then(|status| Record::parse(status).ok()).is_some_and(|record| record.notices.owed())
}

impl Store {
    pub(super) fn next_version(&mut self) -> Version {
        self.version += 1;
        Version(self.version)
    }

    pub(super) fn next_uid(&mut self) -> Uid {
        self.uids += 1;
        Uid(format!("uid-{}", self.uids))
    }

    pub(super) fn version(&self) -> Version {
        Version(self.version)
    }

    pub(super) fn submit(&mut self, name: &str, data: BTreeMap<String, Vec<u8>>, now: Timestamp) -> bool {
        if self.workflows.contains_key(name) {
            return false;
        }
        let seen = WorkflowSeen {
            name: name.to_owned(),
            uid: self.next_uid(),
            version: self.next_version(),
            created: now,
            state: Some(State::Pending),
            status: None,
            deleting: false,
            order: Order::default(),
        };
        self.workflows.insert(name.to_owned(), Workflow { seen, data });
        true
    }

    pub(super) fn change(&mut self, name: &str, change: impl FnOnce(&mut Workflow)) -> Option<()> {
        let version = self.next_version();
        let workflow = self.workflows.get_mut(name)?;
        change(workflow);
        workflow.seen.version = version;
        Some(())
    }

    pub(super) fn write(&mut self, name: &str, write: &Write, at: Duration) -> Result<WorkflowSeen, Failure> {
        let status = write.record.render();
        if status.len() > record::MAX_LEN {
            let message = format!("the record has {} bytes", status.len());
            return Err(Failure::Refused { reason: "TooLarge".to_owned(), message });
        }
        let workflow = self.workflows.get(name).ok_or(Failure::NotFound)?;
        if workflow.seen.uid != write.uid || workflow.seen.version != write.version {
            return Err(Failure::Conflict);
        }
        let version = self.next_version();
        let workflow = self.workflows.get_mut(name).ok_or(Failure::NotFound)?;
        workflow.seen.state = Some(write.state);
        workflow.seen.status = Some(status);
        workflow.seen.version = version;
        let seen = workflow.seen.clone();
        self.history.add(at, Event::Recorded { workflow: seen.uid.clone(), record: Box::new(write.record.clone()) });
        Ok(seen)
    }

    pub(super) fn delete_workflow(&mut self, name: &str, at: Duration) -> bool {
        let Some(workflow) = self.workflows.remove(name) else { return false };
        self.next_version();
        let owner = Some(workflow.seen.uid.clone());
        let owned: Vec<String> =
            self.pods.values().filter(|pod| pod.seen.owner == owner).map(|pod| pod.seen.name.clone()).collect();
        for pod in owned {
            self.delete_pod(&pod, at);
        }
        self.volumes.retain(|_, volume| volume.owner != owner);
        self.history.add(at, Event::WorkflowDeleted { workflow: workflow.seen.uid });
        true
    }

    pub(super) fn list_workflows(&self, kind: Kind, look: Look) -> Listed<WorkflowSeen> {
        let states: &[State] = match look {
            Look::Attention => &[State::Pending, State::Stopping],
            Look::Stopping => &[State::Stopping],
            _ => &[State::Active],
        };
        let in_scope = |seen: &&WorkflowSeen| match look {
            _ if Kind::of(&seen.name) != kind => false,
            Look::Owed => owes(seen),
            _ => seen.state.is_some_and(|state| states.contains(&state)),
        };
        let items = self.workflows.values().map(|workflow| &workflow.seen).filter(in_scope).cloned().collect();
        Listed { items, version: self.version() }
    }

    pub(super) fn list_pods(&self, look: Look, cohorts: &Cohorts) -> Listed<PodSeen> {
        let of_look = |pod: &PodSeen| look == Look::AuditPods || matches!(pod.progress, Progress::Ended(_));
        let in_scope = |pod: &&PodSeen| of_look(pod) && cohorts.hold(pod.cohort);
        let items = self.pods.values().map(|pod| &pod.seen).filter(in_scope).cloned().collect();
        Listed { items, version: self.version() }
    }

    /// The pod, and whether it was made just now.
    pub(super) fn create_pod(&mut self, spec: &PodSpec, stop: StopHandle, at: Duration) -> (PodSeen, bool) {
        let name = spec.name();
        if let Some(pod) = self.pods.get(&name) {
            return (pod.seen.clone(), false);
        }
        let seen = PodSeen {
            name: name.clone(),
            uid: self.next_uid(),
            version: self.next_version(),
            workflow: spec.workflow(),
            owner: Some(spec.owner.clone()),
            cohort: Some(spec.cohort),
            deleting: false,
            progress: Progress::Waiting(Waiting { cause: WaitingCause::Starting, message: String::new() }),
        };
        let PodSpec { round, stage, attempt, .. } = *spec;
        let (workflow, pod) = (spec.owner.clone(), seen.uid.clone());
        let made = Event::PodCreated { workflow, pod, round, stage, attempt };
        self.history.add(at, made);
        self.pods.insert(name.clone(), Pod { seen: seen.clone(), stop });
        if !self.has_owner(&spec.owner) {
            // The request was under way when its workflow was deleted. It is carried out, and the garbage is collected.
            self.delete_pod(&name, at);
        }
        (seen, true)
    }

    /// Moves a pod on, if it is still the same one and has not ended.
    pub(super) fn progress(&mut self, name: &str, uid: &Uid, progress: Progress, at: Duration) {
        let version = self.next_version();
        let Some(pod) = self.pods.get_mut(name).filter(|pod| pod.seen.uid == *uid) else { return };
        if matches!(pod.seen.progress, Progress::Ended(_)) {
            return;
        }
        if let Progress::Ended(end) = &progress {
            self.history.add(at, Event::PodEnded { pod: uid.clone(), exit_code: end.exit_code });
        }
        pod.seen.progress = progress;
        pod.seen.version = version;
    }

    pub(super) fn end_pod(&mut self, name: &str, uid: &Uid, at: Duration) -> Result<Leaving, Failure> {
        let pod = self.pods.get(name).filter(|pod| pod.seen.uid == *uid).ok_or(Failure::NotFound)?;
        match &pod.seen.progress {
            Progress::Ended(_) => {}
            // Not on a node yet: nothing would ever end it, so it goes.
            Progress::Waiting(waiting) if waiting.cause == WaitingCause::Unschedulable => {
                self.delete_pod(name, at);
                return Ok(Leaving::Deleted);
            }
            // Only the kubelet knows when nothing of it runs any more, even of one that seems to wait.
            Progress::Waiting(_) | Progress::Running => pod.stop.end(),
        }
        Ok(Leaving::Asked)
    }

    pub(super) fn delete_pod(&mut self, name: &str, at: Duration) -> bool {
        let Some(pod) = self.pods.remove(name) else { return false };
        self.next_version();
        pod.stop.kill();
        self.history.add(at, Event::PodDeleted { pod: pod.seen.uid });
        true
    }

    pub(super) fn lose_pod(&mut self, name: &str) -> Option<Uid> {
        let version = self.next_version();
        let pod = self.pods.get_mut(name)?;
        (pod.seen.deleting, pod.seen.version) = (true, version);
        Some(pod.seen.uid.clone())
    }

    pub(super) fn delete_pods(&mut self, stage: Option<Stage>, owners: &[Owner], at: Duration) {
        let of_stage = |name: &str, job: &JobId| stage.is_none_or(|stage| is_pod_of(name, job, stage));
        let of = |pod: &Pod, owner: &Owner| pod.seen.belongs_to(owner) && of_stage(&pod.seen.name, &owner.job);
        let is_theirs = |pod: &&Pod| owners.iter().any(|owner| of(pod, owner));
        let names: Vec<String> = self.pods.values().filter(is_theirs).map(|pod| pod.seen.name.clone()).collect();
        for name in names {
            self.delete_pod(&name, at);
        }
    }

    pub(super) fn create_volume(&mut self, job: &JobId, owner: &Uid, kind: Kind) -> (VolumeSeen, bool) {
        let name = volume_name(job);
        if let Some(volume) = self.volumes.get(&name) {
            return (volume.clone(), false);
        }
        let (uid, version) = (self.next_uid(), self.next_version());
        let volume = VolumeSeen { workflow: kind.call(job.as_str()), uid, version, owner: Some(owner.clone()) };
        self.volumes.insert(name.clone(), volume.clone());
        if !self.has_owner(owner) {
            self.volumes.remove(&name);
            self.next_version();
        }
        (volume, true)
    }

    fn has_owner(&self, owner: &Uid) -> bool {
        self.workflows.values().any(|workflow| workflow.seen.uid == *owner)
    }

    /// The workflows whose volumes were there, and are not now.
    pub(super) fn delete_volumes(&mut self, owners: &[Owner]) -> Vec<JobId> {
        let is_theirs = |volume: &&VolumeSeen| owners.iter().any(|owner| volume.owner.as_ref() == Some(&owner.uid));
        let deleted = self.volumes.values().filter(is_theirs).filter_map(|volume| kind::job(&volume.workflow).ok());
        let deleted: Vec<JobId> = deleted.collect();
        for job in &deleted {
            self.volumes.remove(&volume_name(job));
            self.next_version();
        }
        deleted
    }

    pub(super) fn create_lease(&mut self, name: &str, holder: &str, duration: Duration) -> LeaseSeen {
        if let Some(lease) = self.leases.get(name) {
            return lease.clone();
        }
        let (uid, version) = (self.next_uid(), self.next_version());
        let lease = LeaseSeen { name: name.to_owned(), uid, version, holder: holder.to_owned(), duration };
        self.leases.insert(name.to_owned(), lease.clone());
        lease
    }

    fn same_lease(&self, lease: &LeaseSeen) -> Result<(), Failure> {
        let current = self.leases.get(&lease.name).ok_or(Failure::NotFound)?;
        if current.uid != lease.uid || current.version != lease.version { Err(Failure::Conflict) } else { Ok(()) }
    }

    pub(super) fn renew_lease(&mut self, lease: &LeaseSeen, holder: &str) -> Result<LeaseSeen, Failure> {
        self.same_lease(lease)?;
        let renewed = LeaseSeen { version: self.next_version(), holder: holder.to_owned(), ..lease.clone() };
        self.leases.insert(lease.name.clone(), renewed.clone());
        Ok(renewed)
    }

    pub(super) fn delete_lease(&mut self, lease: &LeaseSeen) -> Result<(), Failure> {
        self.same_lease(lease)?;
        self.leases.remove(&lease.name);
        self.next_version();
        Ok(())
    }

    pub(super) fn running(&self) -> usize {
        self.pods.values().filter(|pod| matches!(pod.seen.progress, Progress::Running)).count()
    }
}
