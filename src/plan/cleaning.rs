//! What of a finished workflow may be deleted, and when.
//!
//! A pod's object is a tombstone: while it is there, a late request to create it again meets `AlreadyExists`. So it may go
//! at once only if nobody can have such a request under way, which holds when *this* process recorded the intent and got a
//! definite answer to every request. Otherwise it stays until such a request must long have been answered or given up.

use super::{
    Action, Intent, Now, Plan, Policy, Target,
    lease::{Liveness, liveness},
    view::{Standing, Tracked, View, VolumeTrack},
};
use crate::workflow::JobId;
use std::time::Duration;

/// The most objects one DELETECOLLECTION should meet: the server deletes them one by one, 30–50 ms each under load, so a
/// larger batch would outlive its request's timeout.
const BATCH: usize = 50;

/// Deletes pods first, volumes once their pods are gone.
pub fn plan(view: &View, policy: &Policy, now: Now, plan: &mut Plan) {
    if !policy.cleaning {
        return;
    }
    let mut pods = Batch::default();
    let mut volumes = Batch::default();
    for (name, tracked) in &view.workflows {
        let Standing::Done(record) = tracked.standing() else { continue };
        let (Some(done), Ok(job)) = (tracked.done_since, name.parse::<JobId>()) else { continue };
        if tracked.stale || tracked.busy.is_some() {
            continue;
        }
        if let Some(trouble) = tracked.trouble.as_ref().filter(|trouble| trouble.until > now.mono) {
            plan.wake_at(trouble.until);
            continue;
        }
        // Another living engine finished it: that one cleans up.
        if !view.is_mine(record) && liveness(view, &record.holder, policy, now) != Liveness::Dead {
            continue;
        }
        if !tracked.pods.is_empty() {
            pods.add(job, tracked.pods.len(), done + tombstone(tracked, policy));
        } else if tracked.volume == VolumeTrack::Present {
            volumes.add(job, 1, done);
        }
    }
    // A finished workflow waits one round of looking for others to share its batch.
    let linger = policy.cadence.attention;
    pods.send(view.cleaning.pods, linger, (Target::Pods, Intent::DeletePods), now, plan);
    volumes.send(view.cleaning.volumes, linger, (Target::Volumes, Intent::DeleteVolumes), now, plan);
}

/// How long the pods of a finished workflow must stay.
fn tombstone(tracked: &Tracked, policy: &Policy) -> Duration {
    let all_certain =
        tracked.pods.values().all(|pod| pod.intended && !pod.uncertain && (pod.is_over() || pod.seen.is_none()));
    if all_certain { Duration::ZERO } else { policy.lease.duration + policy.request_timeout }
}

/// What one request will delete.
#[derive(Default)]
struct Batch {
    ready: Vec<(JobId, usize, Duration)>,
}

impl Batch {
    fn add(&mut self, job: JobId, objects: usize, from: Duration) {
        self.ready.push((job, objects, from));
    }

    fn send(self, busy: bool, linger: Duration, act: (Target, fn(Vec<JobId>) -> Intent), now: Now, plan: &mut Plan) {
        let (due, later): (Vec<_>, Vec<_>) = self.ready.into_iter().partition(|(_, _, from)| *from <= now.mono);
        if let Some(at) = later.iter().map(|(_, _, from)| *from).min() {
            plan.wake_at(at);
        }
        let oldest = due.iter().map(|(_, _, from)| *from).min();
        let total: usize = due.iter().map(|(_, objects, _)| objects).sum();
        let Some(oldest) = oldest else { return };
        if busy {
            return;
        }
        if total < BATCH && now.mono < oldest + linger {
            plan.wake_at(oldest + linger);
            return;
        }
        let mut room = BATCH;
        let mut jobs = Vec::new();
        for (job, objects, _) in due {
            // One workflow with more pods than a batch still goes, alone.
            if objects > room && !jobs.is_empty() {
                break;
            }
            room = room.saturating_sub(objects);
            jobs.push(job);
        }
        let (target, intent) = act;
        plan.actions.push(Action { target, intent: intent(jobs) });
    }
}
