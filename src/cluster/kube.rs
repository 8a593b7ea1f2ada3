//! Kubernetes as a [`Cluster`]: the only place that names `kube`.
//!
//! Requests are sent once: the client's own retry is off, because it repeats writes blindly, minutes after the Lease that
//! justified them may have run out (kube-rs/kube#2082). Reads have a time limit, which the client by default has not. Lists
//! of workflows fetch metadata only, and of what comes only the parts that count are kept (`wire`). Absent: watches,
//! cluster-scoped requests; Secrets, unless they are workflows (`secrets`); logs are read for people only ([`Submitter`]).

pub mod announce;
mod archive;
mod classify;
mod connect;
mod convert;
pub mod events;
mod lease;
mod lists;
mod objects;
mod retry_after;
mod secrets;
mod submitter;
mod wire;

pub use connect::{ConnectError, Connection, connect};
pub use secrets::decoded;
pub use submitter::{Log, Registered, Registration, Submitter};

use super::{
    Cluster, Freshness, WorkflowRead, document_text,
    manifest::{self, COHORT_LABEL, COMPONENT_LABEL, MANAGED_BY, OWNER_LABEL, STAGE_LABEL, Settings, WORKFLOW_LABEL},
    restricted::{Profile, violations},
};
use crate::{
    plan::{
        Failure,
        action::Write,
        cohort::Cohorts,
        kind::{self, Kind},
        look::Look,
        pod::PodSpec,
        seen::{LeaseSeen, Leaving, Listed, Owner, PodSeen, Uid, VolumeSeen, WorkflowSeen},
    },
    workflow::{
        JobId, Stage,
        notice::{NOTIFY_LABEL, OWED},
        record::{MAX_LEN, STATE_LABEL, STATUS_ANNOTATION},
    },
};
use async_trait::async_trait;
use classify::{read_back_failure, read_failure, write_failure};
use convert::{document_data, lease_seen, pod_seen, secret_seen, seen_as, volume_seen, workflow_seen};
use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod},
};
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams, Preconditions},
    core::Request,
};
use lease::lease;
use objects::Objects;
use serde_json::json;
use std::time::Duration;

/// A namespace of a Kubernetes cluster.
pub struct Kube {
    workflows: Objects,
    /// None where they are no workflows: then no request about one is made.
    secrets: Option<Objects>,
    pods: Objects,
    volumes: Objects,
    leases: Api<Lease>,
    settings: Settings,
}

impl Kube {
    /// The objects of `namespace`, by way of `client`.
    pub fn new(client: &Client, namespace: &str, settings: Settings) -> Self {
        Self {
            workflows: Objects::of::<ConfigMap>(client, namespace),
            secrets: None,
            pods: Objects::of::<Pod>(client, namespace),
            volumes: Objects::of::<PersistentVolumeClaim>(client, namespace),
            leases: Api::namespaced(client.clone(), namespace),
            settings,
        }
    }
}

#[async_trait]
impl Cluster for Kube {
    async fn list_workflows(&self, look: Look, freshness: Freshness) -> Result<Listed<WorkflowSeen>, Failure> {
        let parameters = lists::fresh(lists::workflows(look), freshness);
        self.workflows.list(parameters, Request::list_metadata, workflow_seen).await.map_err(read_failure)
    }

    async fn list_secrets(&self, look: Look, freshness: Freshness) -> Result<Option<Listed<WorkflowSeen>>, Failure> {
        let Some(secrets) = &self.secrets else { return Ok(None) };
        let parameters = lists::fresh(lists::workflows(look), freshness);
        secrets.list(parameters, Request::list_metadata, secret_seen).await.map(Some).map_err(read_failure)
    }

    async fn namesake(&self, name: &str) -> Result<Option<WorkflowSeen>, Failure> {
        match kind::split(name) {
            (Kind::Secret, object) => secrets::labelled(&self.workflows, object, workflow_seen).await,
            (Kind::ConfigMap, object) => self.secret(object).await,
        }
    }

