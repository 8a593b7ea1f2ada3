//! A cluster in memory: the engine's own [`Cluster`](crate::cluster::Cluster) without Kubernetes.
//!
//! It keeps the contract that the API server keeps (compare-and-swap, create-once, ownership, lists with versions), writes
//! down everything that happens ([`history`]), and lets a [`Kubelet`] run the pods: child processes in the local mode
//! ([`process`]), scripts in tests. [`faults`] puts failures between it and an engine.
//!
//! Absent: persistence, namespaces, access rights, networks.

mod api;
mod archive;
pub mod faults;
pub mod history;
pub mod kubelet;
pub mod process;
mod store;

use crate::{
    clock::Clock,
    plan::{
        Failure, kind,
        seen::{Uid, WorkflowSeen, volume_name},
    },
    workflow::{Order, State},
};
use history::{Event, History};
use kubelet::Kubelet;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use store::Store;

/// A cluster in memory. Clones share it.
#[derive(Clone)]
pub struct Sandbox {
    store: Arc<Mutex<Store>>,
    kubelet: Arc<dyn Kubelet>,
    clock: Arc<dyn Clock>,
}

impl Sandbox {
    /// An empty cluster whose pods are run by `kubelet`. Must be used inside a tokio runtime.
    pub fn new(kubelet: Arc<dyn Kubelet>, clock: Arc<dyn Clock>) -> Self {
        Self { store: Arc::new(Mutex::new(Store::default())), kubelet, clock }
    }

    /// One in which Secrets are workflows too. They are called as [`kind`] says.
    pub fn with_secrets(self) -> Self {
        self.store().secrets = true;
        self
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        // A panic while it was held cannot have left it half changed: each change is one assignment.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn since_start(&self) -> Duration {
        self.clock.now().mono
    }

    /// Registers a workflow, as `kubectl apply` of its ConfigMap would. False if the name is taken.
    pub fn submit(&self, name: &str, data: BTreeMap<String, Vec<u8>>) -> bool {
        let now = self.clock.now();
        self.store().submit(name, data, now.wall)
    }

    /// Sets the state label, as `kubectl label --overwrite` would. False if there is no such workflow.
    pub fn label(&self, name: &str, state: State) -> bool {
        if let (State::Stopping, Some(workflow)) = (state, self.uid(name)) {
            self.note(Event::StopAsked { workflow });
        }
        self.store().change(name, |workflow| workflow.seen.state = Some(state)).is_some()
    }

    /// Takes the state label away.
    pub fn unlabel(&self, name: &str) -> bool {
        self.store().change(name, |workflow| workflow.seen.state = None).is_some()
    }

    /// Replaces the workflow's data, as `kubectl edit` would.
    pub fn edit(&self, name: &str, data: BTreeMap<String, Vec<u8>>) -> bool {
        self.store().change(name, |workflow| workflow.data = data).is_some()
    }

    /// Replaces the status annotation, which nobody but the engine should do.
    pub fn annotate(&self, name: &str, status: Option<String>) -> bool {
        self.store().change(name, |workflow| workflow.seen.status = status).is_some()
    }

    /// Sets what the workflow's annotations say of its place in the queue.
    pub fn annotate_order(&self, name: &str, order: Order) -> bool {
        self.store().change(name, |workflow| workflow.seen.order = order).is_some()
    }

    /// Deletes a workflow and, as the garbage collector would, all it owns.
    pub fn delete(&self, name: &str) -> bool {
        self.delete_if(name, |_| true).is_ok()
    }

    fn delete_if(&self, name: &str, as_expected: impl FnOnce(&WorkflowSeen) -> bool) -> Result<(), Failure> {
        let at = self.since_start();
        let volume_went = {
            let mut store = self.store();
            let found = store.workflows.get(name).ok_or(Failure::NotFound)?;
            if !as_expected(&found.seen) {
                return Err(Failure::Conflict);
            }
            store.delete_workflow(name, at);
            kind::job(name).ok().filter(|job| !store.volumes.contains_key(&volume_name(job)))
        };
        volume_went.iter().for_each(|job| self.kubelet.volume_deleted(job));
        Ok(())
    }

    /// Deletes a pod by hand.
    pub fn delete_pod(&self, name: &str) -> bool {
        let at = self.since_start();
        self.store().delete_pod(name, at)
    }

    /// Loses a pod's node: the pod is being deleted, and never gone.
    pub fn lose_pod(&self, name: &str) -> bool {
        let Some(pod) = self.store().lose_pod(name) else { return false };
        self.note(Event::PodLost { pod });
        true
    }

    /// Deletes a Lease by hand.
    pub fn delete_lease_by_name(&self, name: &str) -> bool {
        self.store().leases.remove(name).is_some()
    }

    /// A workflow's metadata.
    pub fn workflow(&self, name: &str) -> Option<WorkflowSeen> {
        self.store().workflows.get(name).map(|workflow| workflow.seen.clone())
    }

    /// What is there, by kind: for tests that nothing is left behind.
    pub fn inventory(&self) -> Inventory {
        let store = self.store();
        Inventory {
            workflows: store.workflows.keys().cloned().collect(),
            pods: store.pods.keys().cloned().collect(),
            volumes: store.volumes.keys().cloned().collect(),
            leases: store.leases.keys().cloned().collect(),
        }
    }

    /// Everything that happened so far.
    pub fn history(&self) -> History {
        self.store().history.clone()
    }

    /// Adds an event that was seen outside of the store, such as a result being stored.
    pub fn note(&self, event: Event) {
        let at = self.since_start();
        self.store().history.add(at, event);
    }

    /// Asks every running pod to end at once: the cluster is going away.
    pub fn kill_all(&self) {
        self.store().pods.values().for_each(|pod| pod.stop.kill());
    }

    /// How many pods are running.
    pub fn running(&self) -> usize {
        self.store().running()
    }

    /// The UID of a workflow.
    pub fn uid(&self, name: &str) -> Option<Uid> {
        self.workflow(name).map(|seen| seen.uid)
    }
}

/// The names of what is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// ConfigMaps.
    pub workflows: Vec<String>,
    /// Pods.
    pub pods: Vec<String>,
    /// Volumes.
    pub volumes: Vec<String>,
    /// Leases.
    pub leases: Vec<String>,
}
