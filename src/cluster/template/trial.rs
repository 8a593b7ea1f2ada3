//! Templates tried on before any pod is made: what their fields do together with the engine's own shows only there.

use crate::{
    cluster::{
        manifest::{self, Settings},
        restricted::{Profile, violations},
    },
    plan::{Policy, kind::Kind, pod::spec_for, seen::Uid, transition},
    workflow::{Document, Stage, record::Holder},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use std::{collections::BTreeSet, sync::Arc};

/// What is wrong with each template once it lies under a pod, with the name of its file.
pub fn faults(settings: &Settings, policy: &Policy) -> Vec<String> {
    settings.templates.keys().flat_map(|stage| of_stage(*stage, settings, policy)).collect()
}

fn of_stage(stage: Stage, settings: &Settings, policy: &Policy) -> Vec<String> {
    let Some(pod) = sample(stage, settings, policy) else { return Vec::new() };
    let profile = if settings.allow_root { Profile::RootAllowed } else { Profile::Restricted };
    let mut faults = violations(&pod, profile);
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut places = BTreeSet::new();
    for mount in containers.flat_map(|container| container.volume_mounts.iter().flatten()) {
        if !places.insert(mount.mount_path.trim_end_matches('/')) {
            faults.push(format!("{} is mounted twice", mount.mount_path));
        }
    }
    faults.into_iter().map(|fault| format!("{stage}.yaml: {fault}")).collect()
}

/// A workflow that says little.
const EXAMPLE: &str = r#"{"stages": [{"algorithm": {"rawcode": "exit 0",
    "container": {"image": "example.com/image", "tag": "1", "entrypoint": "sh $ALGO"}}}]}"#;

/// A pod as `stage` gets it, of a workflow that says little.
pub fn sample(stage: Stage, settings: &Settings, policy: &Policy) -> Option<Pod> {
    pod_of(Document::parse(EXAMPLE).ok()?, stage, settings, policy)
}

/// A pod as `stage` gets it of this document, just claimed as the workflow `example`.
pub fn pod_of(document: Document, stage: Stage, settings: &Settings, policy: &Policy) -> Option<Pod> {
    let job = "example".parse().ok()?;
    let holder = Holder { lease: "example".to_owned(), identity: "example".to_owned() };
    let record = transition::claimed(&holder, document.sha256, Timestamp::UNIX_EPOCH);
    let owner = Uid("00000000-0000-4000-8000-000000000000".to_owned());
    let spec = spec_for(&job, &owner, Kind::ConfigMap, Some(&Arc::new(document)), &record, stage, policy)?;
    Some(manifest::pod(&spec, settings))
}
