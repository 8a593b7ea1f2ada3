//! One job id, one workflow. A ConfigMap and a Secret may have the same name, and then share what is named after the job: the
//! pods, the volume, the place of the results. So one of them is the job, and the other never starts.
//!
//! - One that has begun is the job, whether it still runs or is at its end. Nothing that is registered later changes that.
//! - Of two that have not begun it is the older one, by the server's clock; of the same second, the ConfigMap.
//! - The other one ends as `refused`, with the reason `NameTaken` in its own record.
//!
//! It is looked for twice. Before a claim in the view, which has whatever waits or runs; what is found there, and may be gone by
//! now, is confirmed by a consistent read. And after the claim, before anything is created, by a consistent read, which also finds one that is long at
//! its end, or that another engine claims at this moment. Each marks itself and then looks for the other, so of two at
//! once at least one sees the other, and gives way. (It may be both, if two engines claim them within the same moments.)

use super::{
    Policy,
    kind::{self, Kind, namesake},
    seen::WorkflowSeen,
    standing::Standing,
    transition,
    view::{Tracked, View},
};
use crate::workflow::{Record, State, digest::Sha256, record::Holder};
use jiff::Timestamp;

/// Whether somebody else has the name: what is known of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NameTrack {
    /// Nobody looked, or not since this one was claimed.
    #[default]
    Unknown,
    /// This one has it.
    Ours,
    /// A workflow of the other kind has it.
    Taken,
}

/// Whether the job of this record has begun: then its name is given away.
fn has_begun(record: &Record) -> bool {
    record.phase.stage().is_some() || !record.times.is_empty()
}

/// What of two workflows of one name decides which is the job: the one with the lesser rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    has_not_begun: bool,
    created: Timestamp,
    kind: Kind,
}

/// See [`Rank`].
pub fn rank(seen: &WorkflowSeen) -> Rank {
    Rank { has_not_begun: !begun(seen), created: seen.created, kind: Kind::of(&seen.name) }
}

fn begun(seen: &WorkflowSeen) -> bool {
    seen.status.as_deref().and_then(|status| Record::parse(status).ok()).is_some_and(|record| has_begun(&record))
}

/// What a workflow learns from a consistent read of the other one. Once claimed it does not ask any more which is older.
pub(super) fn learned(tracked: &Tracked, other: Option<&WorkflowSeen>) -> NameTrack {
    let Some(other) = other else { return NameTrack::Ours };
    let is_older = tracked.seen.as_ref().is_some_and(|seen| rank(other) < rank(seen));
    let waits = other.state == Some(State::Pending) && tracked.standing() == Standing::Pending;
    if begun(other) || (waits && is_older) { NameTrack::Taken } else { NameTrack::Ours }
}

/// Whether a pending workflow must give way to one in the view, unless that was found to be gone.
pub(super) fn gives_way(view: &View, name: &str, tracked: &Tracked, policy: &Policy) -> bool {
    if !policy.secrets || tracked.name == NameTrack::Ours {
        return false;
    }
    let Some((other, seen)) = view.workflows.get(&namesake(name)).zip(tracked.seen.as_ref()) else { return false };
    match (other.standing(), &other.seen) {
        (Standing::Running(record) | Standing::Done(record), _) => has_begun(record),
        (Standing::Pending, Some(other)) => rank(other) < rank(seen),
        _ => false,
    }
}

/// The record of one that gives way.
pub(super) fn refused(me: &Holder, document: Sha256, name: &str) -> Record {
    let (kind, object) = kind::split(name);
    let message = format!(
        "there is a {} called {object} that is a workflow too, and one name is one job; register it anew under another name",
        kind.other().as_str()
    );
    transition::turned_away(me, document, "NameTaken", &message)
}
