//! The judge bites: an engine that breaks one rule is caught. Each variant stands between a real engine and its cluster and
//! does what a wrong engine would do.

use crate::world::{Life, World, happy};
use async_trait::async_trait;
use operator_engine::{
    cluster::{Cluster, Freshness, WorkflowRead},
    plan::{
        Failure,
        action::Write,
        cohort::Cohorts,
        kind::Kind,
        look::Look,
        pod::PodSpec,
        seen::{LeaseSeen, Leaving, Listed, Owner, PodSeen, Uid, Version, VolumeSeen, WorkflowSeen},
    },
    sandbox::faults::{Fault, Faulty},
    workflow::{JobId, Outcome, Phase, Stage, State},
};
use std::{sync::Arc, time::Duration};

#[derive(Clone, Copy, PartialEq)]
enum Rule {
    /// Pods are created before their intent is recorded.
    IntentFirst,
    /// A pod's name is not the same for every attempt to create it.
    Once,
    /// The record is written without comparing versions: a stop is overwritten.
    CompareAndSwap,
    /// Success is claimed without a manifest.
    Verified,
}

struct Broken {
    inner: Arc<dyn Cluster>,
    rule: Rule,
}

#[async_trait]
impl Cluster for Broken {
    async fn write_workflow(&self, name: &str, write: &Write) -> Result<WorkflowSeen, Failure> {
        let mut write = write.clone();
        let next = write.record.phase;
        match self.rule {
            Rule::IntentFirst if next == Phase::Algorithm => {
                // As if the write came later: the engine is told that it was done.
                let seen = self.inner.read_workflow(name).await?.ok_or(Failure::NotFound)?;
                let (status, version) = (Some(write.record.render()), Version(seen.version.0 + 1));
                return Ok(WorkflowSeen { status, state: Some(write.state), version, ..seen });
            }
            Rule::CompareAndSwap => {
                write.version = self.inner.read_workflow(name).await?.ok_or(Failure::NotFound)?.version;
            }
            Rule::Verified if next == Phase::Publish => {
                write.record.phase = Phase::Done;
                write.record.outcome = Some(Outcome::Succeeded);
            }
            _ => {}
        }
        self.inner.write_workflow(name, &write).await
    }

    async fn create_pod(&self, spec: &PodSpec) -> Result<PodSeen, Failure> {
        let pod = self.inner.create_pod(spec).await?;
        if self.rule == Rule::Once && spec.attempt == 0 {
            // A second object for the same stage and attempt, as a generated name would allow.
            self.inner.delete_pods(None, &[Owner { job: spec.job.clone(), uid: spec.owner.clone() }]).await?;
            return self.inner.create_pod(spec).await;
        }
        Ok(pod)
    }

    async fn list_workflows(&self, look: Look, freshness: Freshness) -> Result<Listed<WorkflowSeen>, Failure> {
        self.inner.list_workflows(look, freshness).await
    }
    async fn read_workflow(&self, name: &str) -> Result<Option<WorkflowSeen>, Failure> {
        self.inner.read_workflow(name).await
    }
    async fn read_document(&self, name: &str) -> Result<Option<WorkflowRead>, Failure> {
        self.inner.read_document(name).await
    }
    async fn list_pods(&self, look: Look, cohorts: &Cohorts, freshness: Freshness) -> Result<Listed<PodSeen>, Failure> {
        self.inner.list_pods(look, cohorts, freshness).await
    }
    async fn read_pod(&self, name: &str) -> Result<Option<PodSeen>, Failure> {
        self.inner.read_pod(name).await
    }
    async fn end_pod(&self, name: &str, uid: &Uid) -> Result<Leaving, Failure> {
        self.inner.end_pod(name, uid).await
    }
    async fn delete_pods(&self, stage: Option<Stage>, owners: &[Owner]) -> Result<(), Failure> {
        self.inner.delete_pods(stage, owners).await
    }
    async fn list_volumes(&self) -> Result<Listed<VolumeSeen>, Failure> {
        self.inner.list_volumes().await
    }
    async fn create_volume(&self, job: &JobId, owner: &Uid, kind: Kind) -> Result<VolumeSeen, Failure> {
        self.inner.create_volume(job, owner, kind).await
    }
    async fn delete_volumes(&self, owners: &[Owner]) -> Result<(), Failure> {
        self.inner.delete_volumes(owners).await
    }
    async fn list_leases(&self) -> Result<Listed<LeaseSeen>, Failure> {
        self.inner.list_leases().await
    }
    async fn create_lease(&self, name: &str, holder: &str, duration: Duration) -> Result<LeaseSeen, Failure> {
        self.inner.create_lease(name, holder, duration).await
    }
    async fn renew_lease(&self, lease: &LeaseSeen, holder: &str) -> Result<LeaseSeen, Failure> {
        self.inner.renew_lease(lease, holder).await
    }
    async fn delete_lease(&self, lease: &LeaseSeen) -> Result<(), Failure> {
        self.inner.delete_lease(lease).await
    }
}

/// Runs a broken engine for a while and returns what the judge says.
async fn judged(world: &World, rule: Rule) -> String {
    world.submit("wf-1");
    let inner: Arc<dyn Cluster> = Arc::new(Broken { inner: Arc::new(world.sandbox.clone()), rule });
    let me = world.life("engine", "engine-1", |_| Fault::None).me;
    let life = Life { me, cluster: Arc::new(Faulty::new(inner, |_| Fault::None)) };
    let _ = tokio::time::timeout(Duration::from_mins(2), world.live(life)).await;
    world.sandbox.history().violations().join("\n")
}

#[tokio::test(start_paused = true)]
async fn a_pod_before_its_intent_is_caught() {
    assert!(judged(&happy(), Rule::IntentFirst).await.contains("intent first"));
}

#[tokio::test(start_paused = true)]
async fn two_pods_for_one_attempt_are_caught() {
    assert!(judged(&happy(), Rule::Once).await.contains("once"));
}

#[tokio::test(start_paused = true)]
async fn success_without_a_manifest_is_caught() {
    assert!(judged(&happy(), Rule::Verified).await.contains("verified"));
}

#[tokio::test(start_paused = true)]
async fn writes_that_do_not_compare_lose_a_stop_and_are_caught() {
    let mut caught = false;
    for moment in 0..100u64 {
        let world = happy();
        let stop = async {
            tokio::time::sleep(Duration::from_millis(1000 + 10 * moment)).await;
            world.sandbox.label("wf-1", State::Stopping);
        };
        let (judged, ()) = tokio::join!(judged(&world, Rule::CompareAndSwap), stop);
        caught |= judged.contains("no lost stop");
    }
    assert!(caught);
}
