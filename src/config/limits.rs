//! `[limits]` and `[environment]`: what a workflow may use, and what is announced of it.

use super::{
    Cpus, duration,
    pods::resource_name,
    values::{Values, optional},
};
use crate::workflow::{Budget, Resources, quantity};
use std::time::Duration;

/// `[limits]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Workflows in work at once, over all engines of the namespace.
    pub max_jobs: u32,
    /// Cores of one algorithm.
    pub cpus: Cpus,
    /// Bytes of memory of one algorithm.
    pub memory: u64,
    /// Bytes of a workflow's volume.
    pub disk: u64,
    /// The longest that an algorithm may run. Not always whole seconds.
    pub max_job_duration: Duration,
    /// GPUs of one algorithm.
    pub gpus: u32,
    /// Whether only those get GPUs that ask for them.
    pub gpus_on_request: bool,
    /// What all workflows in work may have together.
    pub budget: Budget,
    /// The resource by which nodes offer them.
    pub gpu_resource: String,
    /// Bytes kept of an algorithm's log.
    pub max_log: u64,
    /// From SIGTERM to SIGKILL.
    pub stop_grace: Duration,
}

impl Limits {
    pub(super) fn read(values: &mut Values) -> Self {
        Self {
            max_jobs: values.whole("limits.max_jobs", 0..=100_000),
            cpus: values.parsed("limits.cpus", |cpus: &Cpus| cpus.millis() > 0, "must be \"1m\" or more"),
            memory: values.size("limits.memory", 1 << 20),
            disk: values.size("limits.disk", 1 << 20),
            max_job_duration: values.duration("limits.max_job_duration", Duration::from_secs(1)..=duration::MAX),
            gpus: values.whole("limits.gpus", 0..=1024),
            gpus_on_request: values.switch("limits.gpus_on_request"),
            budget: Budget {
                cpu_millis: values.optional::<Cpus>("limits.total_cpus").map(Cpus::millis),
                memory: values.checked_text("limits.total_memory", |text| {
                    optional(text, |text| quantity::bytes(text).map_err(|error| error.to_string()))
                }),
                gpus: values.optional("limits.total_gpus"),
            },
            gpu_resource: values.checked_text("limits.gpu_resource", resource_name),
            max_log: values.size("limits.max_log", 1 << 10),
            stop_grace: values.duration("limits.stop_grace", Duration::from_secs(1)..=Duration::from_secs(3600)),
        }
    }
}

impl Limits {
    /// The most that one algorithm gets.
    pub fn resources(&self) -> Resources {
        Resources { cpu_millis: self.cpus.millis(), memory: self.memory, gpus: self.gpus }
    }
}

/// `[environment]`: announced, and nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    /// Whether it is announced at all.
    pub announce: bool,
    /// What it is called; none: after the jobs' namespace.
    pub id: Option<String>,
    /// Whether numbers that the admin sets are announced as text.
    pub as_text: bool,
    /// The chains whose orders are taken; empty: all.
    pub allowed_chain_ids: Vec<u64>,
    /// The kind of CPU.
    pub cpu_type: String,
    /// The kind of GPU.
    pub gpu_type: String,
    /// Bytes of memory of one GPU; 0: not told.
    pub gpu_ram: u64,
    /// Per minute.
    pub price_per_minute: f64,
    /// For people.
    pub description: String,
}

impl Environment {
    pub(super) fn read(values: &mut Values) -> Self {
        Self {
            announce: values.switch("environment.announce"),
            id: values.checked_text("environment.id", |text| optional(text, |id| Ok(id.to_owned()))),
            as_text: values.switch("environment.as_text"),
            allowed_chain_ids: values.list("environment.allowed_chain_ids"),
            cpu_type: values.text("environment.cpu_type"),
            gpu_type: values.text("environment.gpu_type"),
            gpu_ram: values.size("environment.gpu_ram", 0),
            price_per_minute: values.number("environment.price_per_minute"),
            description: values.text("environment.description"),
        }
    }
}
