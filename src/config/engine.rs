//! `[engine]`: the engine itself. `[workflows]`: what it takes for one.

use super::values::{Values, optional};
use std::str::FromStr as _;
use tracing_subscriber::EnvFilter;

/// `[engine]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Engine {
    /// The namespace of workflows, pods and volumes; none: the engine's own.
    pub jobs_namespace: Option<String>,
    /// What this process's Lease is named after; none: something random.
    pub instance: Option<String>,
    /// Whether milestones of workflows become Kubernetes Events.
    pub events: bool,
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

/// `[workflows]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workflows {
    /// Whether Secrets are workflows too, beside ConfigMaps.
    pub secrets: bool,
}

impl Workflows {
    pub(super) fn read(values: &mut Values) -> Self {
        Self { secrets: values.switch("workflows.secrets") }
    }
}

impl Engine {
    pub(super) fn read(values: &mut Values) -> Self {
        Self {
            jobs_namespace: values.checked_text("engine.jobs_namespace", |text| optional(text, dns_label)),
            instance: values.checked_text("engine.instance", |text| optional(text, dns_label)),
            events: values.switch("engine.events"),
            log_format: values.choice(
                "engine.log_format",
                &[("auto", LogFormat::Auto), ("human", LogFormat::Human), ("json", LogFormat::Json)],
            ),
            log_level: values.checked_text("engine.log_level", log_level),
        }
    }
}

/// RFC 1123 label: the name of a namespace (kubernetes.io/docs/concepts/overview/working-with-objects/names).
fn dns_label(text: &str) -> Result<String, String> {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.len() > 63 || !text.chars().all(inside) || text.starts_with('-') || text.ends_with('-') {
        return Err("not a name: at most 63 of a-z, 0-9 and -, with none of the - at an end".to_owned());
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
