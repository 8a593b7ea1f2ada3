//! What a stage says when it ends: one JSON line in its pod's termination message.
//!
//! Kubernetes keeps at most 4096 bytes of it (`terminationMessagePath`, kubernetes.io/docs/tasks/debug/debug-application/
//! determine-reason-pod-failure). The algorithm's is untrusted: its author can write the same file, so its report tells
//! about resources and how the end came, and never opens a gate.

use super::{Code, digest::Sha256, record::Place};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The most bytes a report may have, in both directions.
pub const MAX_LEN: usize = 4096;

/// What configure says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigureReport {
    /// None when everything was fetched, else the fault.
    pub fault: Option<ConfigureFault>,
    /// Files fetched.
    pub files: u64,
    /// Bytes fetched.
    pub bytes: u64,
}

/// Why provisioning failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigureFault {
    /// [`Code::DataProvisioningFailed`] or [`Code::AlgorithmProvisioningFailed`].
    pub code: Code,
    /// One CamelCase word, as Kubernetes' reasons are.
    pub reason: String,
    /// What happened and what to do, for the submitter. No URL query, no credential.
    pub message: String,
}

/// What the wrapper around the algorithm says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExecReport {
    /// The entrypoint's exit status; none when a signal ended it or it never started.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether its time was up.
    pub timed_out: bool,
    /// Whether it was asked to stop (SIGTERM).
    pub stopped: bool,
    /// Whether the kernel killed a process of it for want of memory, as far as its control group tells.
    #[serde(default)]
    pub out_of_memory: bool,
    /// Why it could not be started.
    pub error: Option<String>,
    /// From start to end, in milliseconds.
    pub wall_ms: u64,
    /// CPU time of it and all it started, in milliseconds.
    pub cpu_ms: u64,
    /// The largest resident set of one of its processes, or of all together where the kernel's control group tells.
    pub peak_memory_bytes: u64,
    /// Bytes of log it wrote.
    pub log_bytes: u64,
    /// Bytes of them left out of the log file, from its middle.
    pub log_dropped_bytes: u64,
}

/// What publish says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PublishReport {
    /// What was stored; none when it failed.
    pub published: Option<Published>,
    /// Why it failed.
    pub fault: Option<PublishFault>,
}

/// A stored result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Published {
    /// Where the store is, without credentials, e.g. `file:///srv/results`.
    pub store: String,
    /// The key of `manifest.json` in it.
    pub manifest: String,
    /// The digest of that file.
    pub manifest_sha256: Sha256,
    /// The content id of all of it, in a store that has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// Where the admin's logs are, if they are kept apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adminlogs: Option<Place>,
    /// Files stored, manifests not counted.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files found but refused (links, special files, impossible names); the manifest names them.
    pub refused: u64,
}

/// Why publishing failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PublishFault {
    /// One CamelCase word.
    pub reason: String,
    /// What happened and what to do.
    pub message: String,
    /// Whether another attempt may succeed, by itself or because an admin saw to it meanwhile (a store that is down, a bucket
    /// that does not exist yet; not a result that is too large).
    pub retry: bool,
    /// Whether nothing was stored because outputs and logs may not leave: the next attempt is to store the admin's logs alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withheld: bool,
}

/// Reads a report strictly: bounded, one JSON object, no unknown fields. `None` for anything else.
pub fn parse<R: DeserializeOwned>(message: &str) -> Option<R> {
    if message.len() > MAX_LEN {
        return None;
    }
    serde_json::from_str(message.trim()).ok()
}

/// Writes a report as one line. Its free texts are expected to be bounded with [`clip`].
pub fn render<R: Serialize>(report: &R) -> String {
    serde_json::to_string(report).unwrap_or_default()
}

/// An error with its causes, on one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Cuts `text` to at most `max` bytes at a character boundary, with an ellipsis where something was cut, and replaces
/// control characters: what strangers wrote is shown on terminals.
pub fn clip(text: &str, max: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if clean.len() <= max {
        return clean;
    }
    let room = max.saturating_sub('…'.len_utf8());
    let end = (0..=room).rev().find(|&at| clean.is_char_boundary(at)).unwrap_or(0);
    format!("{}…", clean.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_that_is_too_long_or_has_more_to_say_is_no_report() {
        let report = ExecReport { exit_code: Some(3), ..ExecReport::default() };
        let text = render(&report);
        assert_eq!(parse::<ExecReport>(&text), Some(report));
        assert_eq!(parse::<ExecReport>(&format!("{text}{}", " ".repeat(MAX_LEN))), None);
        assert_eq!(parse::<ConfigureReport>(r#"{"fault":null,"files":0,"bytes":0,"x":1}"#), None);
    }

    #[test]
    fn clip_counts_bytes_and_keeps_characters_whole() {
        assert_eq!(clip("ééé", 5), "é…");
        assert_eq!(clip("a\u{1b}[31m\n", 9), "a [31m ");
        assert!(clip(&"x".repeat(100), 10).len() <= 10);
    }
}
