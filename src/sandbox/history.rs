//! What happened in a sandbox, and whether it was allowed to.
//!
//! [`History::violations`] is the one judge: every simulation ends by asking it, whatever was injected. It looks at the
//! cluster's own account of events, never at what an engine says of itself.

use crate::{
    plan::seen::Uid,
    workflow::{Outcome, Phase, Record, Stage, digest::Sha256, record::Results},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A workflow's record was written.
    Recorded {
        /// The workflow.
        workflow: Uid,
        /// Its new record.
        record: Box<Record>,
    },
    /// A person asked for a workflow's end.
    StopAsked {
        /// The workflow.
        workflow: Uid,
    },
    /// A workflow was deleted.
    WorkflowDeleted {
        /// The workflow.
        workflow: Uid,
    },
    /// A pod was created.
    PodCreated {
        /// Its workflow.
        workflow: Uid,
        /// The pod.
        pod: Uid,
        /// Its round: which of the document's stages it is for.
        round: u32,
        /// Its stage.
        stage: Stage,
        /// Its attempt.
        attempt: u32,
    },
    /// A pod ended.
    PodEnded {
        /// The pod.
        pod: Uid,
        /// Its exit code.
        exit_code: Option<i32>,
    },
    /// A pod's node does not answer any more: whether it still runs cannot be known.
    PodLost {
        /// The pod.
        pod: Uid,
    },
    /// A pod's object was deleted.
    PodDeleted {
        /// The pod.
        pod: Uid,
    },
    /// A manifest was stored.
    Stored {
        /// Its key.
        manifest: String,
        /// Its digest.
        sha256: Sha256,
    },
}

/// Everything that happened, in order.
#[derive(Debug, Clone, Default)]
pub struct History {
    events: Vec<(Duration, Event)>,
}

impl History {
    pub(super) fn add(&mut self, at: Duration, event: Event) {
        self.events.push((at, event));
    }

    /// The events with the times at which they happened: monotonic.
    pub fn events(&self) -> &[(Duration, Event)] {
        &self.events
    }

    /// How often `matches` happened.
    pub fn count(&self, matches: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|(_, event)| matches(event)).count()
    }

    /// The rules that were broken, in words. Empty is good.
    ///
    /// - **once**: of one workflow, round, stage and attempt there is at most one pod, ever, as long as the workflow is there.
    /// - **intent first**: a pod is created only when the newest record intends exactly that round, stage and attempt.
    /// - **in order**: a record moves forward: attempts by one, stages in order, rounds by one after publish, and never
    ///   on from its end.
    /// - **alone**: a pod is created only when every earlier pod of its workflow has ended or is gone.
    /// - **terminal is final**: no pod after the end.
    /// - **verified**: a record that says `succeeded` names a manifest that was stored with that digest, of every round.
    /// - **no lost stop**: the first record written after a person asked for the end says so, and so do all after it.
    pub fn violations(&self) -> Vec<String> {
        let mut judge = Judge::default();
        for (at, event) in &self.events {
            judge.see(*at, event);
        }
        judge.broken
    }
}

/// A pod's round, stage and attempt.
type Intended = (u32, Stage, u32);

#[derive(Default)]
struct Judge<'a> {
    broken: Vec<String>,
    records: BTreeMap<&'a Uid, &'a Record>,
    pods: BTreeMap<&'a Uid, &'a Uid>,
    live: BTreeSet<&'a Uid>,
    made: BTreeSet<(&'a Uid, Intended)>,
    stored: BTreeMap<&'a str, Sha256>,
    to_stop: BTreeSet<&'a Uid>,
    gone: BTreeSet<&'a Uid>,
}

impl<'a> Judge<'a> {
    fn see(&mut self, at: Duration, event: &'a Event) {
        match event {
            Event::Recorded { workflow, record } => self.recorded(at, workflow, record),
            Event::StopAsked { workflow } => {
                self.to_stop.insert(workflow);
            }
            Event::WorkflowDeleted { workflow } => {
                self.gone.insert(workflow);
            }
            Event::PodCreated { workflow, pod, round, stage, attempt } => {
                self.created(at, workflow, pod, (*round, *stage, *attempt));
            }
            Event::PodEnded { pod, .. } | Event::PodDeleted { pod } | Event::PodLost { pod } => {
                self.live.remove(pod);
            }
            Event::Stored { manifest, sha256 } => {
                self.stored.insert(manifest, *sha256);
            }
        }
    }

    fn breaks(&mut self, at: Duration, rule: &str, what: String) {
        self.broken.push(format!("{at:?} {rule}: {what}"));
    }

    fn recorded(&mut self, at: Duration, workflow: &'a Uid, record: &'a Record) {
        if let Some(before) = self.records.insert(workflow, record) {
            let stays = before.phase == record.phase && before.round == record.round;
            let (same, again) = (before.attempt == record.attempt, before.attempt + 1 == record.attempt);
            let onward = match record.round.checked_sub(before.round) {
                Some(0) => before.phase < record.phase,
                Some(1) => (before.phase, record.phase) == (Phase::Publish, Phase::Configure),
                _ => false,
            };
            let forward = onward && record.attempt == 0;
            let changed = before != record;
            if (before.phase == Phase::Done && changed) || !(stays && (same || again) || forward) {
                let of = |record: &Record| format!("{}/{}/{}", record.round, record.phase.as_str(), record.attempt);
                self.breaks(at, "in order", format!("{workflow}: {} → {}", of(before), of(record)));
            }
        }
        if self.to_stop.contains(workflow) && record.stopreq == 0 {
            self.breaks(at, "no lost stop", format!("{workflow} forgot that a person wanted it to end"));
        }
        let succeeded = record.phase == Phase::Done && record.outcome == Some(Outcome::Succeeded);
        let is_stored = |results: &Results| {
            let stored = self.stored.get(results.manifest.as_str());
            stored == Some(&results.manifest_sha256)
        };
        let rounds = record.earlier.len() + 1;
        let verified = record.all_results().filter(|(_, results)| is_stored(results)).count() == rounds;
        if succeeded && !verified {
            self.breaks(at, "verified", format!("{workflow} succeeded without the manifest it names"));
        }
    }

    fn created(&mut self, at: Duration, workflow: &'a Uid, pod: &'a Uid, made: Intended) {
        let (round, stage, attempt) = made;
        let name = if round > 0 { format!("{round}/{stage}/{attempt}") } else { format!("{stage}/{attempt}") };
        // A request that was under way when its workflow was deleted is carried out, and what it made is collected at once: by
        // then the name is free, since the workflow's own pods went with it.
        if !self.made.insert((workflow, made)) && !self.gone.contains(workflow) {
            self.breaks(at, "once", format!("{workflow} has a second pod for {name}"));
        }
        match self.records.get(workflow) {
            Some(record) if record.phase == Phase::Done => {
                self.breaks(at, "terminal is final", format!("{workflow} got a pod for {name} after its end"));
            }
            Some(record)
                if record.phase == Phase::from(stage) && record.round == round && record.attempt == attempt => {}
            _ => self.breaks(at, "intent first", format!("{workflow}: nothing intends {name}")),
        }
        let others = self.pods.iter().filter(|(other, of)| **of == workflow && self.live.contains(**other)).count();
        if others > 0 {
            self.breaks(at, "alone", format!("{workflow}: {others} earlier pods still run beside {name}"));
        }
        self.pods.insert(pod, workflow);
        self.live.insert(pod);
    }
}
