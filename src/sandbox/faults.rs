//! Failures between an engine and its cluster: the k-th call is not sent, or its answer is lost, or the engine dies there.

use crate::{
    cluster::{Cluster, Freshness, WorkflowRead},
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
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It does not reach the cluster, and the engine knows.
    NotSent,
    /// It is carried out; the engine does not hear of it.
    AnswerLost,
    /// A compare-and-swap meets a conflict (other calls: as [`Fault::NotSent`]).
    Conflict,
    /// The engine dies before it.
    KilledBefore,
    /// It is carried out, and the engine dies before it hears of it.
    KilledAfter,
    /// There is never an answer, and it is not carried out.
    Hangs,
    /// The engine panics.
    Panics,
}

/// A call, as a script of faults sees it.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Its number, from 0, over all calls through this layer.
    pub index: usize,
    /// The method's name.
    pub method: &'static str,
    /// The name of the object, if it is about one.
    pub object: &'a str,
}

type Script = dyn Fn(Call<'_>) -> Fault + Send + Sync;

/// A cluster behind a layer of faults.
pub struct Faulty {
    inner: Arc<dyn Cluster>,
    script: Box<Script>,
    calls: AtomicUsize,
    /// Cancelled when the engine is to die: whoever runs it must drop it.
    pub killed: CancellationToken,
}

impl Faulty {
    /// Puts `script` before `inner`.
    pub fn new(inner: Arc<dyn Cluster>, script: impl Fn(Call<'_>) -> Fault + Send + Sync + 'static) -> Self {
        Self { inner, script: Box::new(script), calls: AtomicUsize::new(0), killed: CancellationToken::new() }
    }

    /// How many calls went through.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    async fn call<T>(
        &self,
        method: &'static str,
        object: &str,
        deed: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let index = self.calls.fetch_add(1, Ordering::Relaxed);
        let compares = matches!(method, "write_workflow" | "renew_lease" | "delete_lease");
        match (self.script)(Call { index, method, object }) {
            Fault::None => deed.await,
            Fault::Conflict if compares => Err(Failure::Conflict),
            Fault::NotSent | Fault::Conflict => {
                Err(Failure::NotDone { error: "injected: not sent".to_owned(), after: None })
            }
            Fault::AnswerLost => {
                deed.await?;
                Err(Failure::Unknown { error: "injected: the answer was lost".to_owned() })
            }
            Fault::KilledBefore => self.die().await,
            Fault::KilledAfter => {
                let _ = deed.await;
                self.die().await
            }
            Fault::Hangs => std::future::pending().await,
            #[allow(clippy::panic, reason = "this is what it is for")]
            Fault::Panics => panic!("injected: a panic over {object}"),
        }
    }

    async fn die<T>(&self) -> T {
        self.killed.cancel();
        std::future::pending().await
    }
}

#[async_trait]
impl Cluster for Faulty {
    async fn list_workflows(&self, look: Look, freshness: Freshness) -> Result<Listed<WorkflowSeen>, Failure> {
        self.call("list_workflows", "", self.inner.list_workflows(look, freshness)).await
    }

    async fn list_secrets(&self, look: Look, freshness: Freshness) -> Result<Option<Listed<WorkflowSeen>>, Failure> {
        match self.inner.list_secrets(look, freshness).await {
            // No call was made.
            Ok(None) => Ok(None),
            asked => self.call("list_secrets", "", async { asked }).await,
        }
    }

    async fn namesake(&self, name: &str) -> Result<Option<WorkflowSeen>, Failure> {
        self.call("namesake", name, self.inner.namesake(name)).await
    }

    async fn read_workflow(&self, name: &str) -> Result<Option<WorkflowSeen>, Failure> {
        self.call("read_workflow", name, self.inner.read_workflow(name)).await
    }

    async fn read_document(&self, name: &str) -> Result<Option<WorkflowRead>, Failure> {
        self.call("read_document", name, self.inner.read_document(name)).await
    }

    async fn write_workflow(&self, name: &str, write: &Write) -> Result<WorkflowSeen, Failure> {
        self.call("write_workflow", name, self.inner.write_workflow(name, write)).await
    }

    async fn list_pods(&self, look: Look, cohorts: &Cohorts, freshness: Freshness) -> Result<Listed<PodSeen>, Failure> {
        self.call("list_pods", "", self.inner.list_pods(look, cohorts, freshness)).await
    }

    async fn read_pod(&self, name: &str) -> Result<Option<PodSeen>, Failure> {
        self.call("read_pod", name, self.inner.read_pod(name)).await
    }

    async fn create_pod(&self, spec: &PodSpec) -> Result<PodSeen, Failure> {
        self.call("create_pod", &spec.name(), self.inner.create_pod(spec)).await
    }

    async fn end_pod(&self, name: &str, uid: &Uid) -> Result<Leaving, Failure> {
        self.call("end_pod", name, self.inner.end_pod(name, uid)).await
    }

    async fn delete_pods(&self, stage: Option<Stage>, owners: &[Owner]) -> Result<(), Failure> {
        self.call("delete_pods", "", self.inner.delete_pods(stage, owners)).await
    }

    async fn list_volumes(&self) -> Result<Listed<VolumeSeen>, Failure> {
        self.call("list_volumes", "", self.inner.list_volumes()).await
    }

    async fn create_volume(&self, job: &JobId, owner: &Uid, kind: Kind) -> Result<VolumeSeen, Failure> {
        self.call("create_volume", job.as_str(), self.inner.create_volume(job, owner, kind)).await
    }

    async fn delete_volumes(&self, owners: &[Owner]) -> Result<(), Failure> {
        self.call("delete_volumes", "", self.inner.delete_volumes(owners)).await
    }

    async fn list_leases(&self) -> Result<Listed<LeaseSeen>, Failure> {
        self.call("list_leases", "", self.inner.list_leases()).await
    }

    async fn create_lease(&self, name: &str, holder: &str, duration: Duration) -> Result<LeaseSeen, Failure> {
        self.call("create_lease", name, self.inner.create_lease(name, holder, duration)).await
    }

    async fn renew_lease(&self, lease: &LeaseSeen, holder: &str) -> Result<LeaseSeen, Failure> {
        self.call("renew_lease", &lease.name, self.inner.renew_lease(lease, holder)).await
    }

    async fn delete_lease(&self, lease: &LeaseSeen) -> Result<(), Failure> {
        self.call("delete_lease", &lease.name, self.inner.delete_lease(lease)).await
    }
}