    async fn read_workflow(&self, name: &str) -> Result<Option<WorkflowSeen>, Failure> {
        match kind::split(name) {
            (Kind::Secret, object) => self.secret(object).await,
            (Kind::ConfigMap, _) => {
                Ok(self.workflows.get_metadata(name).await.map_err(read_failure)?.map(workflow_seen))
            }
        }
    }

    async fn read_document(&self, name: &str) -> Result<Option<WorkflowRead>, Failure> {
        if let (Kind::Secret, object) = kind::split(name) {
            return self.secret_document(object).await;
        }
        let found = self.workflows.get(name).await.map_err(read_failure)?;
        Ok(found.map(document_data).map(|(seen, data)| WorkflowRead { seen, document: document_text(&data) }))
    }

    async fn write_workflow(&self, name: &str, write: &Write) -> Result<WorkflowSeen, Failure> {
        let record = write.record.render();
        if record.len() > MAX_LEN {
            let message = format!("the record has {} bytes, at most {MAX_LEN} could be read again", record.len());
            return Err(Failure::Refused { reason: "RecordTooLong".to_owned(), message });
        }
        let patch = json!({"metadata": {
            // The preconditions.
            "uid": write.uid.0,
            "resourceVersion": write.version.0.to_string(),
            // Null takes a label away.
            "labels": {STATE_LABEL: write.state.as_str(), NOTIFY_LABEL: write.record.notices.owed().then_some(OWED)},
            "annotations": {STATUS_ANNOTATION: record},
        }});
        let (objects, object) = self.objects(name)?;
        match objects.patch_metadata(object, &patch).await {
            Ok(object) => Ok(seen_as(Kind::of(name), object)),
            Err(error) if classify::is_another(&error) => Err(Failure::Conflict),
            Err(error) => Err(write_failure(error)),
        }
    }

    async fn list_pods(&self, look: Look, cohorts: &Cohorts, freshness: Freshness) -> Result<Listed<PodSeen>, Failure> {
        let parameters = lists::fresh(lists::pods(look, cohorts), freshness);
        self.pods.list(parameters, Request::list, pod_seen).await.map_err(read_failure)
    }

    async fn read_pod(&self, name: &str) -> Result<Option<PodSeen>, Failure> {
        Ok(self.pods.get(name).await.map_err(read_failure)?.map(pod_seen))
    }

    async fn create_pod(&self, spec: &PodSpec) -> Result<PodSeen, Failure> {
        let pod = manifest::pod(spec, &self.settings);
        let profile = if self.settings.allow_root { Profile::RootAllowed } else { Profile::Restricted };
        let broken = violations(&pod, profile);
        if !broken.is_empty() {
            let message = format!("the pod would break rules of pod security: {}", broken.join("; "));
            return Err(Failure::Refused { reason: "PodSecurity".to_owned(), message });
        }
        match self.pods.create(&pod).await {
            Ok(made) => Ok(pod_seen(made)),
            Err(error) if classify::already_exists(&error) => {
                let found = self.pods.get(&spec.name()).await.map_err(read_back_failure)?;
                found.map(pod_seen).ok_or_else(gone_again)
            }
            Err(error) => Err(write_failure(error)),
        }
    }

    async fn end_pod(&self, name: &str, uid: &Uid) -> Result<Leaving, Failure> {
        // A deadline in the past: the kubelet ends the pod as it ends one whose time is up, and the object stays, with
        // exit code and message. Deleting it would take both along, and free its name.
        let patch = json!({"metadata": {"uid": uid.0}, "spec": {"activeDeadlineSeconds": 1}});
        let pod: wire::Pod = match self.pods.patch(name, &patch).await {
            Err(error) if classify::is_another(&error) => return Err(Failure::NotFound),
            other => other.map_err(write_failure)?,
        };
        let scheduled = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
        if scheduled || convert::has_ended(&pod) {
            return Ok(Leaving::Asked);
        }
        // No kubelet has it, so nothing would ever end it. If a node takes it at this moment, the version is another one, and
        // it is asked again: what is deleted here has certainly never run.
        let resource_version = pod.metadata.resource_version.clone();
        let preconditions = Some(Preconditions { uid: Some(uid.0.clone()), resource_version });
        let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
        self.pods.delete(name, &parameters).await.map(|()| Leaving::Deleted).map_err(write_failure)
    }

