//! Secrets in the place of ConfigMaps, so that the contract's checks, which know only names, hold both to the same rules.

use async_trait::async_trait;
use jiff::Timestamp;
use operator_engine::{
    cluster::{
        Cluster, Freshness, WorkflowRead,
        archive::{Archive, Page, Turn},
        kube::Kube,
    },
    plan::{
        Failure,
        action::Write,
        cohort::Cohorts,
        kind::{self, Kind},
        look::Look,
        pod::PodSpec,
        seen::{LeaseSeen, Leaving, Listed, Owner, PodSeen, Uid, VolumeSeen, WorkflowSeen},
    },
    workflow::{JobId, Stage},
};
use std::{sync::Arc, time::Duration};

/// Each name is taken for a Secret's.
pub(crate) struct AsSecrets(pub(crate) Arc<Kube>);

fn secret(name: &str) -> String {
    Kind::Secret.call(name)
}

fn plain(name: &str) -> String {
    let (kind, object) = kind::split(name);
    assert_eq!(kind, Kind::Secret, "{name}");
    object.to_owned()
}

fn seen(seen: WorkflowSeen) -> WorkflowSeen {
    WorkflowSeen { name: plain(&seen.name), ..seen }
}

fn pod(pod: PodSeen) -> PodSeen {
    PodSeen { workflow: plain(&pod.workflow), ..pod }
}

fn volume(volume: VolumeSeen) -> VolumeSeen {
    VolumeSeen { workflow: plain(&volume.workflow), ..volume }
}

#[async_trait]
impl Cluster for AsSecrets {
    async fn list_workflows(&self, look: Look, freshness: Freshness) -> Result<Listed<WorkflowSeen>, Failure> {
        let list = self.0.list_secrets(look, freshness).await?.expect("they are workflows");
        Ok(Listed { items: list.items.into_iter().map(seen).collect(), version: list.version })
    }

    async fn read_workflow(&self, name: &str) -> Result<Option<WorkflowSeen>, Failure> {
        Ok(self.0.read_workflow(&secret(name)).await?.map(seen))
    }

    async fn read_document(&self, name: &str) -> Result<Option<WorkflowRead>, Failure> {
        let read = self.0.read_document(&secret(name)).await?;
        Ok(read.map(|read| WorkflowRead { seen: seen(read.seen), ..read }))
    }

    async fn write_workflow(&self, name: &str, write: &Write) -> Result<WorkflowSeen, Failure> {
        self.0.write_workflow(&secret(name), write).await.map(seen)
    }

    async fn list_pods(&self, look: Look, cohorts: &Cohorts, freshness: Freshness) -> Result<Listed<PodSeen>, Failure> {
        let list = self.0.list_pods(look, cohorts, freshness).await?;
        Ok(Listed { items: list.items.into_iter().map(pod).collect(), version: list.version })
    }

    async fn read_pod(&self, name: &str) -> Result<Option<PodSeen>, Failure> {
        Ok(self.0.read_pod(name).await?.map(pod))
    }

    async fn create_pod(&self, spec: &PodSpec) -> Result<PodSeen, Failure> {
        self.0.create_pod(&PodSpec { kind: Kind::Secret, ..spec.clone() }).await.map(pod)
    }

    async fn end_pod(&self, name: &str, uid: &Uid) -> Result<Leaving, Failure> {
        self.0.end_pod(name, uid).await
    }

    async fn delete_pods(&self, stage: Option<Stage>, owners: &[Owner]) -> Result<(), Failure> {
        self.0.delete_pods(stage, owners).await
    }

    async fn list_volumes(&self) -> Result<Listed<VolumeSeen>, Failure> {
        let list = self.0.list_volumes().await?;
        Ok(Listed { items: list.items.into_iter().map(volume).collect(), version: list.version })
    }

    async fn create_volume(&self, job: &JobId, owner: &Uid, _: Kind) -> Result<VolumeSeen, Failure> {
        self.0.create_volume(job, owner, Kind::Secret).await.map(volume)
    }

    async fn delete_volumes(&self, owners: &[Owner]) -> Result<(), Failure> {
        self.0.delete_volumes(owners).await
    }

    async fn list_leases(&self) -> Result<Listed<LeaseSeen>, Failure> {
        self.0.list_leases().await
    }

    async fn create_lease(&self, name: &str, holder: &str, duration: Duration) -> Result<LeaseSeen, Failure> {
        self.0.create_lease(name, holder, duration).await
    }

    async fn renew_lease(&self, lease: &LeaseSeen, holder: &str) -> Result<LeaseSeen, Failure> {
        self.0.renew_lease(lease, holder).await
    }

    async fn delete_lease(&self, lease: &LeaseSeen) -> Result<(), Failure> {
        self.0.delete_lease(lease).await
    }
}

#[async_trait]
impl Archive for AsSecrets {
    async fn page(&self, limit: u32, after: Option<&str>) -> Result<Page, Failure> {
        let page = self.0.page(limit, after).await?;
        Ok(Page { workflows: page.workflows.into_iter().map(seen).collect(), next: page.next })
    }

    async fn read(&self, name: &str) -> Result<Option<WorkflowSeen>, Failure> {
        Ok(self.0.read(&secret(name)).await?.map(seen))
    }

    async fn write(&self, name: &str, write: &Write) -> Result<WorkflowSeen, Failure> {
        self.0.write(&secret(name), write).await.map(seen)
    }

    async fn delete(&self, seen: &WorkflowSeen) -> Result<(), Failure> {
        self.0.delete(&WorkflowSeen { name: secret(&seen.name), ..seen.clone() }).await
    }

    async fn now(&self) -> Result<Option<Timestamp>, Failure> {
        self.0.now().await
    }

    async fn turn(&self) -> Result<Turn, Failure> {
        self.0.turn().await
    }

    async fn set_turn(&self, turn: &Turn, holder: &str, memory: &str) -> Result<Turn, Failure> {
        self.0.set_turn(turn, holder, memory).await
    }
}
