//! What the cluster says of a workflow, as far as expiry goes by it.

use crate::workflow::{
    Phase, Record, State,
    record::{Place, Results},
};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What the cluster says of a workflow.
#[derive(Debug, Clone, PartialEq)]
pub enum Workflow {
    /// There is no ConfigMap of its name.
    Gone,
    /// It is not at its end, or is no workflow.
    Unfinished,
    /// It is at its end, and nobody can read its record.
    Unreadable,
    /// It is at its end.
    Done(Held),
}

/// What is kept of a finished workflow's record while all of them are looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// Its end.
    pub ended: Timestamp,
    /// Its results, by the stage that they are of.
    pub results: BTreeMap<u32, Kept>,
    /// Whether somebody is still to be told of it.
    pub owes: bool,
}

/// What is kept of a record's results.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Where they are, by store, prefix and root.
    pub places: Vec<(String, String, Option<String>)>,
    /// When they may be deleted.
    pub expires_at: Option<Timestamp>,
    /// When they were deleted.
    pub deleted_at: Option<Timestamp>,
}

impl Workflow {
    /// What `state` and `record` say, if there is such a ConfigMap.
    pub fn of(state: Option<State>, status: Option<&str>, created: Timestamp) -> Self {
        if state != Some(State::Done) {
            return Self::Unfinished;
        }
        match status.map(Record::parse) {
            // Somebody set the label by hand: nothing says how far it is.
            None => Self::Unfinished,
            Some(Err(_)) => Self::Unreadable,
            Some(Ok(record)) if record.phase != Phase::Done => Self::Unfinished,
            Some(Ok(record)) => Self::Done(Held::of(&record, created)),
        }
    }
}

impl Held {
    /// What is kept of `record`.
    pub fn of(record: &Record, created: Timestamp) -> Self {
        let kept = |results: &Results| {
            let own = (results.store.clone(), results.prefix.clone(), results.root.clone());
            let of = |place: &Place| (place.store.clone(), place.prefix.clone(), place.root.clone());
            let places = std::iter::once(own).chain(results.adminlogs.as_ref().map(of)).collect();
            Kept { places, expires_at: results.expires_at, deleted_at: results.deleted_at }
        };
        Self {
            ended: record.times.values().filter_map(|times| times.ended).max().unwrap_or(created).max(created),
            results: record.all_results().map(|(stage, results)| (stage, kept(results))).collect(),
            owes: record.notices.owed(),
        }
    }

    /// Where its results are, by stage, store, prefix and root.
    pub fn places(&self) -> impl Iterator<Item = (u32, &(String, String, Option<String>))> {
        self.results.iter().flat_map(|(stage, kept)| kept.places.iter().map(|place| (*stage, place)))
    }
}

impl Kept {
    /// Whether all of it is gone, when `gone` are the stores in which nothing of it is left.
    pub fn all_gone(&self, gone: &BTreeSet<&str>) -> bool {
        self.places.iter().all(|(store, ..)| gone.contains(store.as_str()))
    }
}
