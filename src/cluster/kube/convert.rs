//! Kubernetes' objects as evidence. Whatever an object lacks is simply not seen; nothing here can fail.

use super::{
    COHORT_LABEL, MANAGED_BY, STATE_LABEL, STATUS_ANNOTATION, WORKFLOW_LABEL,
    wire::{Condition, ConfigMap, ContainerState, Meta, Object, Owner, Pod, PodStatus, Secret, Terminated},
};
use crate::{
    plan::{
        end::End,
        kind::Kind,
        seen::{LeaseSeen, PodSeen, Progress, Uid, Version, VolumeSeen, Waiting, WaitingCause, WorkflowSeen},
    },
    workflow::{Order, State},
};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use std::{collections::BTreeMap, time::Duration};

pub(super) fn version(text: Option<&str>) -> Version {
    Version(text.and_then(|text| text.parse().ok()).unwrap_or_default())
}

/// The workflow that owns it.
fn owner(metadata: &Meta) -> Option<(Kind, Uid)> {
    let kind = |owner: &Owner| [Kind::ConfigMap, Kind::Secret].into_iter().find(|kind| kind.as_str() == owner.kind);
    metadata.owner_references.iter().flatten().find_map(|owner| Some((kind(owner)?, Uid(owner.uid.clone()))))
}

pub(super) fn workflow_seen(object: Object) -> WorkflowSeen {
    seen_as(Kind::ConfigMap, object)
}

pub(super) fn secret_seen(object: Object) -> WorkflowSeen {
    seen_as(Kind::Secret, object)
}

pub(super) fn seen_as(kind: Kind, object: Object) -> WorkflowSeen {
    seen(kind, object.metadata)
}

fn seen(kind: Kind, metadata: Meta) -> WorkflowSeen {
    WorkflowSeen {
        version: version(metadata.resource_version.as_deref()),
        created: metadata.creation_timestamp.unwrap_or(Timestamp::UNIX_EPOCH),
        state: metadata.label(STATE_LABEL).and_then(State::from_label),
        status: metadata.annotation(STATUS_ANNOTATION).map(str::to_owned),
        deleting: metadata.deletion_timestamp.is_some(),
        order: Order::read(|name| metadata.annotation(name)),
        name: kind.call(&metadata.name),
        uid: Uid(metadata.uid),
    }
}

/// A workflow, and its data by key.
pub(super) fn document_data(object: ConfigMap) -> (WorkflowSeen, BTreeMap<String, Vec<u8>>) {
    let text = object.data.unwrap_or_default().into_iter().map(|(key, text)| (key, text.into_bytes()));
    let binary = object.binary_data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0));
    (seen(Kind::ConfigMap, object.metadata), text.chain(binary).collect())
}

/// The same of a Secret; none if it is no workflow.
pub(super) fn secret_data(object: Secret) -> Option<(WorkflowSeen, BTreeMap<String, Vec<u8>>)> {
    object.metadata.label(STATE_LABEL)?;
    let data = object.data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0));
    Some((seen(Kind::Secret, object.metadata), data.collect()))
}

/// What the workflow is called that something belongs to.
fn workflow(metadata: &Meta) -> String {
    let kind = owner(metadata).map_or(Kind::ConfigMap, |(kind, _)| kind);
    kind.call(metadata.label(WORKFLOW_LABEL).unwrap_or_default())
}

pub(super) fn volume_seen(object: Object) -> VolumeSeen {
    let metadata = object.metadata;
    VolumeSeen {
        workflow: workflow(&metadata),
        version: version(metadata.resource_version.as_deref()),
        owner: owner(&metadata).map(|(_, uid)| uid),
        uid: Uid(metadata.uid),
    }
}

/// One that nobody has begun to delete.
pub(super) fn volume_kept(object: Object) -> Option<VolumeSeen> {
    object.metadata.deletion_timestamp.is_none().then(|| volume_seen(object))
}

pub(super) fn lease_seen(lease: &Lease) -> LeaseSeen {
    let (metadata, spec) = (lease.metadata.clone(), lease.spec.clone().unwrap_or_default());
    let duration = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or_default();
    LeaseSeen {
        name: metadata.name.unwrap_or_default(),
        uid: Uid(metadata.uid.unwrap_or_default()),
        version: version(metadata.resource_version.as_deref()),
        holder: spec.holder_identity.unwrap_or_default(),
        duration: Duration::from_secs(duration),
    }
}

pub(super) fn pod_seen(pod: Pod) -> PodSeen {
    let metadata = pod.metadata;
    PodSeen {
        version: version(metadata.resource_version.as_deref()),
        workflow: workflow(&metadata),
        // Only what carries our label can be ours, whoever else names the same owner.
        owner: owner(&metadata).map(|(_, uid)| uid).filter(|_| metadata.label(MANAGED_BY.0) == Some(MANAGED_BY.1)),
        cohort: metadata.label(COHORT_LABEL).and_then(|cohort| cohort.parse().ok()),
        deleting: metadata.deletion_timestamp.is_some(),
        progress: pod.status.as_ref().map_or_else(not_started, progress),
        name: metadata.name,
        uid: Uid(metadata.uid),
    }
}

/// Whether the pod will not run any more.
pub(super) fn has_ended(pod: &Pod) -> bool {
    matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"))
}

fn not_started() -> Progress {
    Progress::Waiting(Waiting { cause: WaitingCause::Starting, message: String::new() })
}

