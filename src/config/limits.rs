//! `[engine]`, `[limits]` and `[environment]`: the engine itself, what a workflow may use, and what is announced of it.

use super::{Cpus, duration, values::Values};
use std::{str::FromStr, time::Duration};
use tracing_subscriber::EnvFilter;

/// `[engine]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Engine {
    /// The namespace of workflows, pods and volumes; none: the engine's own.
    pub jobs_namespace: Option<String>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Directives that tracing-subscriber's `EnvFilter` is known to take.
    pub log_level: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// [`Self::Human`] on a terminal, else [`Self::Json`].
    #[default]
    Auto,
    /// For people.
    Human,
    /// One JSON object per line.
    Json,
}

impl Engine {
    pub(super) fn read(values: &mut Values) -> Self {
        Self {
            jobs_namespace: values.checked_text("engine.jobs_namespace", |text| optional(text, dns_label)),
            log_format: values.choice(
                "engine.log_format",
                &[("auto", LogFormat::Auto), ("human", LogFormat::Human), ("json", LogFormat::Json)],
            ),
            log_level: values.checked_text("engine.log_level", log_level),
        }
    }
}

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
            max_log: values.size("limits.max_log", 1 << 10),
            stop_grace: values.duration("limits.stop_grace", Duration::from_secs(1)..=Duration::from_secs(3600)),
        }
    }
}

/// `[environment]`: announced, and nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
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
            cpu_type: values.text("environment.cpu_type"),
            gpu_type: values.text("environment.gpu_type"),
            gpu_ram: values.size("environment.gpu_ram", 0),
            price_per_minute: values.number("environment.price_per_minute"),
            description: values.text("environment.description"),
        }
    }
}

/// Reads `text` with `read` unless it is empty.
pub(super) fn optional<T>(text: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    if text.is_empty() { Ok(None) } else { read(text).map(Some) }
}

/// RFC 1123 label: the name of a namespace (kubernetes.io/docs/concepts/overview/working-with-objects/names).
fn dns_label(text: &str) -> Result<String, String> {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.len() > 63 || !text.chars().all(inside) || text.starts_with('-') || text.ends_with('-') {
        return Err("not a name of a namespace: at most 63 of a-z, 0-9 and -, with none of the - at an end".to_owned());
    }
    Ok(text.to_owned())
}

/// Directives for [`EnvFilter`]. It takes any word it does not know for the name of a module, so `WARNING` or `inof` would
/// silently turn the log off; such a word is refused.
fn log_level(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    for directive in text.split(',').map(str::trim) {
        let is_level = LEVELS.iter().any(|level| directive.eq_ignore_ascii_case(level));
        if !is_level && !directive.contains(['=', '[']) {
            return Err(format!("neither a level ({}) nor module=level", LEVELS.join(", ")));
        }
    }
    EnvFilter::from_str(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_not_taken_for_a_module() {
        for text in ["info", "WARN", "off", "info,operator_engine::plan=debug", "operator_engine[span]=trace"] {
            assert!(log_level(text).is_ok(), "{text}");
        }
        for text in ["", "WARNING", "inof", "info,plan", "plan=loud"] {
            assert!(log_level(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_namespace_is_a_label() {
        assert!(dns_label("ocean-jobs").is_ok());
        for text in ["Ocean", "-a", "a-", "a.b", "a/b", &"x".repeat(64)] {
            assert!(dns_label(text).is_err(), "{text}");
        }
    }
}
