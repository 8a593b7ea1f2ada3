//! What came of an action, added to the view. Beside [`merge`](mod@super::merge): that is evidence nobody asked for.

use super::{
    Action, Failure, Intent, Now, Policy, Target,
    action::{Write, WriteStep},
    kind, namesake,
    seen::{LeaseSeen, Leaving, PodSeen, VolumeSeen, WaitingCause, WorkflowSeen, pod_name},
    trouble::{MAX, obstacle, trouble},
    view::{DocumentSeen, OwnLease, PodTrack, Quarantine, RecordSeen, Refused, Tracked, View, VolumeTrack},
};
use std::time::Duration;

/// What a successful action brought.
#[derive(Debug, Clone)]
pub enum Answer {
    /// This engine's Lease as it is now.
    Lease(LeaseSeen),
    /// A workflow as it is now; none: it does not exist.
    Workflow(Option<WorkflowSeen>),
    /// A workflow and its document; none: it does not exist.
    Document(Option<(WorkflowSeen, DocumentSeen)>),
    /// The workflow of the other kind that has the same name, if there is one.
    Namesake(Option<WorkflowSeen>),
    /// The volume, just made or found.
    Volume(VolumeSeen),
    /// The pod, just made or found.
    Pod(PodSeen),
    /// What a consistent read of a pod found.
    PodRead(Option<PodSeen>),
    /// What became of a pod that was to end.
    Leaving(Leaving),
    /// It was done.
    Done,
}

impl View {
    /// Notes that an action is under way.
    pub fn action_begun(&mut self, action: &Action) {
        match &action.target {
            Target::OwnLease => self.own_lease_busy = true,
            Target::Pods => self.cleaning.pods = true,
            Target::Volumes => self.cleaning.volumes = true,
            Target::DeadLeases => self.cleaning.leases = true,
            Target::Workflow(name) => {
                if let Some(tracked) = self.workflows.get_mut(name) {
                    tracked.busy = Some(action.intent.name());
                }
            }
        }
    }

    /// Adds what came of an action that was begun at `begun`.
    pub fn action_ended(
        &mut self,
        action: &Action,
        result: Result<Answer, Failure>,
        begun: Duration,
        policy: &Policy,
        now: Now,
    ) {
        self.news = true;
        self.not_busy(action);
        match (&action.target, result) {
            (Target::Workflow(name), Ok(answer)) => self.workflow_answered(name, &action.intent, answer, now),
            (Target::Workflow(name), Err(failure)) => self.workflow_failed(name, &action.intent, failure, policy, now),
            (Target::OwnLease, Ok(Answer::Lease(seen))) => {
                self.own_lease = if seen.holder == self.me.identity {
                    // Found again, it may have been renewed long ago: it counts from its next renewal, which is due at once.
                    let found = matches!(action.intent, Intent::TakeLease { .. }) && self.own_lease_had;
                    let since = if found { begun.saturating_sub(policy.lease.duration) } else { begun };
                    self.own_lease_had = true;
                    OwnLease::Held { seen, since }
                } else {
                    OwnLease::Taken { by: seen.holder }
                };
            }
            (Target::OwnLease, Err(Failure::NotFound | Failure::Conflict)) => {
                // Deleted, or written by somebody: taking it again finds out which.
                self.own_lease = OwnLease::Absent;
                self.own_lease_after = now.mono + policy.lease.retry_period / 4;
            }
            (Target::Pods, Ok(_)) => self.pods_deleted(&action.intent),
            (Target::Volumes, Ok(_)) => self.volumes_deleted(&action.intent),
            (Target::DeadLeases, _) => {
                if let Intent::DeleteLease(lease) = &action.intent {
                    self.leases.remove(&lease.name);
                }
            }
            (Target::Pods | Target::Volumes, Err(failure)) => {
                self.cleaning_failed(&action.intent, &failure, policy, now)
            }
            (Target::OwnLease, _) => self.own_lease_after = now.mono + policy.lease.retry_period / 2,
        }
    }

