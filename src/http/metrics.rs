//! What is counted. Names follow Prometheus' conventions: a unit at the end, `_total` for counters.

use super::sweeps::Sweeps;
use crate::{
    plan::{Failure, Now, Plan, Verdict, View, WaitingOn, standing::Standing, view::OwnLease},
    workflow::{Record, Stage, notice::Occasion, record::Times},
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError, atomic::AtomicU64},
};

/// All metrics of an engine.
pub(super) struct Metrics {
    registry: Registry,
    turns: Counter,
    requests: Family<RequestLabels, Counter>,
    workflows: Family<PhaseLabels, Gauge>,
    queue: Gauge,
    lease_age: Gauge<f64, AtomicU64>,
    stages: Family<StageLabels, Histogram>,
    pub(super) sweeps: Sweeps,
    notifications: Family<NoticeLabels, Counter>,
    /// Stages whose duration was counted, of workflows still in view.
    counted: Mutex<BTreeSet<Observed>>,
}

/// A workflow, a round of it and its stage.
type Observed = (String, usize, Stage);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    verb: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabels {
    phase: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NoticeLabels {
    occasion: String,
    outcome: &'static str,
}

/// From a fast stage to a day's: doubling from half a second.
fn stage_buckets() -> Histogram {
    Histogram::new((0..18).map(|n| 0.5 * f64::from(1_u32 << n)))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("operator_engine");
        let metrics = Self {
            turns: Counter::default(),
            requests: Family::default(),
            workflows: Family::default(),
            queue: Gauge::default(),
            lease_age: Gauge::default(),
            notifications: Family::default(),
            stages: Family::new_with_constructor(stage_buckets),
            sweeps: Sweeps::default(),
            counted: Mutex::default(),
            registry: Registry::default(),
        };
        registry.register("turns", "Turns of the loop", metrics.turns.clone());
        registry.register("requests", "Requests to the cluster by verb and outcome", metrics.requests.clone());
        registry.register("workflows", "Workflows in view by phase", metrics.workflows.clone());
        registry.register("queue_length", "Workflows that wait for a slot", metrics.queue.clone());
        let age = "Time since the last successful renewal of this engine's lease was sent";
        registry.register_with_unit("lease_age", age, Unit::Seconds, metrics.lease_age.clone());
        let stages = "From the intent of a stage to its recorded end";
        registry.register_with_unit("stage_duration", stages, Unit::Seconds, metrics.stages.clone());
        metrics.sweeps.register(&mut registry);
        let told = "Notifications by occasion and outcome; of those that failed there is another attempt";
        registry.register("notifications", told, metrics.notifications.clone());
        Self { registry, ..metrics }
    }
}

const PHASES: [&str; 6] = ["pending", "configure", "algorithm", "filter", "publish", "done"];

impl Metrics {
    /// Counts a request.
    pub(super) fn request<T>(&self, verb: &'static str, result: &Result<T, Failure>) {
        let outcome = match result {
            Ok(_) => "ok",
            Err(Failure::Conflict) => "conflict",
            Err(Failure::NotFound) => "not-found",
            Err(Failure::NotDone { .. }) => "not-done",
            Err(Failure::Unknown { .. }) => "unknown",
            Err(Failure::Refused { .. }) => "refused",
            Err(Failure::Quota { .. }) => "quota",
            Err(Failure::NotYet { .. }) => "not-yet",
            Err(Failure::Denied { .. }) => "denied",
        };
        self.requests.get_or_create(&RequestLabels { verb, outcome }).inc();
    }

    /// Counts a notification.
    pub(super) fn told(&self, occasion: Occasion, outcome: &'static str) {
        self.notifications.get_or_create(&NoticeLabels { occasion: occasion.to_string(), outcome }).inc();
    }

    /// Counts a turn of the loop.
    pub(super) fn turned(&self) {
        self.turns.inc();
    }

    /// Measures what is in view.
    pub(super) fn view(&self, view: &View, plan: &Plan, now: Now) {
        let mut phases = PHASES.map(|phase| (phase, 0));
        let mut seen = BTreeSet::new();
        for (name, tracked) in &view.workflows {
            let phase = match tracked.standing() {
                Standing::Running(record) | Standing::Done(record) => {
                    if view.is_mine(record) {
                        self.durations(name, record, &mut seen);
                    }
                    record.phase.as_str()
                }
                Standing::Pending => "pending",
                _ => continue,
            };
            if let Some((_, count)) = phases.iter_mut().find(|(name, _)| *name == phase) {
                *count += 1;
            }
        }
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        for (phase, count) in phases {
            self.workflows.get_or_create(&PhaseLabels { phase }).set(count);
        }
        let queued = |verdict: &&Verdict| matches!(verdict, Verdict::Waiting(WaitingOn::Slot { .. }));
        self.queue.set(i64::try_from(plan.verdicts.values().filter(queued).count()).unwrap_or(i64::MAX));
        if let OwnLease::Held { since, .. } = &view.own_lease {
            self.lease_age.set(now.mono.saturating_sub(*since).as_secs_f64());
        }
    }

    /// Observes each stage once: when its end is first seen.
    fn durations(&self, name: &str, record: &Record, seen: &mut BTreeSet<Observed>) {
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let rounds = record.earlier.iter().map(|round| &round.times).chain([&record.times]).enumerate();
        for (round, (stage, times)) in rounds.flat_map(|(round, times)| times.iter().map(move |of| (round, of))) {
            let Times { started: Some(started), ended: Some(ended) } = times else { continue };
            let key = (name.to_owned(), round, *stage);
            if !counted.contains(&key) {
                let took = ended.duration_since(*started).as_secs_f64().max(0.0);
                self.stages.get_or_create(&StageLabels { stage: stage.as_str() }).observe(took);
            }
            seen.insert(key);
        }
    }

    /// The page, in the OpenMetrics text format.
    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
