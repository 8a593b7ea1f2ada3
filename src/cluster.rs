//! The cluster, as far as the engine needs one: objects that are listed, read, and changed by compare-and-swap.
//!
//! [`Cluster`] is a narrow trait with a written contract; the suite in `tests/contract` holds every implementation
//! to it. [`command`] says how a pod of ours is started.

pub mod archive;
pub mod command;
pub mod kube;
pub mod manifest;
pub mod placement;
pub mod restricted;
pub mod template;

use crate::{
    plan::{
        action::Write,
        cohort::Cohorts,
        kind::Kind,
        look::Look,
        pod::PodSpec,
        seen::{LeaseSeen, Leaving, Listed, Owner, PodSeen, Uid, Version, VolumeSeen, WorkflowSeen},
    },
    workflow::{JobId, Stage, document::Fault},
};
use async_trait::async_trait;
use std::{collections::BTreeMap, time::Duration};

pub use crate::plan::Failure;

/// The keys under which a workflow's document may stand in its ConfigMap.
pub const DOCUMENT_KEYS: [&str; 2] = ["workflow.json", "workflow.yaml"];

/// How fresh a list must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// May come from a cache that has seen this version. Cheap.
    NotOlderThan(Version),
    /// As if read from the store itself. What it does not show is not there.
    Consistent,
}

/// A workflow with its document.
#[derive(Debug, Clone)]
pub struct WorkflowRead {
    /// Its metadata.
    pub seen: WorkflowSeen,
    /// The text under one of [`DOCUMENT_KEYS`], or what is wrong with the keys.
    pub document: Result<String, Fault>,
}

/// The objects of one namespace.
///
/// # Contract
///
/// - **Compare and swap.** [`Cluster::write_workflow`] and [`Cluster::renew_lease`] change an object if and only if it still
///   has the UID and version named; else [`Failure::Conflict`], or [`Failure::NotFound`] if it is gone. Of two with the same
///   version that change it, exactly one succeeds. (One that would change nothing succeeds beside it and makes no new version.)
/// - **Create once by name.** Of any number of requests to create one name, one creates; all others return the object that
///   has the name, whoever owns it.
/// - **Scopes.** A list holds every object in its [`Look`]'s scope and no other, and carries the version it was true at. An
///   object's version is never newer than the list's.
/// - **Versions** grow with every change, over all objects of a kind.
/// - **Deletion by owner.** [`Cluster::delete_pods`] and [`Cluster::delete_volumes`] delete what belongs to the workflows of
///   these UIDs, and nothing of others, be it of the same name.
/// - **Ownership.** When a workflow is deleted, the pods and volumes it owns are deleted too, eventually; so are those that
///   are created for it afterwards, by a request that was under way.
/// - **Ends.** [`Cluster::end_pod`] leaves the pod's object in place, unless it never started. Its containers have the
///   pod's grace period. A pod that is gone, or another of the same name, is [`Failure::NotFound`].
/// - **Unknown outcomes.** An error that is not [`Failure::Unknown`] is definite: nothing was changed.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// Lists workflows that are ConfigMaps: [`Look::Attention`], [`Look::Stopping`], [`Look::Owed`] or [`Look::AuditWorkflows`].
    async fn list_workflows(&self, look: Look, freshness: Freshness) -> Result<Listed<WorkflowSeen>, Failure>;
    /// The same of those that are Secrets; none where Secrets are no workflows. An object without the state label is never
    /// read, here and below.
    async fn list_secrets(&self, _: Look, _: Freshness) -> Result<Option<Listed<WorkflowSeen>>, Failure> {
        Ok(None)
    }
    /// The workflow of the other kind that has the name of this one, consistently. What has no state label is none.
    async fn namesake(&self, _name: &str) -> Result<Option<WorkflowSeen>, Failure> {
        Ok(None)
    }
    /// One workflow's metadata, consistently.
    async fn read_workflow(&self, name: &str) -> Result<Option<WorkflowSeen>, Failure>;
    /// One workflow with its document, consistently.
    async fn read_document(&self, name: &str) -> Result<Option<WorkflowRead>, Failure>;
    /// Sets state and record by compare-and-swap. A record longer than [`crate::workflow::record::MAX_LEN`] could not be
    /// read again: [`Failure::Refused`].
    async fn write_workflow(&self, name: &str, write: &Write) -> Result<WorkflowSeen, Failure>;

    /// Lists pods of these cohorts: [`Look::Finished`] or [`Look::AuditPods`].
    async fn list_pods(&self, look: Look, cohorts: &Cohorts, freshness: Freshness) -> Result<Listed<PodSeen>, Failure>;
    /// One pod, consistently.
    async fn read_pod(&self, name: &str) -> Result<Option<PodSeen>, Failure>;
    /// Creates a pod, or returns the one of that name.
    async fn create_pod(&self, spec: &PodSpec) -> Result<PodSeen, Failure>;
    /// Asks a pod to end: SIGTERM, then SIGKILL after its grace. One that no node has taken is deleted instead, if it is
    /// still so at that moment. Idempotent.
    async fn end_pod(&self, name: &str, uid: &Uid) -> Result<Leaving, Failure>;
    /// Deletes these workflows' pods: those of one stage, or all. Idempotent; an empty list is refused.
    async fn delete_pods(&self, stage: Option<Stage>, owners: &[Owner]) -> Result<(), Failure>;

    /// Lists all volumes of ours, without those that are being deleted: they go in their own time, which may be long.
    async fn list_volumes(&self) -> Result<Listed<VolumeSeen>, Failure>;
    /// Creates a workflow's volume, or returns the one of that name.
    async fn create_volume(&self, job: &JobId, owner: &Uid, kind: Kind) -> Result<VolumeSeen, Failure>;
    /// Deletes the volumes of these workflows. Idempotent; an empty list is refused.
    async fn delete_volumes(&self, owners: &[Owner]) -> Result<(), Failure>;

    /// Lists all engines' Leases.
    async fn list_leases(&self) -> Result<Listed<LeaseSeen>, Failure>;
    /// Creates a Lease, or returns the one of that name.
    async fn create_lease(&self, name: &str, holder: &str, duration: Duration) -> Result<LeaseSeen, Failure>;
    /// Renews a Lease by compare-and-swap: sets its holder and the time of renewal, so that the version always changes. An
    /// empty holder releases it.
    async fn renew_lease(&self, lease: &LeaseSeen, holder: &str) -> Result<LeaseSeen, Failure>;
    /// Deletes a Lease that is still as seen.
    async fn delete_lease(&self, lease: &LeaseSeen) -> Result<(), Failure>;
}

/// The document among a workflow's data.
pub fn document_text(data: &BTreeMap<String, Vec<u8>>) -> Result<String, Fault> {
    let found: Vec<_> = DOCUMENT_KEYS.iter().filter_map(|key| Some((*key, data.get(*key)?))).collect();
    let fault = |message: String| Fault { path: "data".to_owned(), message };
    match found.as_slice() {
        [] => Err(fault(format!("there is no document; put it under the key {}", DOCUMENT_KEYS.join(" or ")))),
        [(key, bytes)] => std::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|error| fault(format!("{key} is not UTF-8 text: {error}"))),
        _ => Err(fault(format!("there are two documents; keep one of {}", DOCUMENT_KEYS.join(" and ")))),
    }
}
