//! The played kubelet of one namespace: it binds pods to the node and reports what a script says became of them.
//!
//! As a real one it keeps `activeDeadlineSeconds`, also when they are lowered while the pod runs, and answers a deletion by
//! ending the pod, saying so in its status, and then removing the object.

use crate::cluster::{NODE, sings};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, WatchEvent, WatchParams},
};
use operator_engine::{
    plan::end::End,
    workflow::{
        Stage,
        digest::Sha256,
        report::{ConfigureReport, ExecReport, PublishReport, Published, render},
    },
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::Instant,
};

/// What becomes of a pod.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// It runs this long, then has done what its stage is for.
    Succeed(Duration),
    /// It runs this long, then ends so.
    End(Duration, End),
    /// It has a node, and its container waits for this reason, with this message.
    Wait(&'static str, &'static str),
    /// No scheduler ever looks at it.
    Ignore,
    /// No node takes it: the scheduler says this.
    Unschedulable(&'static str),
    /// It runs until it is asked to end.
    Hang,
}

/// A pod by what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job<'a> {
    pub(crate) name: &'a str,
    /// The number of the document's stage.
    pub(crate) round: u32,
    pub(crate) stage: Stage,
    pub(crate) attempt: u32,
}

type Script = dyn Fn(&Job<'_>) -> Act + Send + Sync;

/// A played kubelet. It ends when this is dropped.
pub(crate) struct Kubelet {
    saw: Arc<Mutex<Saw>>,
    came: Arc<Notify>,
    task: tokio::task::JoinHandle<()>,
}

/// What a kubelet saw.
#[derive(Debug, Default)]
pub(crate) struct Saw {
    /// UIDs of the pods that ran under each name.
    pub(crate) ran: BTreeMap<String, Vec<String>>,
    /// Pods as they were when they came, by name.
    pub(crate) pods: BTreeMap<String, Pod>,
}

/// How many pods all kubelets have looked into, and those in which the canary was.
static LISTENED: Mutex<(usize, Vec<String>)> = Mutex::new((0, Vec::new()));

/// How many pods all kubelets have looked into, and those in which the canary was.
pub(crate) fn canaries() -> (usize, Vec<String>) {
    LISTENED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn listen(pod: &str) {
    let mut listened = LISTENED.lock().unwrap_or_else(PoisonError::into_inner);
    listened.0 += 1;
    if sings(pod) {
        listened.1.push(pod.to_owned());
    }
}

/// What a pod is told from outside.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Orders {
    deadline: Option<i64>,
    deleted: bool,
}

/// Between a status and the next: a real node is slower, and what is shorter than a look is never seen.
const STARTING: Duration = Duration::from_millis(30);
/// A container's answer to SIGTERM.
const ENDING: Duration = Duration::from_millis(50);

impl Kubelet {
    pub(crate) fn play(
        client: Client,
        namespace: &str,
        script: impl Fn(&Job<'_>) -> Act + Send + Sync + 'static,
    ) -> Self {
        let saw: Arc<Mutex<Saw>> = Arc::default();
        let came: Arc<Notify> = Arc::default();
        let (pods, script) = (Api::namespaced(client, namespace), Arc::new(script));
        let node = Node { pods, script, saw: saw.clone(), came: came.clone() };
        Self { saw, came, task: tokio::spawn(node.work()) }
    }

    pub(crate) fn saw<T>(&self, look: impl FnOnce(&Saw) -> T) -> T {
        look(&self.saw.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Resolves when the next pod comes, within moments of its creation: whoever asked for it may not know yet.
    pub(crate) async fn next_pod(&self) {
        self.came.notified().await;
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Node {
    pods: Api<Pod>,
    script: Arc<Script>,
    saw: Arc<Mutex<Saw>>,
    came: Arc<Notify>,
}

impl Node {
    async fn work(self) {
        let mut running: BTreeMap<String, watch::Sender<Orders>> = BTreeMap::new();
        // Aborted with this task.
        let mut tasks = JoinSet::new();
        loop {
            let ours = WatchParams::default().labels("app.kubernetes.io/managed-by=operator-engine");
            let Ok(stream) = self.pods.watch(&ours, "0").await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let mut stream = stream.boxed();
            while let Ok(Some(event)) = stream.try_next().await {
                let (WatchEvent::Added(pod) | WatchEvent::Modified(pod) | WatchEvent::Deleted(pod)) = event else {
                    continue;
                };
                let orders = Orders {
                    deadline: pod.spec.as_ref().and_then(|spec| spec.active_deadline_seconds),
                    deleted: pod.metadata.deletion_timestamp.is_some(),
                };
                let uid = pod.metadata.uid.clone().unwrap();
                if let Some(sender) = running.get(&uid) {
                    sender.send_replace(orders);
                    continue;
                }
                let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
                if phase == Some("Pending") && !orders.deleted {
                    self.came.notify_waiters();
                    let (sender, receiver) = watch::channel(orders);
                    running.insert(uid, sender);
                    let node = self.clone();
                    tasks.spawn(async move { node.run(pod, receiver).await });
                }
            }
        }
    }

    /// One pod's life.
    async fn run(self, pod: Pod, mut orders: watch::Receiver<Orders>) {
        let (name, uid) = (pod.name_any(), pod.metadata.uid.clone().unwrap());
        let (workflow, stage, attempt) = read_labels(&pod);
        self.note(|saw| {
            saw.pods.insert(name.clone(), pod.clone());
        });
        listen(&serde_json::to_string(&pod).unwrap());
        let round = pod.labels().get("operator-engine/stage").map_or(0, |number| number.parse().unwrap());
        let act = (self.script)(&Job { name: &workflow, round, stage, attempt });
        match act {
            Act::Ignore => return,
            Act::Unschedulable(message) => {
                let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                    "message": message});
                return self.say(&name, &json!({"conditions": [condition]})).await;
            }
            _ => {}
        }
        self.note(|saw| saw.ran.entry(name.clone()).or_default().push(uid.clone()));
        bind(&self.pods, &name, &uid).await;
        let started = Instant::now();
        let now = jiff::Timestamp::now();
        if let Act::Wait(reason, message) = act {
            let state = json!({"waiting": {"reason": reason, "message": message}});
            self.say(&name, &status("Pending", now, &state, &pod)).await;
        } else {
            tokio::time::sleep(STARTING).await;
            let state = json!({"running": {"startedAt": second(now)}});
            self.say(&name, &status("Running", now, &state, &pod)).await;
        }
        let (after, end) = match &act {
            Act::Succeed(after) => (*after, success(&result(&pod), stage)),
            Act::End(after, end) => (*after, end.clone()),
            _ => (Duration::from_secs(86_400), End::default()),
        };
        let waiting = matches!(act, Act::Wait(..));
        let end = tokio::select! {
            () = tokio::time::sleep(after) => end,
            () = over(&mut orders, started) => {
                tokio::time::sleep(ENDING).await;
                let reason = (!orders.borrow().deleted).then(|| "DeadlineExceeded".to_owned());
                asked_to_end(waiting, reason)
            }
        };
        self.say(&name, &ended(&end, now, &pod)).await;
        if orders.borrow().deleted {
            // Long enough for an engine to see how it ended.
            tokio::time::sleep(Duration::from_millis(500)).await;
            self.remove(&name, &uid).await;
        }
    }

    fn note(&self, note: impl FnOnce(&mut Saw)) {
        note(&mut self.saw.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Says something of a pod. What is gone does not mind.
    async fn say(&self, name: &str, status: &Value) {
        let patch = json!({"status": status});
        if let Err(error) = self.pods.patch_status(name, &PatchParams::default(), &Patch::Merge(&patch)).await
            && !matches!(&error, kube::Error::Api(status) if status.code == 404)
        {
            eprintln!("the played kubelet cannot say what became of {name}: {error}");
        }
    }

    async fn remove(&self, name: &str, uid: &str) {
        let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        let _ = self.pods.delete(name, &DeleteParams::default().grace_period(0).preconditions(preconditions)).await;
    }
}

/// What a scheduler does. A pod that is gone or bound already does not mind.
pub(crate) async fn bind(pods: &Api<Pod>, name: &str, uid: &str) {
    let binding = json!({"metadata": {"name": name, "uid": uid},
        "target": {"apiVersion": "v1", "kind": "Node", "name": NODE}});
    let _: Result<Value, _> = pods.create_subresource("binding", name, &PostParams::default(), &binding).await;
}

/// Resolves when the pod is deleted or its time is up.
async fn over(orders: &mut watch::Receiver<Orders>, started: Instant) {
    loop {
        let now = *orders.borrow_and_update();
        if now.deleted {
            return;
        }
        let seconds = now.deadline.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(86_400);
        tokio::select! {
            () = tokio::time::sleep_until(started + Duration::from_secs(seconds)) => return,
            changed = orders.changed() => if changed.is_err() { std::future::pending::<()>().await },
        }
    }
}

fn read_labels(pod: &Pod) -> (String, Stage, u32) {
    let stage = match pod.labels()["component"].as_str() {
        "configure" => Stage::Configure,
        "algorithm" => Stage::Algorithm,
        "filter" => Stage::Filter,
        "publish" => Stage::Publish,
        other => panic!("a pod of the component {other}"),
    };
    let attempt = pod.name_any().rsplit_once('-').unwrap().1.parse().unwrap();
    (pod.labels()["workflow"].clone(), stage, attempt)
}

/// The name of what it stores.
fn result(pod: &Pod) -> String {
    let (labels, workflow) = (pod.labels(), &pod.labels()["workflow"]);
    labels.get("operator-engine/stage").map_or_else(|| workflow.clone(), |number| format!("{workflow}_{number}"))
}

/// What a stage says that did what it is for.
fn success(result: &str, stage: Stage) -> End {
    let message = match stage {
        Stage::Configure => render(&ConfigureReport { fault: None, files: 1, bytes: 10 }),
        Stage::Algorithm => render(&ExecReport { exit_code: Some(0), wall_ms: 7, ..ExecReport::default() }),
        Stage::Filter => String::new(),
        Stage::Publish => {
            let manifest = format!("{result}/manifest.json");
            let manifest_sha256 = Sha256::of(&manifest);
            let store = "file:///results".to_owned();
            let published = Published {
                store,
                manifest,
                manifest_sha256,
                root: None,
                adminlogs: None,
                files: 2,
                bytes: 20,
                refused: 0,
            };
            render(&PublishReport { published: Some(published), fault: None })
        }
    };
    End { exit_code: Some(0), reason: Some("Completed".to_owned()), disrupted: false, message, image_id: None }
}

/// How a stage ends that gets SIGTERM; one that never started has nothing to say.
fn asked_to_end(waiting: bool, reason: Option<String>) -> End {
    if waiting {
        return End { exit_code: None, reason, disrupted: false, message: String::new(), image_id: None };
    }
    let report = ExecReport { exit_code: Some(143), stopped: true, wall_ms: 5, ..ExecReport::default() };
    End { exit_code: Some(143), reason, disrupted: false, message: render(&report), image_id: None }
}

/// A container that ended with `code` and said nothing.
pub(crate) fn exits(code: i32) -> End {
    let report = ExecReport { exit_code: Some(code), wall_ms: 7, ..ExecReport::default() };
    End {
        exit_code: Some(code),
        reason: Some("Error".to_owned()),
        disrupted: false,
        message: render(&report),
        image_id: None,
    }
}

/// The kubelet evicted it.
pub(crate) fn evicted() -> End {
    let message = "The node was low on resource: memory. ".to_owned();
    End { exit_code: None, reason: Some("Evicted".to_owned()), disrupted: true, message, image_id: None }
}

/// Reasons that a kubelet gives to a pod; others it gives to the container.
const OF_THE_POD: [&str; 8] = [
    "Evicted",
    "DeadlineExceeded",
    "Preempting",
    "NodeLost",
    "NodeShutdown",
    "Terminated",
    "NodeAffinity",
    "UnexpectedAdmissionError",
];

/// The status of a pod that ended so.
pub(crate) fn ended(end: &End, started: jiff::Timestamp, pod: &Pod) -> Value {
    let of_pod = end.reason.as_deref().filter(|reason| OF_THE_POD.contains(reason) || reason.starts_with("OutOf"));
    let of_container = end.reason.as_deref().filter(|_| of_pod.is_none());
    let phase = if end.exit_code == Some(0) && of_pod.is_none() { "Succeeded" } else { "Failed" };
    let mut status = match end.exit_code {
        Some(code) => {
            let (started, finished) = (second(started), second(jiff::Timestamp::now()));
            let default = if code == 0 { "Completed" } else { "Error" };
            let terminated = json!({"exitCode": code, "reason": of_container.unwrap_or(default),
                "message": end.message, "startedAt": started, "finishedAt": finished});
            status(phase, jiff::Timestamp::now(), &json!({"terminated": terminated}), pod)
        }
        None => json!({"phase": phase, "containerStatuses": null, "message": end.message}),
    };
    if let Some(reason) = of_pod {
        status["reason"] = json!(reason);
        if reason == "DeadlineExceeded" {
            status["message"] = json!("Pod was active on the node longer than the specified deadline");
        }
    } else if end.exit_code.is_none() && end.reason.is_some() {
        status["reason"] = json!(end.reason);
    }
    if end.disrupted {
        let condition = json!({"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"});
        status["conditions"] = json!([condition]);
    }
    status
}

/// The status of a pod whose container is in this state.
pub(crate) fn status(phase: &str, at: jiff::Timestamp, state: &Value, pod: &Pod) -> Value {
    let container = &pod.spec.as_ref().unwrap().containers[0];
    let running = state.get("running").is_some();
    json!({"phase": phase, "startTime": second(at), "containerStatuses": [{
        "name": container.name, "image": container.image, "imageID": "", "ready": running, "started": running,
        "restartCount": 0, "state": state,
    }]})
}

/// A time as objects have it.
fn second(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
