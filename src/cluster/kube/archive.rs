//! Kubernetes as an [`Archive`]. The turn is a Lease without the label of the engines' own, so that no engine takes it for
//! that of a dead one; what sweeps leave in writing is an annotation of it.

use super::{
    Kube, classify,
    classify::{read_back_failure, read_failure, write_failure},
    convert::{secret_seen, workflow_seen},
    gone_again,
};
use crate::{
    cluster::{
        Cluster,
        archive::{Archive, Page, Turn, memory_too_long},
    },
    plan::{
        Failure,
        action::Write,
        kind::{self, Kind},
        seen::{Uid, Version, WorkflowSeen},
    },
    workflow::record::STATE_LABEL,
};
use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    api::{DeleteParams, ListParams, PostParams, Preconditions},
    core::Request,
};
use std::collections::BTreeMap;

/// The Lease that is the turn.
const NAME: &str = "operator-engine-sweep";
/// Its annotation that holds [`Turn::memory`].
const MEMORY: &str = "operator-engine/sweep";

#[async_trait]
impl Archive for Kube {
    async fn page(&self, limit: u32, after: Option<&str>) -> Result<Page, Failure> {
        // Where the next page begins is called as a workflow there would be.
        let (kind, after) = after.map(kind::split).unwrap_or_default();
        let mut parameters = ListParams::default().labels(STATE_LABEL).limit(limit);
        parameters.continue_token = Some(after.to_owned()).filter(|token| !token.is_empty());
        let (objects, convert): (_, fn(_) -> _) = match (kind, &self.secrets) {
            (Kind::ConfigMap, _) => (&self.workflows, workflow_seen),
            (Kind::Secret, Some(secrets)) => (secrets, secret_seen),
            (Kind::Secret, None) => return Err(Failure::NotFound),
        };
        let page = objects.page(&parameters, Request::list_metadata, convert).await;
        let (listed, next) = page.map_err(read_failure)?;
        let first_secret = || (kind == Kind::ConfigMap && self.secrets.is_some()).then(|| Kind::Secret.call(""));
        Ok(Page { workflows: listed.items, next: next.map(|token| kind.call(&token)).or_else(first_secret) })
    }

    async fn read(&self, name: &str) -> Result<Option<WorkflowSeen>, Failure> {
        self.read_workflow(name).await
    }

    async fn write(&self, name: &str, write: &Write) -> Result<WorkflowSeen, Failure> {
        self.write_workflow(name, write).await
    }

    async fn delete(&self, seen: &WorkflowSeen) -> Result<(), Failure> {
        let preconditions =
            Some(Preconditions { uid: Some(seen.uid.0.clone()), resource_version: Some(seen.version.0.to_string()) });
        let parameters = DeleteParams { preconditions, ..DeleteParams::background() };
        let (objects, object) = self.objects(&seen.name)?;
        objects.delete(object, &parameters).await.map_err(write_failure)
    }

    async fn now(&self) -> Result<Option<Timestamp>, Failure> {
        self.workflows.date(ListParams::default().labels(STATE_LABEL)).await.map_err(read_failure)
    }

    async fn turn(&self) -> Result<Turn, Failure> {
        if let Some(lease) = self.leases.get_opt(NAME).await.map_err(read_failure)? {
            return Ok(turn(&lease));
        }
        match self.leases.create(&PostParams::default(), &lease(None, "", "")).await {
            Ok(made) => Ok(turn(&made)),
            Err(error) if classify::already_exists(&error) => {
                let found = self.leases.get_opt(NAME).await.map_err(read_back_failure)?;
                found.as_ref().map(turn).ok_or_else(gone_again)
            }
            Err(error) => Err(write_failure(error)),
        }
    }

    async fn set_turn(&self, seen: &Turn, holder: &str, memory: &str) -> Result<Turn, Failure> {
        if let Some(refused) = memory_too_long(memory) {
            return Err(refused);
        }
        let changed = lease(Some(seen), holder, memory);
        match self.leases.replace(NAME, &PostParams::default(), &changed).await.map_err(write_failure) {
            Ok(lease) => Ok(turn(&lease)),
            // One that is gone is a conflict too, with the UID that was named.
            Err(Failure::Conflict) => {
                let there = self.leases.get_metadata_opt(NAME).await.map_err(read_back_failure)?;
                Err(there.map_or(Failure::NotFound, |_| Failure::Conflict))
            }
            Err(failure) => Err(failure),
        }
    }
}

fn lease(seen: Option<&Turn>, holder: &str, memory: &str) -> Lease {
    Lease {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            labels: Some(BTreeMap::from([("app.kubernetes.io/part-of".to_owned(), "operator-engine".to_owned())])),
            annotations: Some(BTreeMap::from([(MEMORY.to_owned(), memory.to_owned())])),
            uid: seen.map(|seen| seen.uid.0.clone()),
            resource_version: seen.map(|seen| seen.version.0.to_string()),
            ..Default::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: (!holder.is_empty()).then(|| holder.to_owned()),
            // For people, and so that every change shows: no sweep compares it with its own clock.
            renew_time: Some(MicroTime(Timestamp::now())),
            ..Default::default()
        }),
    }
}

fn turn(lease: &Lease) -> Turn {
    let metadata = &lease.metadata;
    let version = metadata.resource_version.as_ref().and_then(|version| version.parse().ok());
    let memory = metadata.annotations.as_ref().and_then(|annotations| annotations.get(MEMORY));
    Turn {
        uid: Uid(metadata.uid.clone().unwrap_or_default()),
        version: Version(version.unwrap_or_default()),
        holder: lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).unwrap_or_default(),
        memory: memory.cloned().unwrap_or_default(),
    }
}