    /// Notes that the engine itself failed over this action's workflow: it is left alone until it changes.
    pub fn action_panicked(&mut self, action: &Action, panic: String) {
        self.news = true;
        self.not_busy(action);
        if let Target::Workflow(name) = &action.target {
            if let (Some(tracked), Intent::CreatePod(spec)) = (self.workflows.get_mut(name), &action.intent) {
                tracked.pods.entry(spec.name()).or_default().uncertain = true; // It may have been sent.
            }
            self.quarantine(name, panic);
        }
    }

    /// Leaves a workflow alone until it changes.
    pub fn quarantine(&mut self, name: &str, panic: String) {
        if let Some(tracked) = self.workflows.get_mut(name) {
            let version = tracked.seen.as_ref().map(|seen| seen.version).unwrap_or_default();
            tracked.quarantine = Some(Quarantine { panic, version });
        }
    }

    fn not_busy(&mut self, action: &Action) {
        match &action.target {
            Target::OwnLease => self.own_lease_busy = false,
            Target::Pods => self.cleaning.pods = false,
            Target::Volumes => self.cleaning.volumes = false,
            Target::DeadLeases => self.cleaning.leases = false,
            Target::Workflow(name) => {
                if let Some(tracked) = self.workflows.get_mut(name) {
                    tracked.busy = None;
                }
            }
        }
    }

    fn workflow_answered(&mut self, name: &str, intent: &Intent, answer: Answer, now: Now) {
        if let Some(tracked) = self.workflows.get_mut(name) {
            tracked.trouble = None;
        }
        match (intent, answer) {
            (Intent::Write(write), Answer::Workflow(Some(seen))) => {
                self.see_workflow(seen, now);
                self.written(name, write, now);
            }
            (_, Answer::Workflow(Some(seen))) => self.see_workflow(seen, now),
            (_, Answer::Workflow(None) | Answer::Document(None)) => self.workflow_gone(name),
            (_, Answer::Document(Some((seen, document)))) => {
                let (uid, version) = (seen.uid.clone(), seen.version);
                self.see_workflow(seen, now);
                let same = |tracked: &&mut Tracked| {
                    tracked.seen.as_ref().is_some_and(|seen| seen.uid == uid && seen.version == version)
                };
                // A list that overtook this answer may have shown a newer version, with another document.
                if let Some(tracked) = self.workflows.get_mut(name).filter(same) {
                    tracked.document = Some(document);
                }
            }
            (_, Answer::Namesake(other)) => {
                if let Some(tracked) = self.workflows.get_mut(name) {
                    tracked.name = namesake::learned(tracked, other.as_ref());
                }
            }
            (_, Answer::Volume(volume)) => {
                let owner = self.workflows.get(name).and_then(Tracked::uid);
                if owner.is_some() && owner != volume.owner.as_ref() {
                    self.namesake(name, intent, WaitingCause::Volume, now);
                } else {
                    self.see_volume(&volume);
                    if let Some(track) = self.workflows.get_mut(name).and_then(|tracked| intended_pod(tracked, intent))
                    {
                        track.waiting = None;
                    }
                }
            }
            (Intent::CreatePod(_), Answer::Pod(pod)) => {
                let owner = self.workflows.get(name).and_then(Tracked::uid);
                if owner != pod.owner.as_ref() {
                    self.namesake(name, intent, WaitingCause::Starting, now);
                } else {
                    self.see_pod(pod, now);
                }
            }
            (Intent::ReadPod { name: pod_name }, Answer::PodRead(pod)) => self.pod_read(name, pod_name, pod, now),
            (Intent::EndPod { name: pod, why, .. }, Answer::Leaving(leaving)) => {
                // What became of it is seen by looking: it runs on for its grace, or is gone already.
                if let Some(track) = self.workflows.get_mut(name).and_then(|tracked| tracked.pods.get_mut(pod)) {
                    track.ending = Some(why.clone());
                    track.never_ran = leaving == Leaving::Deleted;
                    track.leaving.get_or_insert(now.mono);
                    track.missing = true;
                }
            }
            _ => {}
        }
    }

