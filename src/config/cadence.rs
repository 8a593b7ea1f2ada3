//! `[loop]`, `[lease]`, `[waiting]`, `[retries]` and `[cleaning]`: how often, how long, how many times.

use super::{duration, values::Values};
use std::{ops::RangeInclusive, time::Duration};

/// `[loop]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Cadence {
    /// Between looks for workflows to start or stop.
    pub attention_every: Duration,
    /// Between looks for pods that have ended.
    pub finished_every: Duration,
    /// The same, while a stage is young.
    pub finished_young_every: Duration,
    /// Between looks at everything.
    pub audit_every: Duration,
    /// How much sooner than that, at most, each look comes: in percent.
    pub jitter_percent: u32,
    /// The limit of one request.
    pub request_timeout: Duration,
    /// Requests under way at once.
    pub concurrency: u32,
}

/// The shortest is not faster than an API server should be asked, the longest not slower than a person would wait.
const EVERY: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(3600);

impl Cadence {
    pub(super) fn read(values: &mut Values) -> Self {
        Self {
            attention_every: values.duration("loop.attention_every", EVERY),
            finished_every: values.duration("loop.finished_every", EVERY),
            finished_young_every: values.duration("loop.finished_young_every", EVERY),
            audit_every: values.duration("loop.audit_every", EVERY),
            jitter_percent: values.whole("loop.jitter_percent", 0..=50),
            request_timeout: values.duration("loop.request_timeout", EVERY),
            concurrency: values.whole("loop.concurrency", 1..=256),
        }
    }
}

/// `[lease]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    /// Whole seconds, as `leaseDurationSeconds` must be.
    pub duration: Duration,
    /// Between renewals.
    pub retry_period: Duration,
}

impl Lease {
    pub(super) fn read(values: &mut Values) -> Self {
        Self {
            duration: values.duration("lease.duration", Duration::from_secs(1)..=Duration::from_secs(3600)),
            retry_period: values.duration("lease.retry_period", EVERY),
        }
    }
}

/// `[waiting]`: the longest that each state may last.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// An image cannot be pulled.
    pub image: Duration,
    /// No node has room.
    pub unschedulable: Duration,
    /// A volume is not there.
    pub volume: Duration,
    /// A pod that has everything does not start.
    pub start: Duration,
    /// The configure stage runs.
    pub configure: Duration,
    /// The filter runs.
    pub filter: Duration,
    /// One attempt of the publish stage runs.
    pub publish: Duration,
}

impl Waiting {
    pub(super) fn read(values: &mut Values) -> Self {
        // Whole seconds at least: these become `activeDeadlineSeconds`.
        let range = Duration::from_secs(1)..=duration::MAX;
        Self {
            image: values.duration("waiting.image", range.clone()),
            unschedulable: values.duration("waiting.unschedulable", range.clone()),
            volume: values.duration("waiting.volume", range.clone()),
            start: values.duration("waiting.start", range.clone()),
            configure: values.duration("waiting.configure", range.clone()),
            filter: values.duration("waiting.filter", range.clone()),
            publish: values.duration("waiting.publish", range),
        }
    }
}

/// `[retries]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Retries {
    /// Further attempts of a stage that the platform broke.
    pub platform: u32,
    /// How long publishing is tried again.
    pub publish_for: Duration,
    /// The first pause.
    pub backoff_first: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
}

impl Retries {
    pub(super) fn read(values: &mut Values) -> Self {
        Self {
            platform: values.whole("retries.platform", 0..=100),
            publish_for: values.duration("retries.publish_for", Duration::ZERO..=duration::MAX),
            backoff_first: values.duration("retries.backoff_first", EVERY),
            backoff_max: values.duration("retries.backoff_max", Duration::from_secs(1)..=Duration::from_secs(86_400)),
        }
    }
}

/// `[cleaning]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Cleaning {
    /// Whether pods and volumes of finished workflows are deleted.
    pub enabled: bool,
}

impl Cleaning {
    pub(super) fn read(values: &mut Values) -> Self {
        Self { enabled: values.switch("cleaning.enabled") }
    }
}
