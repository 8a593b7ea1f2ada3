//! A cluster whose requests are counted.

use super::Metrics;
use crate::{
    cluster::{
        Cluster, Freshness, WorkflowRead,
        archive::{Archive, Page, Turn},
    },
    plan::{
        Failure,
        action::Write,
        cohort::Cohorts,
        kind::Kind,
        look::Look,
        pod::PodSpec,
        seen::{LeaseSeen, Leaving, Listed, Owner, PodSeen, Uid, VolumeSeen, WorkflowSeen},
    },
    workflow::{JobId, Stage},
};
use async_trait::async_trait;
use jiff::Timestamp;
use std::{sync::Arc, time::Duration};

/// Counts what passes.
pub struct Counted<C> {
    inner: C,
    metrics: Arc<Metrics>,
}

impl<C> Counted<C> {
    pub(super) fn new(inner: C, metrics: Arc<Metrics>) -> Self {
        Self { inner, metrics }
    }

    async fn count<T>(
        &self,
        verb: &'static str,
        request: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let result = request.await;
        self.metrics.request(verb, &result);
        result
    }
}

#[async_trait]
impl<C: Cluster> Cluster for Counted<C> {
    async fn list_workflows(&self, look: Look, freshness: Freshness) -> Result<Listed<WorkflowSeen>, Failure> {
        self.count("list-workflows", self.inner.list_workflows(look, freshness)).await
    }

    async fn list_secrets(&self, look: Look, freshness: Freshness) -> Result<Option<Listed<WorkflowSeen>>, Failure> {
        match self.inner.list_secrets(look, freshness).await {
            // Nothing was asked.
            Ok(None) => Ok(None),
            asked => self.count("list-secrets", async { asked }).await,
        }
    }

    async fn namesake(&self, name: &str) -> Result<Option<WorkflowSeen>, Failure> {
        self.count("find-namesake", self.inner.namesake(name)).await
    }

    async fn read_workflow(&self, name: &str) -> Result<Option<WorkflowSeen>, Failure> {
        self.count("read-workflow", self.inner.read_workflow(name)).await
    }

    async fn read_document(&self, name: &str) -> Result<Option<WorkflowRead>, Failure> {
        self.count("read-document", self.inner.read_document(name)).await
    }

    async fn write_workflow(&self, name: &str, write: &Write) -> Result<WorkflowSeen, Failure> {
        self.count("write-workflow", self.inner.write_workflow(name, write)).await
    }

    async fn list_pods(&self, look: Look, cohorts: &Cohorts, freshness: Freshness) -> Result<Listed<PodSeen>, Failure> {
        self.count("list-pods", self.inner.list_pods(look, cohorts, freshness)).await
    }

    async fn read_pod(&self, name: &str) -> Result<Option<PodSeen>, Failure> {
        self.count("read-pod", self.inner.read_pod(name)).await
    }

    async fn create_pod(&self, spec: &PodSpec) -> Result<PodSeen, Failure> {
        self.count("create-pod", self.inner.create_pod(spec)).await
    }

    async fn end_pod(&self, name: &str, uid: &Uid) -> Result<Leaving, Failure> {
        self.count("end-pod", self.inner.end_pod(name, uid)).await
    }

    async fn delete_pods(&self, stage: Option<Stage>, owners: &[Owner]) -> Result<(), Failure> {
        self.count("delete-pods", self.inner.delete_pods(stage, owners)).await
    }

    async fn list_volumes(&self) -> Result<Listed<VolumeSeen>, Failure> {
        self.count("list-volumes", self.inner.list_volumes()).await
    }

    async fn create_volume(&self, job: &JobId, owner: &Uid, kind: Kind) -> Result<VolumeSeen, Failure> {
        self.count("create-volume", self.inner.create_volume(job, owner, kind)).await
    }

    async fn delete_volumes(&self, owners: &[Owner]) -> Result<(), Failure> {
        self.count("delete-volumes", self.inner.delete_volumes(owners)).await
    }

    async fn list_leases(&self) -> Result<Listed<LeaseSeen>, Failure> {
        self.count("list-leases", self.inner.list_leases()).await
    }

    async fn create_lease(&self, name: &str, holder: &str, duration: Duration) -> Result<LeaseSeen, Failure> {
        self.count("create-lease", self.inner.create_lease(name, holder, duration)).await
    }

    async fn renew_lease(&self, lease: &LeaseSeen, holder: &str) -> Result<LeaseSeen, Failure> {
        self.count("renew-lease", self.inner.renew_lease(lease, holder)).await
    }

    async fn delete_lease(&self, lease: &LeaseSeen) -> Result<(), Failure> {
        self.count("delete-lease", self.inner.delete_lease(lease)).await
    }
}

#[async_trait]
impl<C: Archive> Archive for Counted<C> {
    async fn page(&self, limit: u32, after: Option<&str>) -> Result<Page, Failure> {
        self.count("page-workflows", self.inner.page(limit, after)).await
    }

    async fn read(&self, name: &str) -> Result<Option<WorkflowSeen>, Failure> {
        self.count("read-workflow", self.inner.read(name)).await
    }

    async fn write(&self, name: &str, write: &Write) -> Result<WorkflowSeen, Failure> {
        self.count("write-workflow", self.inner.write(name, write)).await
    }

    async fn delete(&self, seen: &WorkflowSeen) -> Result<(), Failure> {
        self.count("delete-workflow", self.inner.delete(seen)).await
    }

    async fn now(&self) -> Result<Option<Timestamp>, Failure> {
        self.count("read-clock", self.inner.now()).await
    }

    async fn turn(&self) -> Result<Turn, Failure> {
        self.count("read-turn", self.inner.turn()).await
    }

    async fn set_turn(&self, turn: &Turn, holder: &str, memory: &str) -> Result<Turn, Failure> {
        self.count("write-turn", self.inner.set_turn(turn, holder, memory)).await
    }
}
