//! What is counted of sweeps: results past their time and what became of them.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

/// A sweep, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepNumbers {
    /// Results past their time.
    pub found: u64,
    /// Those that were deleted.
    pub deleted: u64,
    /// Those that were gone already.
    pub already_gone: u64,
    /// Those that could not be deleted.
    pub failed: u64,
    /// Those that were left alone.
    pub skipped: u64,
    /// Bytes deleted.
    pub bytes: u64,
    /// ConfigMaps deleted.
    pub records_deleted: u64,
    /// Whether nothing went wrong and everything was looked at.
    pub well: bool,
    /// When it began, in seconds since 1970.
    pub at: i64,
}

/// The metrics of all sweeps.
#[derive(Default)]
pub(super) struct Sweeps {
    runs: Family<RunLabels, Counter>,
    results: Family<ResultLabels, Counter>,
    bytes: Counter,
    records: Counter,
    last: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    fate: &'static str,
}

const FATES: [&str; 5] = ["found", "deleted", "already-gone", "failed", "skipped"];

impl Sweeps {
    pub(super) fn register(&self, registry: &mut Registry) {
        // So that a rate can be taken from the first one on.
        for fate in FATES {
            drop(self.results.get_or_create(&ResultLabels { fate }));
        }
        for outcome in ["well", "failed"] {
            drop(self.runs.get_or_create(&RunLabels { outcome }));
        }
        registry.register("sweeps", "Looks for results past their time, by how they went", self.runs.clone());
        registry.register("swept_results", "Results past their time by what became of them", self.results.clone());
        registry.register_with_unit("swept", "Of deleted results", Unit::Bytes, self.bytes.clone());
        registry.register(
            "swept_records",
            "ConfigMaps of workflows deleted long after their end",
            self.records.clone(),
        );
        let last = "When the last sweep began, in seconds since 1970";
        registry.register_with_unit("last_sweep_timestamp", last, Unit::Seconds, self.last.clone());
    }

    pub(super) fn count(&self, run: &SweepNumbers) {
        let outcome = if run.well { "well" } else { "failed" };
        self.runs.get_or_create(&RunLabels { outcome }).inc();
        let numbers = [run.found, run.deleted, run.already_gone, run.failed, run.skipped];
        for (fate, number) in FATES.into_iter().zip(numbers) {
            self.results.get_or_create(&ResultLabels { fate }).inc_by(number);
        }
        self.bytes.inc_by(run.bytes);
        self.records.inc_by(run.records_deleted);
        self.last.set(run.at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;

    #[test]
    fn sweeps_are_counted_under_the_names_that_are_documented() {
        let (sweeps, mut registry) = (Sweeps::default(), Registry::with_prefix("operator_engine"));
        sweeps.register(&mut registry);
        let run = SweepNumbers {
            found: 7,
            deleted: 3,
            already_gone: 1,
            failed: 1,
            skipped: 2,
            bytes: 300,
            at: 5,
            ..Default::default()
        };
        sweeps.count(&run);
        sweeps.count(&SweepNumbers { well: true, at: 9, ..Default::default() });
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "operator_engine_sweeps_total{outcome=\"well\"} 1",
            "operator_engine_sweeps_total{outcome=\"failed\"} 1",
            "operator_engine_swept_results_total{fate=\"found\"} 7",
            "operator_engine_swept_results_total{fate=\"already-gone\"} 1",
            "operator_engine_swept_bytes_total 300",
            "operator_engine_last_sweep_timestamp_seconds 9",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
