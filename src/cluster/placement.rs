//! On which nodes pods may run.

use super::manifest::Settings;
use crate::plan::pod::{PodSpec, Task};
use k8s_openapi::api::core::v1::Toleration;
use std::collections::BTreeMap;

/// That a taint is tolerated: without a value any value, without an effect every one.
pub fn toleration(key: &str, value: Option<&str>, effect: Option<&str>) -> Toleration {
    Toleration {
        key: Some(key.to_owned()),
        operator: Some(if value.is_some() { "Equal" } else { "Exists" }.to_owned()),
        value: value.map(str::to_owned),
        effect: effect.map(str::to_owned),
        toleration_seconds: None,
    }
}

/// Whether the pod gets GPUs. Only algorithms do.
fn has_gpus(spec: &PodSpec) -> bool {
    matches!(&spec.task, Task::Algorithm { resources, .. } if resources.gpus > 0)
}

/// The labels that its node must have.
pub(super) fn node_selector(spec: &PodSpec, settings: &Settings) -> Option<BTreeMap<String, String>> {
    let mut selector = if has_gpus(spec) { settings.gpu_node_selector.clone() } else { BTreeMap::new() };
    selector.extend(settings.node_scope.as_ref().map(|scope| ("scope".to_owned(), scope.clone())));
    (!selector.is_empty()).then_some(selector)
}

/// The taints that its node may have.
pub(super) fn tolerations(spec: &PodSpec, settings: &Settings) -> Option<Vec<Toleration>> {
    let of_gpus = if has_gpus(spec) { settings.gpu_tolerations.as_slice() } else { &[] };
    let tolerations: Vec<_> = settings.tolerations.iter().chain(of_gpus).cloned().collect();
    (!tolerations.is_empty()).then_some(tolerations)
}