    /// An earlier workflow's pod or volume still has the name. It goes with its owner; until then, wait, as for any other
    /// obstacle of this kind.
    fn namesake(&mut self, name: &str, intent: &Intent, cause: WaitingCause, now: Now) {
        if let Some(tracked) = self.workflows.get_mut(name) {
            if let Some(track) = intended_pod(tracked, intent) {
                obstacle(track, cause, now);
            }
            tracked.volume =
                if tracked.volume == VolumeTrack::Present { VolumeTrack::Present } else { VolumeTrack::Foreign };
            trouble(tracked, "an earlier workflow of this name is not gone yet".to_owned(), Duration::ZERO, now);
        }
    }

    fn written(&mut self, name: &str, write: &Write, now: Now) {
        let Some(tracked) = self.workflows.get_mut(name) else { return };
        if write.step == WriteStep::Takeover {
            return; // The intent that the record speaks of was its former holder's.
        }
        if !matches!(&tracked.record, RecordSeen::Some(record) if record.holder == self.me) {
            return; // A list that overtook this answer shows that another process has it since.
        }
        let Some((stage, job)) = write.record.phase.stage().zip(kind::job(name).ok()) else { return };
        let track = tracked.pods.entry(pod_name(&job, write.record.round, stage, write.record.attempt)).or_default();
        track.intended = true;
        track.since = now.mono;
    }

    fn workflow_failed(&mut self, name: &str, intent: &Intent, failure: Failure, policy: &Policy, now: Now) {
        let Some(tracked) = self.workflows.get_mut(name) else { return };
        match failure {
            Failure::Conflict => tracked.stale = true,
            Failure::NotFound => match intent {
                Intent::EndPod { name: pod, .. } => {
                    if let Some(track) = tracked.pods.get_mut(pod) {
                        track.missing = true;
                    }
                }
                Intent::Write(_) => tracked.stale = true,
                // The workflow, or the namespace: look again, but not in a hurry.
                _ => {
                    tracked.stale = true;
                    trouble(tracked, Failure::NotFound.to_string(), Duration::ZERO, now);
                }
            },
            Failure::NotDone { error, after } => trouble(tracked, error, after.unwrap_or_default().min(MAX), now),
            Failure::Unknown { error } => {
                if let Intent::CreatePod(spec) = intent {
                    let track = tracked.pods.entry(spec.name()).or_default();
                    (track.uncertain, track.absent) = (true, false);
                }
                tracked.stale = matches!(intent, Intent::Write(_));
                trouble(tracked, error, Duration::ZERO, now);
            }
            Failure::Refused { reason, message } => match intended_pod(tracked, intent) {
                Some(track) => track.refused = Some(Refused { reason, message }),
                None => trouble(tracked, format!("{reason}: {message}"), policy.retries.backoff_first, now),
            },
            failure @ (Failure::Quota { .. } | Failure::NotYet { .. }) => {
                let quota = matches!(failure, Failure::Quota { .. });
                if let Some(track) = intended_pod(tracked, intent) {
                    obstacle(track, if quota { WaitingCause::Quota } else { WaitingCause::Starting }, now);
                }
                trouble(tracked, failure.to_string(), policy.retries.backoff_first, now);
            }
            Failure::Denied { message } => trouble(tracked, message, policy.retries.backoff_first, now),
        }
    }
}

/// The pod that an intent is about, or that cannot be made without what the intent is about.
fn intended_pod<'a>(tracked: &'a mut Tracked, intent: &Intent) -> Option<&'a mut PodTrack> {
    match intent {
        Intent::CreatePod(spec) => Some(tracked.pods.entry(spec.name()).or_default()),
        Intent::CreateVolume { job, .. } => {
            let RecordSeen::Some(record) = &tracked.record else { return None };
            let pod = pod_name(job, record.round, record.phase.stage()?, record.attempt);
            Some(tracked.pods.entry(pod).or_default())
        }
        _ => None,
    }
}
