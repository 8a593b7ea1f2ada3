//! Which lists are due.

use super::{
    Now, Policy,
    cohort::unfinished,
    look::{Look, Looks},
    standing::Standing,
    view::{Tracked, View},
};
use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

/// A stage counts as young for this long: most configure and publish pods, and quick algorithms, are over by then.
const YOUNG: Duration = Duration::from_secs(30);

/// Which lists are wanted, and how often.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    every: Vec<(Look, Duration)>,
    jitter: Jitter,
}

/// Makes each pause a little shorter, so that engines that were started together do not go on asking together. Chance
/// that anybody can reckon again: it follows from who asks, what, and when it was last asked.
#[derive(Debug, Clone, Default)]
struct Jitter {
    identity: String,
    percent: u32,
}

impl Jitter {
    fn shorten(&self, every: Duration, look: Look, begun: Duration) -> Duration {
        let mut hasher = DefaultHasher::new();
        (&self.identity, look, begun).hash(&mut hasher);
        let share = u32::try_from(hasher.finish() % 1000).unwrap_or_default() * self.percent; // of 100,000
        every - every * share / 100_000
    }
}

/// The lists that what is known calls for. As good as the last plan: it looks at every workflow, as a plan does.
pub fn wanted(view: &View, policy: &Policy, now: Now) -> Wanted {
    let cadence = &policy.cadence;
    let full = view.running() >= usize::try_from(policy.max_jobs).unwrap_or(usize::MAX);
    let mut wanted = vec![(if full { Look::Stopping } else { Look::Attention }, cadence.attention)];
    if let Some(every) = finished_every(view, policy, now) {
        wanted.push((Look::Finished, every));
    }
    wanted.extend([Look::AuditPods, Look::AuditVolumes].map(|look| (look, cadence.audit * spacing(view))));
    let wants_a_count = !full && !view.counted() && waits_for_a_slot(view);
    wanted.push((Look::AuditWorkflows, if wants_a_count { cadence.attention / 4 } else { cadence.audit }));
    // A dead engine must be noticed within its lease's duration and a little: its Lease has to be seen as often as it
    // is renewed, but only while it holds something.
    let leases = if others_hold(view) { policy.lease.retry_period } else { cadence.audit };
    wanted.push((Look::Leases, leases));
    let jitter = Jitter { identity: view.me.identity.clone(), percent: cadence.jitter_percent };
    Wanted { every: wanted, jitter }
}

/// Those of them that are due now, and when the next one is: monotonic.
pub fn due(wanted: &Wanted, looks: &Looks, now: Now) -> (Vec<Look>, Option<Duration>) {
    let mut due = Vec::new();
    let mut next: Option<Duration> = None;
    for (look, every) in &wanted.every {
        if looks.busy.contains_key(look) {
            continue;
        }
        let regular = looks.answered.get(look).map(|begun| *begun + wanted.jitter.shorten(*every, *look, *begun));
        let after_failure = looks.failed.get(look).map(|(_, until)| *until);
        match regular.max(after_failure) {
            Some(at) if at > now.mono => next = Some(next.map_or(at, |next| next.min(at))),
            _ => due.push(*look),
        }
    }
    (due, next)
}

/// How many workflows make the large audits one round rarer: a list of so many pods takes the engine 20 ms of CPU.
const SPACED_BY: usize = 250;
/// The rarest, in rounds. What only an audit shows has deadlines of minutes.
const SPACED_MOST: usize = 6;

/// How many times rarer than usual all pods and volumes are asked for: what it costs grows with their number, what it shows
/// does not.
fn spacing(view: &View) -> u32 {
    u32::try_from((1 + view.workflows.len() / SPACED_BY).min(SPACED_MOST)).unwrap_or(1)
}

/// How often to ask for finished pods: never while none of ours can be running.
fn finished_every(view: &View, policy: &Policy, now: Now) -> Option<Duration> {
    let youngest = unfinished(view).map(|pod| pod.since).max()?;
    let young = now.mono < youngest + YOUNG;
    Some(if young { policy.cadence.finished_young } else { policy.cadence.finished })
}

fn waits_for_a_slot(view: &View) -> bool {
    view.workflows.values().any(|tracked| matches!(tracked.standing(), Standing::Pending))
}

fn others_hold(view: &View) -> bool {
    let running = view.workflows.values().map(Tracked::standing);
    running.into_iter().any(|standing| matches!(standing, Standing::Running(r) if r.holder.lease != view.me.lease))
}
