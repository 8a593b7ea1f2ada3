//! The order in which pending workflows start: by priority; of one priority, owners take turns; of one owner, the oldest first.
//!
//! An owner's next workflow stands in line since it was registered, or since the owner's last one was started, whichever is
//! later. So whoever sends a hundred at once waits with the second until those have had theirs who came meanwhile, nobody
//! is passed for ever, and nothing has to be remembered but what the records say. Workflows without an owner are as many
//! owners.

use super::{
    Now,
    standing::Standing,
    view::{Tracked, View},
};
use crate::workflow::Order;
use jiff::Timestamp;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

/// A pending workflow.
struct Pending<'a> {
    created: Timestamp,
    name: &'a String,
    tracked: &'a Tracked,
}

/// One owner's workflows, the oldest last, where it can be taken from.
struct Line<'a> {
    owner: &'a str,
    last_start: Timestamp,
    pending: Vec<Pending<'a>>,
}

impl Line<'_> {
    /// Since when the next one stands in line.
    fn since(&self) -> Option<Timestamp> {
        let created = self.pending.last()?.created;
        Some(if self.owner.is_empty() { created } else { created.max(self.last_start) })
    }
}

/// The pending workflows in the order in which they are to start.
pub(super) fn in_order(view: &View, now: Now) -> Vec<(&String, &Tracked)> {
    let mut lines: BTreeMap<Reverse<i32>, BTreeMap<&str, Vec<Pending<'_>>>> = BTreeMap::new();
    for (name, tracked) in &view.workflows {
        let (Standing::Pending, Some(seen)) = (tracked.standing(), &tracked.seen) else { continue };
        let Order { owner, priority, .. } = &seen.order;
        let line = lines.entry(Reverse(*priority)).or_default().entry(owner).or_default();
        line.push(Pending { created: seen.created, name, tracked });
    }
    if lines.is_empty() {
        return Vec::new();
    }
    let started = last_starts(view);
    let mut ordered = Vec::new();
    for owners in lines.into_values() {
        let lines = owners.into_iter().map(|(owner, mut pending)| {
            // By age, as the server saw it; names only break ties.
            pending.sort_by(|a, b| (b.created, b.name).cmp(&(a.created, a.name)));
            let last_start = started.get(owner).copied().unwrap_or(Timestamp::MIN);
            Line { owner, last_start, pending }
        });
        ordered.extend(in_turns(lines.collect(), now));
    }
    ordered
}

/// Takes from the lines in turn, as if each that is taken was started now.
fn in_turns<'a>(mut lines: Vec<Line<'a>>, now: Now) -> Vec<(&'a String, &'a Tracked)> {
    // Since when, in which turn, who: the smallest is next.
    let next = |line: &Line<'a>, turn: usize, index: usize| {
        Some(Reverse((line.since()?, turn, line.pending.last()?.name, index)))
    };
    let mut heads: BinaryHeap<_> = lines.iter().enumerate().filter_map(|(index, line)| next(line, 0, index)).collect();
    let mut ordered = Vec::new();
    while let Some(Reverse((_, turn, _, index))) = heads.pop() {
        let Some(line) = lines.get_mut(index) else { continue };
        ordered.extend(line.pending.pop().map(|pending| (pending.name, pending.tracked)));
        line.last_start = now.wall.max(line.last_start);
        let turn = if line.owner.is_empty() { turn } else { turn + 1 };
        heads.extend(next(line, turn, index));
    }
    ordered
}

/// When each owner's latest workflow in view was started.
fn last_starts(view: &View) -> BTreeMap<&str, Timestamp> {
    let mut starts = BTreeMap::new();
    for tracked in view.workflows.values() {
        let (Standing::Running(record) | Standing::Done(record)) = tracked.standing() else { continue };
        let (Some(seen), Some(started)) = (&tracked.seen, record.started()) else { continue };
        let last = starts.entry(seen.order.owner.as_str()).or_insert(started);
        *last = started.max(*last);
    }
    starts
}
