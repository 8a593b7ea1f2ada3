//! Which ended pods to ask for: those of the cohorts that pods still run of.
//!
//! A recorded pod stays for a while, since deletions go in batches, and every list of ended pods would show it again: with a
//! thousand workflows at once that would be thousands of objects, several times a second, most of them known. A selector
//! cannot name what is unknown, but it can leave out what is known as a whole. So each pod carries a label that it shares
//! with those intended in the same second, and of a cohort whose pods have all been seen to end nothing is asked for.

use super::{
    standing::Standing,
    track::PodTrack,
    view::{Tracked, View},
};
use crate::workflow::{Record, Stage};
use std::{collections::BTreeSet, fmt, str::FromStr};

/// The pods whose stages began in the same second, by the record: so a pod's cohort is the same whoever creates it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cohort(pub i64);

impl Cohort {
    /// That of a pod of `stage`.
    pub fn of(record: &Record, stage: Stage) -> Self {
        let started = record.times.get(&stage).and_then(|times| times.started);
        Self(started.map_or(0, |started| started.as_second()))
    }
}

impl fmt::Display for Cohort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A label's value starts with a letter or a digit, and a record may name a time before 1970.
        write!(f, "{}", self.0.unsigned_abs())
    }
}

impl FromStr for Cohort {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Some cohorts, or all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cohorts {
    /// Pods whatever their cohort.
    All,
    /// Pods of these.
    These(BTreeSet<Cohort>),
}

impl Cohorts {
    /// Whether a pod of `cohort` is among them.
    pub fn hold(&self, cohort: Option<Cohort>) -> bool {
        match self {
            Self::All => true,
            Self::These(these) => cohort.is_some_and(|cohort| these.contains(&cohort)),
        }
    }
}

/// The most cohorts that a selector names. Pods of more seconds than this run for minutes, so that few end at a time, and
/// what has ended is deleted before it becomes much.
const MOST: usize = 100;

/// The cohorts of this engine's pods that have not ended.
pub fn awaited(view: &View) -> Cohorts {
    let mut these = BTreeSet::new();
    for pod in unfinished(view) {
        match pod.seen.as_ref().and_then(|seen| seen.cohort) {
            Some(cohort) => these.insert(cohort),
            None => return Cohorts::All,
        };
        if these.len() > MOST {
            return Cohorts::All;
        }
    }
    Cohorts::These(these)
}

/// This engine's pods that were seen, and not to end.
pub(super) fn unfinished(view: &View) -> impl Iterator<Item = &PodTrack> {
    let is_mine = |tracked: &&Tracked| matches!(tracked.standing(), Standing::Running(record) if view.is_mine(record));
    let pods = view.workflows.values().filter(is_mine).flat_map(|tracked| tracked.pods.values().map(|pod| &**pod));
    pods.filter(|pod| pod.seen.is_some() && !pod.is_over())
}