    async fn delete_pods(&self, stage: Option<Stage>, owners: &[Owner]) -> Result<(), Failure> {
        let selector = lists::owned_by(stage, owners)?;
        self.pods.delete_collection(&selector).await.map_err(write_failure)
    }

    async fn list_volumes(&self) -> Result<Listed<VolumeSeen>, Failure> {
        let list = self.volumes.list(lists::ours(), Request::list_metadata, convert::volume_kept).await;
        let Listed { items, version } = list.map_err(read_failure)?;
        Ok(Listed { items: items.into_iter().flatten().collect(), version })
    }

    async fn create_volume(&self, job: &JobId, owner: &Uid, kind: Kind) -> Result<VolumeSeen, Failure> {
        let claim = manifest::volume(job, owner, kind, &self.settings);
        match self.volumes.create(&claim).await {
            Ok(made) => Ok(volume_seen(made)),
            Err(error) if classify::already_exists(&error) => {
                let name = claim.metadata.name.unwrap_or_default();
                let found = self.volumes.get_metadata(&name).await.map_err(read_back_failure)?;
                found.map(volume_seen).ok_or_else(gone_again)
            }
            Err(error) => Err(write_failure(error)),
        }
    }

    async fn delete_volumes(&self, owners: &[Owner]) -> Result<(), Failure> {
        let selector = lists::owned_by(None, owners)?;
        self.volumes.delete_collection(&selector).await.map_err(write_failure)
    }

    async fn list_leases(&self) -> Result<Listed<LeaseSeen>, Failure> {
        let list = self.leases.list(&lists::ours()).await.map_err(read_failure)?;
        let version = convert::version(list.metadata.resource_version.as_deref());
        Ok(Listed { items: list.items.iter().map(lease_seen).collect(), version })
    }

    async fn create_lease(&self, name: &str, holder: &str, duration: Duration) -> Result<LeaseSeen, Failure> {
        let lease = lease(name, holder, duration, None);
        match self.leases.create(&PostParams::default(), &lease).await {
            Ok(made) => Ok(lease_seen(&made)),
            Err(error) if classify::already_exists(&error) => {
                let found = self.leases.get_opt(name).await.map_err(read_back_failure)?;
                found.as_ref().map(lease_seen).ok_or_else(gone_again)
            }
            Err(error) => Err(write_failure(error)),
        }
    }

    async fn renew_lease(&self, seen: &LeaseSeen, holder: &str) -> Result<LeaseSeen, Failure> {
        let renewed = lease(&seen.name, holder, seen.duration, Some(seen));
        match self.leases.replace(&seen.name, &PostParams::default(), &renewed).await.map_err(write_failure) {
            Ok(lease) => Ok(lease_seen(&lease)),
            // One that is gone is a conflict too, with the UID that was named.
            Err(Failure::Conflict) => {
                let there = self.leases.get_metadata_opt(&seen.name).await.map_err(read_back_failure)?;
                Err(there.map_or(Failure::NotFound, |_| Failure::Conflict))
            }
            Err(failure) => Err(failure),
        }
    }

    async fn delete_lease(&self, seen: &LeaseSeen) -> Result<(), Failure> {
        let preconditions =
            Some(Preconditions { uid: Some(seen.uid.0.clone()), resource_version: Some(seen.version.0.to_string()) });
        let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
        self.leases.delete(&seen.name, &parameters).await.map(|_| ()).map_err(write_failure)
    }
}

/// The name was taken, and is free again when one looks who has it.
fn gone_again() -> Failure {
    Failure::NotDone { error: "the name was taken a moment ago".to_owned(), after: None }
}
