//! This engine's Lease, and when another engine counts as dead.
//!
//! The Lease says who *should* act; the resourceVersion says who *may*. A process that is paused past the end of its
//! Lease and then goes on can at most repeat a request whose intent it had recorded.

use super::{
    Action, Intent, Now, Plan, Policy, Target,
    look::Look,
    standing::Standing,
    view::{OwnLease, View},
};
use crate::workflow::record::Holder;
use std::time::Duration;

/// Whether the holder of a workflow still drives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// It must be assumed to, until this monotonic time.
    Alive {
        /// When to ask again.
        until: Duration,
    },
    /// Its workflows may be taken over.
    Dead,
}

/// Whether `holder` still drives its workflows, by our own clock: its Lease has not *changed* for a whole duration, and we
/// have looked since. A process that was paused, or that could not list, has seen no change either.
pub fn liveness(view: &View, holder: &Holder, policy: &Policy, now: Now) -> Liveness {
    if holder.lease == view.me.lease {
        // A Lease is named after its pod, and the kubelet never runs one container twice at a time: whoever had this
        // Lease before us in this pod has ended.
        return Liveness::Dead;
    }
    let Some(track) = view.leases.get(&holder.lease) else {
        return Liveness::Alive { until: now.mono + policy.lease.retry_period };
    };
    let released = track.seen.as_ref().is_some_and(|lease| lease.holder.is_empty());
    let duration = track.seen.as_ref().map_or(policy.lease.duration, |lease| lease.duration.max(policy.lease.duration));
    // Whoever wrote it may have written any number.
    let until = track.since.saturating_add(duration);
    let looked = view.looks.answered.get(&Look::Leases).is_some_and(|begun| *begun >= until);
    if released || looked { Liveness::Dead } else { Liveness::Alive { until: now.mono + policy.lease.retry_period } }
}

/// Takes and renews this engine's Lease, and removes those of engines long dead.
pub fn plan(view: &View, policy: &Policy, now: Now, plan: &mut Plan) {
    if view.own_lease_after > now.mono {
        plan.wake_at(view.own_lease_after);
    } else if !view.own_lease_busy {
        match &view.own_lease {
            OwnLease::Absent => {
                // Only a process that never had it may take it from its predecessor. One that had it and finds another
                // in its place *is* the predecessor.
                let intent = Intent::TakeLease { from_predecessor: !view.own_lease_had };
                plan.actions.push(Action { target: Target::OwnLease, intent });
            }
            OwnLease::Held { seen, since } => {
                let due = *since + policy.lease.retry_period;
                if now.mono >= due {
                    plan.actions.push(Action { target: Target::OwnLease, intent: Intent::RenewLease(seen.clone()) });
                } else {
                    plan.wake_at(due);
                }
            }
            OwnLease::Taken { .. } => {}
        }
    }
    if !view.cleaning.leases && view.may_write(policy, now) && view.looks.audited() {
        remove_one_dead(view, policy, now, plan);
    }
}

/// How many durations a Lease stays after its engine's end: long enough that nothing still looks at it.
const DEAD_FOR: u32 = 8;

fn remove_one_dead(view: &View, policy: &Policy, now: Now, plan: &mut Plan) {
    let named = |lease: &str| {
        view.workflows.values().any(|tracked| match tracked.standing() {
            Standing::Running(record) | Standing::Done(record) => record.holder.lease == lease,
            _ => false,
        })
    };
    let dead = view.leases.iter().find(|(name, track)| {
        let long_ago = track.since + policy.lease.duration * DEAD_FOR <= now.mono;
        track.seen.is_some() && long_ago && !named(name)
    });
    if let Some(lease) = dead.and_then(|(_, track)| track.seen.clone()) {
        plan.actions.push(Action { target: Target::DeadLeases, intent: Intent::DeleteLease(lease) });
    }
}
