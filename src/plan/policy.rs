//! What the admin decided, as far as plans depend on it.

use crate::workflow::{Budget, Resources, Wish, duration::doubled};
use std::time::Duration;

/// The rules that plans follow. Built from the configuration; checked there.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// How many workflows may be active at once.
    pub max_jobs: u32,
    /// What one algorithm gets; a document may ask for less.
    pub resources: Resources,
    /// Whether only those get GPUs that ask for them.
    pub gpus_on_request: bool,
    /// What all workflows in work may have together.
    pub budget: Budget,
    /// The longest an algorithm may run; a document may ask for less.
    pub max_job_duration: Duration,
    /// The filter's image; none means no filter stage.
    pub filter_image: Option<String>,
    /// How long a pod has between SIGTERM and SIGKILL.
    pub stop_grace: Duration,
    /// How long results are kept; none means for ever.
    pub storage_expiry: Option<Duration>,
    /// The lease's times.
    pub lease: LeaseTimes,
    /// The longest that one request may take.
    pub request_timeout: Duration,
    /// How long each kind of waiting may last.
    pub waiting: Deadlines,
    /// How failures of the platform are retried.
    pub retries: Retries,
    /// How often to look.
    pub cadence: Cadence,
    /// Whether pods and volumes of finished workflows are deleted.
    pub cleaning: bool,
    /// The chains whose orders are taken; empty: all.
    pub allowed_chain_ids: Vec<u64>,
    /// Whether Secrets are workflows too.
    pub secrets: bool,
    /// Whether somebody is to be told of starts.
    pub notify_start: bool,
    /// Whether somebody is to be told of ends.
    pub notify_stop: bool,
}

/// The times of a Lease, with client-go's names and defaults (15 s, 10 s, 2 s).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseTimes {
    /// A Lease unchanged for this long is dead.
    pub duration: Duration,
    /// How often it is renewed.
    pub retry_period: Duration,
}

/// How long a pod may wait for each cause, and how long the engine's own stages may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadlines {
    /// For its image.
    pub image: Duration,
    /// For a node.
    pub unschedulable: Duration,
    /// For its volume.
    pub volume: Duration,
    /// For anything else before its container runs.
    pub start: Duration,
    /// The longest that configure may run.
    pub configure: Duration,
    /// The longest that the filter may run.
    pub filter: Duration,
    /// The longest that one attempt to publish may run.
    pub publish: Duration,
}

/// How failures of the platform are retried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retries {
    /// How many are forgiven in one workflow, publishing apart.
    pub platform: u32,
    /// How long publishing is tried again, counted from its first attempt.
    pub publish_for: Duration,
    /// The first pause; it doubles.
    pub backoff_first: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
}

impl Retries {
    /// The pause after the `failures`-th failure in a row, from 1.
    pub fn backoff(&self, failures: u32) -> Duration {
        doubled(self.backoff_first, failures.saturating_sub(1), self.backoff_max)
    }
}

/// How often each list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cadence {
    /// What wants attention.
    pub attention: Duration,
    /// What has just ended, while a stage is young.
    pub finished_young: Duration,
    /// What has just ended, otherwise.
    pub finished: Duration,
    /// Everything.
    pub audit: Duration,
    /// How much sooner, at most, each look comes: in percent.
    pub jitter_percent: u32,
}

impl Policy {
    /// What an algorithm gets whose document asks for `wish`.
    pub fn resources(&self, wish: Wish) -> Resources {
        let gpus = wish.gpus.or(self.gpus_on_request.then_some(0));
        Wish { gpus, ..wish }.within(self.resources)
    }

    /// How long an algorithm may run whose document asks for `wish`: less than the limit, never more.
    pub fn max_time(&self, wish: Option<Duration>) -> Duration {
        wish.map_or(self.max_job_duration, |wish| wish.min(self.max_job_duration))
    }
}

impl Default for Policy {
    /// The values of `config/default.toml`; a test holds them equal.
    fn default() -> Self {
        let (seconds, minutes, hours) = (Duration::from_secs, Duration::from_mins, Duration::from_hours);
        Self {
            max_jobs: 10,
            resources: Resources { cpu_millis: 1000, memory: 1 << 30, gpus: 0 },
            gpus_on_request: false,
            budget: Budget::default(),
            max_job_duration: seconds(60),
            filter_image: None,
            stop_grace: seconds(30),
            storage_expiry: None,
            lease: LeaseTimes { duration: seconds(15), retry_period: seconds(2) },
            request_timeout: seconds(10),
            waiting: Deadlines {
                image: minutes(10),
                unschedulable: minutes(10),
                volume: minutes(10),
                start: minutes(10),
                configure: hours(1),
                filter: hours(1),
                publish: hours(6),
            },
            retries: Retries {
                platform: 3,
                publish_for: hours(24),
                backoff_first: seconds(5),
                backoff_max: minutes(5),
            },
            cadence: Cadence {
                attention: seconds(1),
                finished_young: Duration::from_millis(250),
                finished: seconds(1),
                audit: seconds(10),
                jitter_percent: 10,
            },
            cleaning: true,
            allowed_chain_ids: Vec::new(),
            secrets: false,
            notify_start: false,
            notify_stop: false,
        }
    }
}
