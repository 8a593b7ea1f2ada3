//! The sandbox as a [`Cluster`].

use super::{
    Sandbox,
    kubelet::{self, StopHandle},
};
use crate::{
    cluster::{Cluster, Freshness, WorkflowRead, document_text},
    plan::{
        Failure,
        action::Write,
        cohort::Cohorts,
        kind::{self, Kind},
        look::Look,
        pod::PodSpec,
        seen::{LeaseSeen, Leaving, Listed, Owner, PodSeen, Uid, VolumeSeen, WorkflowSeen, volume_name},
    },
    workflow::{JobId, Stage},
};
use async_trait::async_trait;
use std::time::Duration;

#[async_trait]
impl Cluster for Sandbox {
    async fn list_workflows(&self, look: Look, _: Freshness) -> Result<Listed<WorkflowSeen>, Failure> {
        Ok(self.store().list_workflows(Kind::ConfigMap, look))
    }

    async fn list_secrets(&self, look: Look, _: Freshness) -> Result<Option<Listed<WorkflowSeen>>, Failure> {
        let store = self.store();
        Ok(store.secrets.then(|| store.list_workflows(Kind::Secret, look)))
    }

    async fn namesake(&self, name: &str) -> Result<Option<WorkflowSeen>, Failure> {
        Ok(self.workflow(&kind::namesake(name)).filter(|seen| seen.state.is_some()))
    }

    async fn read_workflow(&self, name: &str) -> Result<Option<WorkflowSeen>, Failure> {
        Ok(self.workflow(name))
    }

    async fn read_document(&self, name: &str) -> Result<Option<WorkflowRead>, Failure> {
        let store = self.store();
        let read = |workflow: &super::store::Workflow| WorkflowRead {
            seen: workflow.seen.clone(),
            document: document_text(&workflow.data),
        };
        Ok(store.workflows.get(name).map(read))
    }

    async fn write_workflow(&self, name: &str, write: &Write) -> Result<WorkflowSeen, Failure> {
        let at = self.since_start();
        self.store().write(name, write, at)
    }

    async fn list_pods(&self, look: Look, cohorts: &Cohorts, _: Freshness) -> Result<Listed<PodSeen>, Failure> {
        Ok(self.store().list_pods(look, cohorts))
    }

    async fn read_pod(&self, name: &str) -> Result<Option<PodSeen>, Failure> {
        Ok(self.store().pods.get(name).map(|pod| pod.seen.clone()))
    }

    async fn create_pod(&self, spec: &PodSpec) -> Result<PodSeen, Failure> {
        let at = self.since_start();
        let (stop, stopped) = StopHandle::new();
        let (seen, data) = {
            let mut store = self.store();
            let (seen, made) = store.create_pod(spec, stop, at);
            if !made {
                return Ok(seen);
            }
            let data = store.workflows.get(&seen.workflow).map(|workflow| workflow.data.clone()).unwrap_or_default();
            (seen, data)
        };
        kubelet::start(self.clone(), self.kubelet.clone(), spec.clone(), seen.uid.clone(), data, stopped);
        Ok(seen)
    }

    async fn end_pod(&self, name: &str, uid: &Uid) -> Result<Leaving, Failure> {
        let at = self.since_start();
        self.store().end_pod(name, uid, at)
    }

    async fn delete_pods(&self, stage: Option<Stage>, owners: &[Owner]) -> Result<(), Failure> {
        not_empty(owners)?;
        let at = self.since_start();
        self.store().delete_pods(stage, owners, at);
        Ok(())
    }

    async fn list_volumes(&self) -> Result<Listed<VolumeSeen>, Failure> {
        let store = self.store();
        Ok(Listed { items: store.volumes.values().cloned().collect(), version: store.version() })
    }

    async fn create_volume(&self, job: &JobId, owner: &Uid, kind: Kind) -> Result<VolumeSeen, Failure> {
        let (volume, made, kept) = {
            let mut store = self.store();
            let (volume, made) = store.create_volume(job, owner, kind);
            (volume, made, store.volumes.contains_key(&volume_name(job)))
        };
        if made && kept {
            self.kubelet.volume_created(job);
        }
        Ok(volume)
    }

    async fn delete_volumes(&self, owners: &[Owner]) -> Result<(), Failure> {
        not_empty(owners)?;
        let deleted = self.store().delete_volumes(owners);
        deleted.iter().for_each(|job| self.kubelet.volume_deleted(job));
        Ok(())
    }

    async fn list_leases(&self) -> Result<Listed<LeaseSeen>, Failure> {
        let store = self.store();
        Ok(Listed { items: store.leases.values().cloned().collect(), version: store.version() })
    }

    async fn create_lease(&self, name: &str, holder: &str, duration: Duration) -> Result<LeaseSeen, Failure> {
        Ok(self.store().create_lease(name, holder, duration))
    }

    async fn renew_lease(&self, lease: &LeaseSeen, holder: &str) -> Result<LeaseSeen, Failure> {
        self.store().renew_lease(lease, holder)
    }

    async fn delete_lease(&self, lease: &LeaseSeen) -> Result<(), Failure> {
        self.store().delete_lease(lease)
    }
}

/// A selector built from an empty list would select everything.
fn not_empty(owners: &[Owner]) -> Result<(), Failure> {
    if owners.is_empty() {
        let message = "a deletion names the workflows it is about".to_owned();
        return Err(Failure::Refused { reason: "EmptySelector".to_owned(), message });
    }
    Ok(())
}
