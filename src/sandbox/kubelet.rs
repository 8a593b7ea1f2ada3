//! What runs the sandbox's pods, and how they are told to stop.

use super::Sandbox;
use crate::{
    plan::{
        end::End,
        pod::PodSpec,
        seen::{Progress, Uid},
    },
    workflow::JobId,
};
use async_trait::async_trait;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::watch;

/// Runs pods: as child processes, or by a script.
#[async_trait]
pub trait Kubelet: Send + Sync {
    /// Runs a pod to its end. When `stop` says so the pod has its grace, then it must be gone; dropping the future must
    /// leave nothing running.
    async fn run(&self, pod: &Run<'_>, stop: Stop) -> End;

    /// A volume was created.
    fn volume_created(&self, _job: &JobId) {}

    /// A volume was deleted.
    fn volume_deleted(&self, _job: &JobId) {}
}

/// A pod to run.
pub struct Run<'a> {
    /// What is wanted.
    pub spec: &'a PodSpec,
    /// The pod's UID.
    pub uid: &'a Uid,
    /// The data of its workflow's ConfigMap, which a pod mounts.
    pub data: &'a BTreeMap<String, Vec<u8>>,
    /// Tells the world that it waits or runs.
    pub say: &'a (dyn Fn(Progress) + Send + Sync),
}

/// How a pod is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    GoOn,
    /// SIGTERM, and SIGKILL after the grace period.
    End,
    /// SIGKILL.
    Kill,
}

/// Tells a pod to end.
pub struct StopHandle(watch::Sender<Order>);

/// Hears that a pod is to end.
#[derive(Clone)]
pub struct Stop(watch::Receiver<Order>);

impl StopHandle {
    /// A pair.
    pub fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(Order::GoOn);
        (Self(sender), Stop(receiver))
    }

    /// Asks for the end.
    pub fn end(&self) {
        self.0.send_if_modified(|order| {
            let first = *order == Order::GoOn;
            if first {
                *order = Order::End;
            }
            first
        });
    }

    /// Ends it at once.
    pub fn kill(&self) {
        self.0.send_replace(Order::Kill);
    }
}

impl Stop {
    /// Resolves when the pod is asked to end.
    pub async fn asked(&mut self) {
        self.reached(|order| order != Order::GoOn).await;
    }

    /// Resolves when the pod must be gone at once.
    pub async fn killed(&mut self) {
        self.reached(|order| order == Order::Kill).await;
    }

    async fn reached(&mut self, wanted: impl Fn(Order) -> bool) {
        if self.0.wait_for(|order| wanted(*order)).await.is_err() {
            // The pod's object is gone, and with it whoever could ask.
            std::future::pending::<()>().await;
        }
    }
}

/// Starts a pod in a task of its own and reports its progress to the sandbox. Its `activeDeadlineSeconds` are kept here,
/// as a kubelet does, so that they hold while no engine runs.
pub(super) fn start(
    sandbox: Sandbox,
    kubelet: Arc<dyn Kubelet>,
    spec: PodSpec,
    uid: Uid,
    data: BTreeMap<String, Vec<u8>>,
    stop: Stop,
) {
    tokio::spawn(async move {
        let name = spec.name();
        let say = |progress| {
            let at = sandbox.since_start();
            sandbox.store().progress(&name, &uid, progress, at);
        };
        let (deadline, timed_out) = StopHandle::new();
        let mut asked = stop.clone();
        let mut killed = stop;
        let run = Run { spec: &spec, uid: &uid, data: &data, say: &say };
        let mut running = kubelet.run(&run, timed_out);
        let mut over = false;
        let mut ended_early = false;
        let end = loop {
            tokio::select! {
                end = &mut running => break end,
                () = tokio::time::sleep(spec.deadline), if !over => {
                    (over, ended_early) = (true, true);
                    deadline.end();
                }
                () = asked.asked(), if !over => {
                    (over, ended_early) = (true, true);
                    deadline.end();
                }
                () = killed.killed() => {
                    deadline.kill();
                    return;
                }
            }
        };
        let reason = if ended_early { Some("DeadlineExceeded".to_owned()) } else { end.reason.clone() };
        say(Progress::Ended(End { reason, ..end }));
    });
}
