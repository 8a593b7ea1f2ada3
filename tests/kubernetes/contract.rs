//! Kubernetes keeps the contract of `Cluster`: the very checks that the cluster in memory passes.
//!
//! Twice: with ConfigMaps, and with Secrets where these are workflows. One subject serves all of one kind. Nobody plays a kubelet by a script here: the checks do it by hand.

use crate::{
    as_secrets::AsSecrets,
    cluster::Cluster,
    contract_home::suite::{self, Subject},
    kubelet,
    namespace::Namespace,
    runner::{Group, Test},
};
use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use operator_engine::{
    cluster::{
        self, Freshness, command,
        kube::{Kube, connect},
        manifest::Settings,
    },
    plan::{self, end::End, kind::Kind, look::Look},
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

/// Where workflows are Secrets.
pub(crate) const SECRETS: &str = "contract-secrets";
/// What holds for ConfigMaps alone; [`a_secret_without_the_label_is_never_read`] says what holds for Secrets.
const OF_CONFIG_MAPS: &str = "what_is_no_workflow_is_read_and_in_no_page";

/// A test for each check.
pub(crate) fn tests() -> Vec<Test> {
    let test = |(name, check): (&str, suite::Check)| Test {
        name: format!("contract::{name}"),
        group: Group::Together,
        body: Box::new(move |cluster| Box::pin(async move { check(hands(cluster).await).await })),
    };
    let of_secrets = |(name, check): (&str, suite::Check)| Test {
        name: format!("contract::secrets::{name}"),
        group: Group::Together,
        body: Box::new(move |cluster| Box::pin(async move { check(hands_with_secrets(cluster).await).await })),
    };
    let (all, most) = (suite::checks(), suite::checks().into_iter().filter(|(name, _)| *name != OF_CONFIG_MAPS));
    assert_eq!(most.clone().count(), all.len() - 1, "{OF_CONFIG_MAPS} is a check");
    all.into_iter().map(test).chain(most.map(of_secrets)).collect()
}

/// A namespace, as an engine sees it and as everybody else acts on it.
struct Hands {
    cluster: Arc<dyn cluster::Cluster>,
    archive: Arc<dyn cluster::archive::Archive>,
    kind: Kind,
    /// The workflows, whatever they are.
    workflows: kube::Api<DynamicObject>,
    /// Where the kubelet speaks.
    nodes: kube::Api<Pod>,
}

async fn hands(cluster: &'static Cluster) -> &'static Hands {
    static HANDS: OnceCell<Hands> = OnceCell::const_new();
    let make = async || {
        let namespace = Namespace::new(cluster, "contract").await;
        namespace.grant("delete", "configmaps").await;
        let kube = Arc::new(kube_at(cluster.kubeconfig("engine"), "contract", Duration::from_secs(10)).await);
        Hands::new(&namespace, Kind::ConfigMap, kube.clone(), kube)
    };
    HANDS.get_or_init(make).await
}

async fn hands_with_secrets(cluster: &'static Cluster) -> &'static Hands {
    static HANDS: OnceCell<Hands> = OnceCell::const_new();
    let make = async || {
        let namespace = Namespace::new(cluster, SECRETS).await;
        namespace.grant_secrets().await;
        namespace.grant("delete", "secrets").await;
        let kube = kube_at(cluster.kubeconfig("engine"), SECRETS, Duration::from_secs(10)).await.with_secrets(true);
        let secrets = Arc::new(AsSecrets(Arc::new(kube)));
        Hands::new(&namespace, Kind::Secret, secrets.clone(), secrets)
    };
    HANDS.get_or_init(make).await
}

pub(crate) async fn a_secret_without_the_label_is_never_read(cluster: &'static Cluster) {
    let hands = hands_with_secrets(cluster).await;
    hands.submit("unlabelled", BTreeMap::from([("workflow.json".to_owned(), b"{}".to_vec())])).await;
    let before = hands.archive.read("unlabelled").await.unwrap().unwrap();
    assert!(hands.cluster.read_document("unlabelled").await.unwrap().is_some());
    hands.unlabel("unlabelled").await;
    assert_eq!(hands.cluster.read_workflow("unlabelled").await.unwrap(), None);
    assert_eq!(hands.archive.read("unlabelled").await.unwrap(), None);
    assert!(hands.cluster.read_document("unlabelled").await.unwrap().is_none());
    let all = hands.archive.page(500, None).await.unwrap();
    let all = hands.archive.page(500, all.next.as_deref()).await.unwrap().workflows;
    assert!(all.iter().all(|seen| seen.name != before.name));
    assert_eq!(hands.archive.delete(&before).await, Err(plan::Failure::Conflict));

    // Where Secrets are no workflows, not even a labelled one is.
    hands.submit("labelled", BTreeMap::from([("workflow.json".to_owned(), b"{}".to_vec())])).await;
    let off = kube_at(cluster.kubeconfig("engine"), SECRETS, Duration::from_secs(10)).await;
    let listed = cluster::Cluster::list_secrets(&off, Look::Attention, Freshness::Consistent).await.unwrap();
    assert!(listed.is_none());
    for name in ["secret/labelled", "labelled"] {
        assert!(cluster::Cluster::read_workflow(&off, name).await.unwrap().is_none());
        assert!(cluster::Cluster::read_document(&off, name).await.unwrap().is_none());
    }
    assert!(cluster::Cluster::namesake(&off, "labelled").await.unwrap().is_none());
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
    fn new(
        namespace: &Namespace,
        kind: Kind,
        cluster: Arc<dyn cluster::Cluster>,
        archive: Arc<dyn cluster::archive::Archive>,
    ) -> Self {
        let (admin, kubelet, name) = (&namespace.cluster.admin, &namespace.cluster.kubelet, &namespace.name);
        let resource = match kind {
            Kind::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
            Kind::Secret => ApiResource::erase::<Secret>(&()),
        };
        let workflows = kube::Api::namespaced_with(admin.clone(), name, &resource);
        let nodes = kube::Api::namespaced(kubelet.clone(), name);
        Self { cluster, archive, kind, workflows, nodes }
    }

    fn data(&self, data: BTreeMap<String, Vec<u8>>) -> Value {
        match self.kind {
            Kind::ConfigMap => {
                let (text, binary) = texts(data);
                json!({"data": text, "binaryData": binary})
            }
            Kind::Secret => {
                let bytes = |(key, bytes)| (key, k8s_openapi::ByteString(bytes));
                json!({"data": data.into_iter().map(bytes).collect::<BTreeMap<_, _>>()})
            }
        }
    }

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
        self.cluster.clone()
    }

    fn archive(&self) -> Arc<dyn cluster::archive::Archive> {
        self.archive.clone()
    }

    async fn submit(&self, name: &str, data: BTreeMap<String, Vec<u8>>) {
        let mut workflow = self.data(data);
        workflow["metadata"] = json!({"name": name, "labels": {STATE_LABEL: "pending"}});
        let workflow = serde_json::from_value(workflow).unwrap();
        self.workflows.create(&PostParams::default(), &workflow).await.unwrap();
    }

    async fn label(&self, name: &str, state: State) {
        let patch = json!({"metadata": {"labels": {STATE_LABEL: state.as_str()}}});
        self.workflows.patch_metadata(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    async fn unlabel(&self, name: &str) {
        let patch = json!({"metadata": {"labels": {STATE_LABEL: null}}});
        self.workflows.patch_metadata(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    async fn edit(&self, name: &str, data: BTreeMap<String, Vec<u8>>) {
        let patch = self.data(data);
        self.workflows.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    async fn delete_workflow(&self, name: &str) {
        self.workflows.delete(name, &DeleteParams::default()).await.unwrap();
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
