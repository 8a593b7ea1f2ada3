//! An admin's pod template: what of it is taken, what is overruled, and what is refused.
//!
//! A template lies *under* the pod that the engine makes ([`Template::under`]): whatever the engine sets wins, leaf by leaf. What
//! a template may set is listed, field by field (`fields`), never a whole structure: what is not listed is refused with its
//! path, so that neither a misspelt field nor one that Kubernetes will have tomorrow slips through. Fields that the engine
//! always sets itself are overruled without a word, since the old engine's templates are full of them. A value that says
//! nothing (null, false, or empty) counts as absent.

mod fields;
mod read;
pub mod trial;

use crate::workflow::document::Fault;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use std::collections::BTreeMap;

/// What lies under the pods of one stage.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Template {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    spec: PodSpec,
    container: Container,
    /// The fields that the engine sets itself, as paths: what the template says there does not count.
    pub overruled: Vec<String>,
}

impl Template {
    /// Reads a PodTemplate, a Pod, a Job, or the inner part of one: `metadata` and `spec` of a pod. JSON or YAML.
    ///
    /// # Errors
    /// Everything that may not stand there, each with its path.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        read::template(text)
    }

    /// Lays it under `pod`.
    pub fn under(&self, mut pod: Pod) -> Pod {
        lay(pod.metadata.labels.get_or_insert_default(), &self.labels);
        if !self.annotations.is_empty() {
            lay(pod.metadata.annotations.get_or_insert_default(), &self.annotations);
        }
        let Some(spec) = &mut pod.spec else { return pod };
        let under = self.spec.clone();
        if let Some(selector) = &under.node_selector {
            lay(spec.node_selector.get_or_insert_default(), selector);
        }
        append(&mut spec.tolerations, under.tolerations);
        append(&mut spec.image_pull_secrets, under.image_pull_secrets);
        append(&mut spec.host_aliases, under.host_aliases);
        append(&mut spec.topology_spread_constraints, under.topology_spread_constraints);
        append(&mut spec.volumes, under.volumes);
        spec.affinity = spec.affinity.take().or(under.affinity);
        spec.priority_class_name = spec.priority_class_name.take().or(under.priority_class_name);
        spec.preemption_policy = spec.preemption_policy.take().or(under.preemption_policy);
        spec.scheduler_name = spec.scheduler_name.take().or(under.scheduler_name);
        spec.runtime_class_name = spec.runtime_class_name.take().or(under.runtime_class_name);
        spec.dns_policy = spec.dns_policy.take().or(under.dns_policy);
        spec.dns_config = spec.dns_config.take().or(under.dns_config);
        for container in &mut spec.containers {
            let under = self.container.clone();
            let ours: Vec<String> = container.env.iter().flatten().map(|variable| variable.name.clone()).collect();
            let theirs = under.env.into_iter().flatten().filter(|variable| !ours.contains(&variable.name)).collect();
            append(&mut container.env, Some(theirs));
            append(&mut container.env_from, under.env_from);
            append(&mut container.volume_mounts, under.volume_mounts);
        }
        pod
    }
}

fn lay(over: &mut BTreeMap<String, String>, under: &BTreeMap<String, String>) {
    for (key, value) in under {
        over.entry(key.clone()).or_insert_with(|| value.clone());
    }
}

fn append<T>(list: &mut Option<Vec<T>>, more: Option<Vec<T>>) {
    if let Some(more) = more.filter(|more| !more.is_empty()) {
        list.get_or_insert_default().extend(more);
    }
}

#[cfg(test)]
mod tests;
