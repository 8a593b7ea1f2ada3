//! `[images]` and `[pods]`: what pods are made of and where they run.

use super::{
    taint::{NodeLabel, Taint},
    values::{Values, optional},
};
use std::path::PathBuf;

/// `[images]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Images {
    /// The engine's own.
    pub engine: String,
    /// Of the configure stage; none: the engine's own.
    pub configure: Option<String>,
    /// Of the publish stage; none: the engine's own.
    pub publish: Option<String>,
    /// Of the filter; none: there is no filter.
    pub filter: Option<String>,
    /// What the filter's pod runs; none: what its image says.
    pub filter_command: Option<String>,
    /// When nodes pull.
    pub pull_policy: PullPolicy,
    /// The Secret to pull with.
    pub pull_secret: Option<String>,
}

/// When nodes pull images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// For every pod.
    #[default]
    Always,
    /// When the node does not have it.
    IfNotPresent,
    /// Never: the node must have it.
    Never,
}

impl PullPolicy {
    /// As `imagePullPolicy` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

impl Images {
    pub(super) fn read(values: &mut Values) -> Self {
        let policies = [PullPolicy::Always, PullPolicy::IfNotPresent, PullPolicy::Never];
        Self {
            engine: values.checked_text("images.engine", image),
            configure: values.checked_text("images.configure", |text| optional(text, image)),
            publish: values.checked_text("images.publish", |text| optional(text, image)),
            filter: values.checked_text("images.filter", |text| optional(text, image)),
            filter_command: values.optional("images.filter_command"),
            pull_policy: values.choice("images.pull_policy", &policies.map(|policy| (policy.as_str(), policy))),
            pull_secret: values.checked_text("images.pull_secret", |text| optional(text, object_name)),
        }
    }
}

/// `[pods]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Pods {
    /// Of all pods.
    pub service_account: String,
    /// The value that the node label `scope` must have.
    pub node_selector_scope: Option<String>,
    /// Taints that all pods tolerate.
    pub tolerations: Vec<Taint>,
    /// Taints that algorithms with GPUs tolerate.
    pub gpu_tolerations: Vec<Taint>,
    /// Labels of nodes for algorithms with GPUs.
    pub gpu_node_labels: Vec<NodeLabel>,
    /// Where templates of pods lie.
    pub templates: Option<PathBuf>,
    /// Of all pods; none: the node's default.
    pub runtime_class: Option<String>,
    /// Whether algorithms and filters may run as root.
    pub allow_root: bool,
    /// Of volumes; none: the cluster's default.
    pub storage_class: Option<String>,
}

impl Pods {
    pub(super) fn read(values: &mut Values) -> Self {
        Self {
            service_account: values.checked_text("pods.service_account", object_name),
            node_selector_scope: values.checked_text("pods.node_selector_scope", |text| optional(text, label_value)),
            tolerations: values.list("pods.tolerations"),
            gpu_tolerations: values.list("pods.gpu_tolerations"),
            gpu_node_labels: values.list("pods.gpu_node_labels"),
            templates: values.checked_text("pods.templates", |text| optional(text, |path| Ok(PathBuf::from(path)))),
            runtime_class: values.checked_text("pods.runtime_class", |text| optional(text, object_name)),
            allow_root: values.switch("pods.allow_root"),
            storage_class: values.checked_text("pods.storage_class", |text| optional(text, object_name)),
        }
    }
}

/// An image reference that the kubelet will not refuse for its characters alone.
fn image(text: &str) -> Result<String, String> {
    let inside = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    if text.len() > 512 || !text.chars().all(inside) || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err("not an image: write \"registry.example/name:tag\" or \"name@sha256:…\"".to_owned());
    }
    Ok(text.to_owned())
}

/// The name of a node's resource: `nvidia.com/gpu`.
pub(super) fn resource_name(text: &str) -> Result<String, String> {
    let (domain, name) = text.split_once('/').unwrap_or(("a", text));
    if object_name(domain).is_ok() && label_value(name).is_ok() {
        return Ok(text.to_owned());
    }
    Err("not a resource of nodes: write it as nvidia.com/gpu".to_owned())
}

/// RFC 1123 subdomain: the name of most objects (kubernetes.io/docs/concepts/overview/working-with-objects/names).
pub(super) fn object_name(text: &str) -> Result<String, String> {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    if text.len() > 253 || !text.split('.').all(label) {
        return Err(
            "not the name of an object: a-z, 0-9, - and ., starting and ending with a letter or digit".to_owned()
        );
    }
    Ok(text.to_owned())
}

/// A label's value. The old engine pasted anything into its template; with a quote in it the selector was lost, and pods
/// ran on any node.
pub(super) fn label_value(text: &str) -> Result<String, String> {
    let end = |c: char| c.is_ascii_alphanumeric();
    let inside = |c: char| end(c) || "-_.".contains(c);
    if text.len() > 63 || !text.starts_with(end) || !text.ends_with(end) || !text.chars().all(inside) {
        return Err(
            "not the value of a label: at most 63 of A-Z, a-z, 0-9, -, _ and ., a letter or digit at both ends"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_that_would_break_out_of_its_place_is_refused() {
        assert!(label_value("gpu_A.1").is_ok());
        for text in ["a\"", "a b", "-a", "a.", "a,b", "é", &"x".repeat(64)] {
            assert!(label_value(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_and_images_have_the_characters_kubernetes_takes() {
        assert!(object_name("default").is_ok() && object_name("fast.example.com").is_ok());
        for text in ["", "A", "a..b", ".a", "a-", "a_b", "-a.b"] {
            assert!(object_name(text).is_err(), "{text}");
        }
        assert!(image("registry.example:5000/a/b_c:1.2").is_ok() && image("python@sha256:00ff").is_ok());
        for text in ["a b", "-a", "a\"b", "a$(x)"] {
            assert!(image(text).is_err(), "{text}");
        }
    }
}