fn progress(status: &PodStatus) -> Progress {
    match status.phase.as_deref() {
        Some("Succeeded" | "Failed") => Progress::Ended(end(status)),
        Some("Running") => Progress::Running,
        _ => Progress::Waiting(waiting(status)),
    }
}

fn container_state(status: &PodStatus) -> Option<&ContainerState> {
    status.container_statuses.as_ref()?.first()?.state.as_ref()
}

fn condition<'a>(status: &'a PodStatus, kind: &str) -> Option<&'a Condition> {
    status.conditions.iter().flatten().find(|condition| condition.r#type == kind)
}

fn end(status: &PodStatus) -> End {
    let terminated = container_state(status).and_then(|state| state.terminated.as_ref());
    let of_container = |pick: fn(&Terminated) -> Option<String>| terminated.and_then(pick);
    let disruption = condition(status, "DisruptionTarget").filter(|condition| condition.status == "True");
    let reason = status.reason.clone().or_else(|| disruption.and_then(|condition| condition.reason.clone()));
    let reason = reason.or_else(|| of_container(|terminated| terminated.reason.clone()));
    let message = of_container(|terminated| terminated.message.clone());
    // A deadline says nothing worth reading and leaves the stage's report; an eviction says what was short.
    let message = match status.reason.as_deref() {
        None | Some("DeadlineExceeded") => message.or_else(|| status.message.clone()),
        Some(_) => status.message.clone().or(message),
    };
    End {
        exit_code: terminated.map(|terminated| terminated.exit_code),
        reason,
        disrupted: disruption.is_some(),
        message: message.unwrap_or_default(),
        image_id: image_id(status),
    }
}

/// dockershim and its successor put a scheme before it, which says nothing about the image.
fn image_id(status: &PodStatus) -> Option<String> {
    let id = &status.container_statuses.as_ref()?.first()?.image_id;
    let id = id.split_once("://").map_or(id.as_str(), |(_, id)| id);
    (!id.is_empty()).then(|| id.to_owned())
}

fn waiting(status: &PodStatus) -> Waiting {
    if let Some(scheduled) = condition(status, "PodScheduled").filter(|condition| condition.status == "False") {
        let message = scheduled.message.clone().unwrap_or_default();
        // The scheduler waits for volumes too, and says so in words only.
        let volume = message.contains("persistentvolumeclaim") || message.contains("PersistentVolume");
        let volume = volume || message.contains("persistent volumes to bind");
        let cause = if volume { WaitingCause::Volume } else { WaitingCause::Unschedulable };
        return Waiting { cause, message };
    }
    let Some(waiting) = container_state(status).and_then(|state| state.waiting.as_ref()) else {
        return Waiting { cause: WaitingCause::Starting, message: String::new() };
    };
    let reason = waiting.reason.as_deref().unwrap_or_default();
    let cause = match reason {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => WaitingCause::Image,
        _ => WaitingCause::Starting,
    };
    let message = waiting.message.as_deref().map(|message| format!("{reason}: {message}"));
    Waiting { cause, message: message.unwrap_or_else(|| reason.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ended(status: serde_json::Value) -> End {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).unwrap();
        match pod_seen(pod).progress {
            Progress::Ended(end) => end,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_end_is_told_by_whoever_caused_it() {
        let exited = json!([{"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 143, "reason": "Error", "message": "last words"}}}]);
        let by_itself = ended(json!({"phase": "Failed", "containerStatuses": exited}));
        let told = |end: &End| (end.reason.clone().unwrap_or_default(), end.disrupted, end.message.clone());
        assert_eq!(told(&by_itself), ("Error".to_owned(), false, "last words".to_owned()));
        // As the eviction API leaves it, for a moment.
        let evicted = json!([{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}]);
        let evicted = ended(json!({"phase": "Failed", "conditions": evicted, "containerStatuses": exited}));
        assert_eq!(told(&evicted), ("EvictionByEvictionAPI".to_owned(), true, "last words".to_owned()));
        // As the kubelet ends what uses too much; its message says what.
        let over = json!({"phase": "Failed", "reason": "Evicted", "message": "Usage of EmptyDir volume …",
            "containerStatuses": exited});
        assert_eq!(told(&ended(over)), ("Evicted".to_owned(), false, "Usage of EmptyDir volume …".to_owned()));
        let deadline = json!({"phase": "Failed", "reason": "DeadlineExceeded", "message": "Pod was active …",
            "containerStatuses": exited});
        assert_eq!(told(&ended(deadline)), ("DeadlineExceeded".to_owned(), false, "last words".to_owned()));
    }

    #[test]
    fn the_image_that_ran_is_told_as_the_node_has_it() {
        let id = |id: &str| {
            let container = json!([{"name": "c", "image": "i", "imageID": id, "ready": false, "restartCount": 0,
                "state": {"terminated": {"exitCode": 0}}}]);
            ended(json!({"phase": "Succeeded", "containerStatuses": container})).image_id
        };
        assert_eq!(id("docker.io/library/python@sha256:ab").as_deref(), Some("docker.io/library/python@sha256:ab"));
        assert_eq!(id("docker-pullable://python@sha256:ab").as_deref(), Some("python@sha256:ab"));
        assert_eq!(id(""), None);
        assert_eq!(ended(json!({"phase": "Failed"})).image_id, None);
    }
}
