//! What of workflows and stages that are over may be deleted, and when.
//!
//! A pod's object is a tombstone: while it is there, a late request to create it again meets `AlreadyExists`. So it may go
//! at once only if nobody can have such a request under way, which holds when *this* process recorded the intent and got a
//! definite answer to every request. Otherwise it stays until such a request must long have been answered or given up.

use super::{
    Action, Intent, Now, Plan, Policy, Target, kind,
    lease::{Liveness, liveness},
    seen::{Owner, is_pod_of},
    standing::Standing,
    view::{PodTrack, Tracked, View, VolumeTrack},
};
use crate::workflow::{JobId, Phase, Record, Stage};
use std::time::Duration;

/// The most objects one DELETECOLLECTION should meet: the server deletes them one by one, 30–50 ms each under load, so a
/// larger batch would outlive its request's timeout.
const BATCH: usize = 50;

/// Deletes pods first, volumes once their pods are gone.
pub fn plan(view: &View, policy: &Policy, now: Now, plan: &mut Plan) {
    if !policy.cleaning {
        return;
    }
    let mut stages = Stage::ALL.map(|stage| (stage, Batch::default()));
    let (mut pods, mut volumes) = (Batch::default(), Batch::default());
    for (name, tracked) in &view.workflows {
        let owner = || Some(Owner { job: kind::job(name).ok()?, uid: tracked.uid()?.clone() });
        match tracked.standing() {
            Standing::Running(record)
                if view.is_mine(record)
                    && tracked.pods.values().any(|pod| pod.is_over())
                    && is_known_now(tracked, now, plan) =>
            {
                let Some(owner) = owner() else { continue };
                // Of the first round only: a deletion selects by workflow and stage, so one that comes late would meet the next
                // round's pods. Those stay until the end.
                let is_over = |stage| record.round > 0 || Phase::from(stage) < record.phase;
                for (stage, batch) in stages.iter_mut().filter(|(stage, _)| is_over(*stage)) {
                    if let Some((objects, since)) = over(tracked, &owner.job, *stage) {
                        batch.add(owner.clone(), objects, since);
                    }
                }
            }
            Standing::Done(record) if is_ours_to_clean(view, tracked, record, policy, now, plan) => {
                let (Some(owner), Some(done)) = (owner(), tracked.done_since) else { continue };
                if !tracked.pods.is_empty() {
                    pods.add(owner, tracked.pods.len(), done + tombstone(tracked, policy));
                } else if tracked.volume == VolumeTrack::Present {
                    volumes.add(owner, 1, done);
                }
            }
            _ => {}
        }
    }
    // A finished workflow waits one round of looking for others to share its batch.
    let linger = policy.cadence.attention;
    volumes.send(view.cleaning.volumes, linger, now, plan, Target::Volumes, Intent::DeleteVolumes);
    let all = |owners| Intent::DeletePods { stage: None, owners };
    if pods.send(view.cleaning.pods, linger, now, plan, Target::Pods, all) {
        return;
    }
    // Pods of stages that are over go early only to keep the list of finished pods short, so they wait longer for company:
    // a quick workflow is at its end by then, and all its pods go at once.
    for (stage, batch) in stages {
        let of_stage = |owners| Intent::DeletePods { stage: Some(stage), owners };
        if batch.send(view.cleaning.pods, policy.cadence.audit * 3, now, plan, Target::Pods, of_stage) {
            return;
        }
    }
}

/// The pods of a stage that is over, if all of them may go: how many, and since when the youngest was intended.
fn over(tracked: &Tracked, job: &JobId, stage: Stage) -> Option<(usize, Duration)> {
    let pods = tracked.pods.iter().filter(|(name, _)| is_pod_of(name, job, stage)).map(|(_, pod)| pod);
    let (mut objects, mut since) = (0, Duration::ZERO);
    for pod in pods {
        if !is_certain(pod) || !pod.is_over() {
            return None;
        }
        (objects, since) = (objects + 1, since.max(pod.since));
    }
    (objects > 0).then_some((objects, since))
}

fn is_ours_to_clean(
    view: &View,
    tracked: &Tracked,
    record: &Record,
    policy: &Policy,
    now: Now,
    plan: &mut Plan,
) -> bool {
    if tracked.busy.is_some() || !is_known_now(tracked, now, plan) {
        return false;
    }
    // Another living engine finished it: that one cleans up.
    view.is_mine(record) || liveness(view, &record.holder, policy, now) == Liveness::Dead
}

/// Whether it is as it was seen, and no request about it has just failed: a deletion is not repeated in a hurry.
fn is_known_now(tracked: &Tracked, now: Now, plan: &mut Plan) -> bool {
    if let Some(trouble) = tracked.trouble.as_ref().filter(|trouble| trouble.until > now.mono) {
        plan.wake_at(trouble.until);
        return false;
    }
    !tracked.stale
}

/// Whether nobody can have a request to create this pod under way.
fn is_certain(pod: &PodTrack) -> bool {
    pod.intended && !pod.uncertain
}

/// How long the pods of a finished workflow must stay.
fn tombstone(tracked: &Tracked, policy: &Policy) -> Duration {
    let all_certain = tracked.pods.values().all(|pod| is_certain(pod) && (pod.is_over() || pod.seen.is_none()));
    if all_certain { Duration::ZERO } else { policy.lease.duration + policy.request_timeout }
}

/// What one request will delete.
#[derive(Default)]
struct Batch {
    ready: Vec<(Owner, usize, Duration)>,
}

impl Batch {
    fn add(&mut self, owner: Owner, objects: usize, from: Duration) {
        self.ready.push((owner, objects, from));
    }

    /// Adds the request to the plan if it is due. Says whether it did.
    fn send(
        self,
        busy: bool,
        linger: Duration,
        now: Now,
        plan: &mut Plan,
        target: Target,
        intent: impl FnOnce(Vec<Owner>) -> Intent,
    ) -> bool {
        let (due, later): (Vec<_>, Vec<_>) = self.ready.into_iter().partition(|(_, _, from)| *from <= now.mono);
        if let Some(at) = later.iter().map(|(_, _, from)| *from).min() {
            plan.wake_at(at);
        }
        let total: usize = due.iter().map(|(_, objects, _)| objects).sum();
        let Some(oldest) = due.iter().map(|(_, _, from)| *from).min().filter(|_| !busy) else { return false };
        if total < BATCH && now.mono < oldest + linger {
            plan.wake_at(oldest + linger);
            return false;
        }
        let mut room = BATCH;
        let mut owners = Vec::new();
        for (owner, objects, _) in due {
            // One workflow with more pods than a batch still goes, alone.
            if objects > room && !owners.is_empty() {
                break;
            }
            room = room.saturating_sub(objects);
            owners.push(owner);
        }
        plan.actions.push(Action { target, intent: intent(owners) });
        true
    }
}
