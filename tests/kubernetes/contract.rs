//! Kubernetes keeps the contract of `Cluster`: the very checks that the cluster in memory passes.
//!
//! One subject serves them all. Nobody plays a kubelet by a script here: the checks do it by hand.

use crate::{
    cluster::Cluster,
    contract_home::suite::{self, Subject},
    kubelet,
    namespace::Namespace,
    runner::{Group, Test},
};
use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use operator_engine::{
    cluster::{
        self, command,
        kube::{Kube, connect},
        manifest::Settings,
    },
    plan::end::End,
    pod::configure::FetchPolicy,
    storage::{Target, Targets},
    workflow::{State, record::STATE_LABEL},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::OnceCell;

/// A test for each check.
pub(crate) fn tests() -> Vec<Test> {
    let checks = suite::checks().into_iter();
    let test = |(name, check): (&str, suite::Check)| Test {
        name: format!("contract::{name}"),
        group: Group::Together,
        body: Box::new(move |cluster| Box::pin(async move { check(hands(cluster).await).await })),
    };
    checks.map(test).collect()
}

/// A namespace, as an engine sees it and as everybody else acts on it.
struct Hands {
    namespace: Namespace,
    kube: Arc<Kube>,
    /// Where the kubelet speaks.
    nodes: kube::Api<Pod>,
}

async fn hands(cluster: &'static Cluster) -> &'static Hands {
    static HANDS: OnceCell<Hands> = OnceCell::const_new();
    let make = async || {
        let namespace = Namespace::new(cluster, "contract").await;
        namespace.grant("delete", "configmaps").await;
        let kube = Arc::new(kube_at(cluster.kubeconfig("engine"), "contract", Duration::from_secs(10)).await);
        Hands { namespace, kube, nodes: kube::Api::namespaced(cluster.kubelet.clone(), "contract") }
    };
    HANDS.get_or_init(make).await
}

/// Kubernetes as the engine knows it, with its own client.
pub(crate) async fn kube_at(kubeconfig: &Path, namespace: &str, timeout: Duration) -> Kube {
    let connection = connect(Some(kubeconfig), timeout).await.unwrap();
    Kube::new(&connection.client, namespace, settings())
}

fn settings() -> Settings {
    Settings {
        commands: command::Settings {
            fetch: FetchPolicy::default(),
            targets: Targets { outputs: Target::Directory { path: PathBuf::from("/results") }, adminlogs: None },
            max_log: 1 << 20,
            filter_command: None,
            leaks: Default::default(),
        },
        configure_image: "registry.example/engine:1".to_owned(),
        publish_image: "registry.example/engine:1".to_owned(),
        pull_policy: "IfNotPresent".to_owned(),
        pull_secret: None,
        service_account: "default".to_owned(),
        node_scope: None,
        runtime_class: None,
        tolerations: Vec::new(),
        gpu_tolerations: Vec::new(),
        gpu_node_selector: BTreeMap::new(),
        templates: BTreeMap::new(),
        storage_class: None,
        disk: 1 << 30,
        resources: operator_engine::workflow::Resources { cpu_millis: 1000, memory: 1 << 30, gpus: 0 },
        gpu_resource: "nvidia.com/gpu".to_owned(),
        allow_root: false,
        results_claim: None,
        adminlogs_claim: None,
        storage_secret: "operator-engine-storage".to_owned(),
        inputs_secret: "operator-engine-storage".to_owned(),
    }
}

impl Hands {
    async fn pod(&self, name: &str) -> Pod {
        self.nodes.get(name).await.unwrap()
    }

    async fn say(&self, name: &str, status: &Value) {
        let patch = json!({"status": status});
        self.nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }
}

#[async_trait]
impl Subject for Hands {
    fn cluster(&self) -> Arc<dyn cluster::Cluster> {
        self.kube.clone()
    }

    fn archive(&self) -> Arc<dyn cluster::archive::Archive> {
        self.kube.clone()
    }

    async fn submit(&self, name: &str, data: BTreeMap<String, Vec<u8>>) {
        let (text, binary) = texts(data);
        let workflow = json!({"metadata": {"name": name, "labels": {STATE_LABEL: "pending"}},
            "data": text, "binaryData": binary});
        let workflow = serde_json::from_value(workflow).unwrap();
        self.namespace.workflows.create(&PostParams::default(), &workflow).await.unwrap();
    }

    async fn label(&self, name: &str, state: State) {
        self.namespace.label(name, state).await;
    }

    async fn unlabel(&self, name: &str) {
        let patch = json!({"metadata": {"labels": {STATE_LABEL: null}}});
        self.namespace.workflows.patch_metadata(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    async fn edit(&self, name: &str, data: BTreeMap<String, Vec<u8>>) {
        let (text, binary) = texts(data);
        let patch = json!({"data": text, "binaryData": binary});
        self.namespace.workflows.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    async fn delete_workflow(&self, name: &str) {
        self.namespace.workflows.delete(name, &DeleteParams::default()).await.unwrap();
    }

    async fn start_pod(&self, name: &str) {
        let pod = self.pod(name).await;
        kubelet::bind(&self.nodes, name, pod.metadata.uid.as_deref().unwrap()).await;
        let now = Timestamp::now();
        self.say(name, &kubelet::status("Running", now, &json!({"running": {}}), &pod)).await;
    }

    async fn finish_pod(&self, name: &str, end: End) {
        let pod = self.pod(name).await;
        self.say(name, &kubelet::ended(&end, Timestamp::now(), &pod)).await;
    }

    async fn asked_to_end(&self, name: &str) -> bool {
        let pod = self.pod(name).await;
        // Its deadline has passed, or somebody deletes it.
        let spec = pod.spec.unwrap();
        spec.active_deadline_seconds == Some(1) || pod.metadata.deletion_timestamp.is_some()
    }

    /// What is bound to a node goes when its kubelet says so.
    async fn tend(&self) {
        for pod in self.nodes.list(&Default::default()).await.unwrap().items {
            if let (Some(_), Some(name)) = (pod.metadata.deletion_timestamp, pod.metadata.name) {
                let _ = self.nodes.delete(&name, &DeleteParams::default().grace_period(0)).await;
            }
        }
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }

    fn rounds(&self) -> usize {
        3
    }
}

/// Text is data, and what is no text is binary data, which travels as base64.
fn texts(data: BTreeMap<String, Vec<u8>>) -> (BTreeMap<String, String>, Value) {
    let (mut text, mut binary) = (BTreeMap::new(), serde_json::Map::new());
    for (key, bytes) in data {
        match String::from_utf8(bytes) {
            Ok(string) => drop(text.insert(key, string)),
            Err(error) => {
                let bytes = k8s_openapi::ByteString(error.into_bytes());
                binary.insert(key, serde_json::to_value(bytes).unwrap());
            }
        }
    }
    (text, Value::Object(binary))
}
