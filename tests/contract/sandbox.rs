//! The sandbox keeps the contract. Its kubelet here is the test's own hand.

use crate::suite::{Subject, data, eventually, record, spec, write};
use async_trait::async_trait;
use operator_engine::{
    clock::SystemClock,
    cluster::{Cluster, archive::Archive},
    plan::{Failure, end::End, seen::Progress},
    sandbox::{
        Sandbox,
        faults::{Fault, Faulty},
        kubelet::{Kubelet, Run, Stop},
    },
    workflow::{Stage, State},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::watch;

/// A kubelet whose pods wait for orders.
#[derive(Default)]
pub(crate) struct ByHand {
    pods: Mutex<BTreeMap<String, Pod>>,
}

struct Pod {
    order: watch::Sender<Order>,
    asked: bool,
}

#[derive(Clone)]
enum Order {
    Wait,
    Start,
    Finish(End),
}

#[async_trait]
impl Kubelet for ByHand {
    async fn run(&self, run: &Run<'_>, mut stop: Stop) -> End {
        let name = run.spec.name();
        let (order, mut orders) = watch::channel(Order::Wait);
        self.pods.lock().unwrap().insert(name.clone(), Pod { order, asked: false });
        let (mut asked, mut started) = (false, false);
        loop {
            tokio::select! {
                changed = orders.changed() => {
                    let order = orders.borrow_and_update().clone();
                    match order {
                        Order::Start => {
                            started = true;
                            (run.say)(Progress::Running);
                        }
                        Order::Finish(end) => return end,
                        Order::Wait => {}
                    }
                    if changed.is_err() {
                        std::future::pending::<()>().await; // Another pod has the name now.
                    }
                }
                () = stop.asked(), if !asked => {
                    asked = true;
                    if !started {
                        return End::default();
                    }
                    if let Some(pod) = self.pods.lock().unwrap().get_mut(&name) {
                        pod.asked = true;
                    }
                }
            }
        }
    }
}

/// The sandbox with everybody's hands on it.
pub(crate) struct Hands {
    sandbox: Sandbox,
    kubelet: Arc<ByHand>,
    cluster: Arc<dyn Cluster>,
    archive: Arc<dyn Archive>,
    rounds: usize,
}

impl Hands {
    /// The engine's side of it goes through `wrap`.
    pub(crate) fn on(wrap: impl FnOnce(Sandbox) -> Arc<dyn Cluster>, rounds: usize) -> Self {
        Self::of(|sandbox| (wrap(sandbox.clone()), Arc::new(sandbox)), rounds)
    }

    /// As expiry uses it as well.
    pub(crate) fn of(wrap: impl FnOnce(Sandbox) -> (Arc<dyn Cluster>, Arc<dyn Archive>), rounds: usize) -> Self {
        let kubelet = Arc::new(ByHand::default());
        let sandbox = Sandbox::new(kubelet.clone(), Arc::new(SystemClock::new()));
        let (cluster, archive) = wrap(sandbox.clone());
        Self { cluster, archive, sandbox, kubelet, rounds }
    }

    async fn order(&self, name: &str, order: Order) {
        // The kubelet notices a new pod a moment after it was created.
        eventually(self, "the kubelet has the pod", || async {
            self.kubelet.pods.lock().unwrap().get(name).map(|pod| drop(pod.order.send(order.clone())))
        })
        .await;
    }

    async fn progress(&self, name: &str, reached: impl Fn(&Progress) -> bool) {
        eventually(self, "the kubelet has told", || async {
            let pod = self.sandbox.read_pod(name).await.unwrap()?;
            reached(&pod.progress).then_some(())
        })
        .await;
    }
}

#[async_trait]
impl Subject for Hands {
    fn cluster(&self) -> Arc<dyn Cluster> {
        self.cluster.clone()
    }

    fn archive(&self) -> Arc<dyn Archive> {
        self.archive.clone()
    }

    async fn submit(&self, name: &str, data: BTreeMap<String, Vec<u8>>) {
        assert!(self.sandbox.submit(name, data), "{name} is there already");
    }

    async fn label(&self, name: &str, state: State) {
        assert!(self.sandbox.label(name, state));
    }

    async fn unlabel(&self, name: &str) {
        assert!(self.sandbox.unlabel(name));
    }

    async fn edit(&self, name: &str, data: BTreeMap<String, Vec<u8>>) {
        assert!(self.sandbox.edit(name, data));
    }

    async fn delete_workflow(&self, name: &str) {
        assert!(self.sandbox.delete(name));
    }

    async fn start_pod(&self, name: &str) {
        self.order(name, Order::Start).await;
        self.progress(name, |progress| *progress == Progress::Running).await;
    }

    async fn finish_pod(&self, name: &str, end: End) {
        self.order(name, Order::Finish(end)).await;
        self.progress(name, |progress| matches!(progress, Progress::Ended(_))).await;
    }

    async fn asked_to_end(&self, name: &str) -> bool {
        self.kubelet.pods.lock().unwrap().get(name).is_some_and(|pod| pod.asked)
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(2)
    }

    fn rounds(&self) -> usize {
        self.rounds
    }
}

mod alone {
    use super::Hands;
    use std::sync::Arc;

    contract!({ Hands::on(|sandbox| Arc::new(sandbox), 100) });
}

mod behind_the_layer_of_faults {
    use super::{Fault, Faulty, Hands};
    use std::sync::Arc;

    contract!({ Hands::on(|sandbox| Arc::new(Faulty::new(Arc::new(sandbox), |_| Fault::None)), 10) });
}

/// Injected faults keep the promise of the contract about errors: definite ones changed nothing, and only the others may
/// have.
#[tokio::test]
async fn an_injected_error_is_definite_unless_it_says_otherwise() {
    for (fault, done) in [(Fault::NotSent, false), (Fault::Conflict, false), (Fault::AnswerLost, true)] {
        let hands = Hands::on(|sandbox| Arc::new(Faulty::new(Arc::new(sandbox), move |_| fault)), 1);
        hands.submit("wf", data()).await;
        let before = hands.sandbox.workflow("wf").unwrap();
        let write = write(&before, State::Active, record(1));
        let made = spec("wf", &before.uid, Stage::Configure, 0);
        let answers = [
            hands.cluster.write_workflow("wf", &write).await.map(drop),
            hands.cluster.create_pod(&made).await.map(drop),
        ];
        for answer in answers {
            assert_eq!(matches!(answer, Err(Failure::Unknown { .. })), done, "{answer:?}");
            assert!(answer.is_err());
        }
        assert_eq!(hands.sandbox.workflow("wf").unwrap() != before, done);
        assert_eq!(hands.sandbox.inventory().pods.len(), usize::from(done));
        if done {
            // What failed for good is told so, however the answer travels: nothing was done, so nothing is unknown.
            assert_eq!(hands.cluster.write_workflow("wf", &write).await.map(drop), Err(Failure::Conflict));
        }
    }
}
