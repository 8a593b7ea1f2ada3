//! An engine in its Deployment and the namespace its jobs run in, as people have them; and what they do there.

use crate::{
    cluster::{Cluster, eventually, root},
    runner::figure,
};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use operator_engine::workflow::{
    Outcome, Phase, Record, State,
    record::{STATE_LABEL, STATUS_ANNOTATION},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// An engine and its jobs.
pub(crate) struct Site {
    pub(crate) cluster: &'static Cluster,
    /// Where the Deployment is.
    pub(crate) engine: String,
    /// Where workflows are.
    pub(crate) jobs: String,
    pub(crate) workflows: Api<ConfigMap>,
    pub(crate) pods: Api<Pod>,
    pub(crate) volumes: Api<PersistentVolumeClaim>,
}

/// How long anything may take that takes some seconds on a machine with nothing else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(100);

/// The settings of all sites: small pods for a small node, and patience that a test can wait for.
const SETTINGS: &str = r#"
[engine]
log_format = "human"
log_level = "info,operator_engine=debug"
[limits]
cpus = "100m"
memory = "128Mi"
disk = "64Mi"
max_log = "1Mi"
max_jobs = 20
stop_grace = "4s"
[loop]
audit_every = "2s"
[images]
filter = "operator-engine.test/filter:1"
[waiting]
image = "10s"
start = "60s"
[retries]
backoff_first = "1s"
[fetch]
allow_networks = ["198.18.0.0/16"]
"#;

/// The engine's image, in kustomize's words.
const IMAGE: &str = "
images:
  - name: operator-engine
    newName: operator-engine.test/operator-engine
    newTag: test
";

/// Passes the image on to the engine itself, as manifests/kustomization.yaml says one should.
const REPLACEMENTS: &str = r#"
replacements:
  - source: {kind: Deployment, name: operator-engine, fieldPath: "spec.template.spec.containers.[name=engine].image"}
    targets:
      - select: {kind: Deployment, name: operator-engine}
        fieldPaths: ["spec.template.spec.containers.[name=engine].env.[name=OPERATOR_ENGINE__IMAGES__ENGINE].value"]
"#;

impl Site {
    /// `kubectl apply -k` of the shipped manifests, under a kustomization as an admin would write it.
    pub(crate) async fn shipped(cluster: &'static Cluster) -> Self {
        let folder = copy_of_manifests(cluster, "shipped");
        let overlay = folder.join("mine");
        fs::create_dir_all(&overlay).unwrap();
        let generator = "\nconfigMapGenerator:\n  - name: operator-engine\n    namespace: operator-engine\n    \
                         behavior: merge\n    files:\n      - tests.toml\n";
        let text = format!("resources:\n  - ../manifests\n{generator}{IMAGE}{REPLACEMENTS}");
        fs::write(overlay.join("kustomization.yaml"), text).unwrap();
        fs::write(overlay.join("tests.toml"), SETTINGS).unwrap();
        Self::apply(cluster, &overlay, "operator-engine", "operator-engine-jobs").await
    }

    /// An engine of its own in one namespace, by the overlay for that, with more settings over [`SETTINGS`].
    pub(crate) async fn of_its_own(cluster: &'static Cluster, name: &str, settings: &str) -> Self {
        cluster.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {
            "pod-security.kubernetes.io/enforce": "restricted"}}}));
        let folder = copy_of_manifests(cluster, name);
        let overlay = folder.join("manifests/overlays/one-namespace");
        let file = overlay.join("kustomization.yaml");
        let text = fs::read_to_string(&file).unwrap();
        let (before, rest) = text.split_once("images:").unwrap();
        let (_, replacements) = rest.split_once("replacements:").unwrap();
        let text = format!(
            "{}{IMAGE}replacements:{replacements}\nreplicas:\n  - {{name: operator-engine, count: 1}}\n",
            before.replace("\nnamespace: operator-engine\n", &format!("\nnamespace: {name}\n"))
        );
        let text =
            text.replace("      - overlay.toml", "      - overlay.toml\n      - tests.toml\n      - tests2.toml\n#");
        fs::write(&file, text).unwrap();
        fs::write(overlay.join("tests.toml"), SETTINGS).unwrap();
        fs::write(overlay.join("tests2.toml"), settings).unwrap();
        Self::apply(cluster, &overlay, name, name).await
    }

    async fn apply(cluster: &'static Cluster, overlay: &Path, engine: &str, jobs: &str) -> Self {
        cluster.kubectl(&["apply", "-k", overlay.to_str().unwrap()]).unwrap();
        let site = Self {
            cluster,
            engine: engine.to_owned(),
            jobs: jobs.to_owned(),
            workflows: Api::namespaced(cluster.admin.clone(), jobs),
            pods: Api::namespaced(cluster.admin.clone(), jobs),
            volumes: Api::namespaced(cluster.admin.clone(), jobs),
        };
        site.engines_ready().await;
        site
    }

    /// Waits until the Deployment is as wanted: every engine says that it is ready.
    pub(crate) async fn engines_ready(&self) {
        let rollout = ["rollout", "status", "-n", &self.engine, "deployment/operator-engine", "--timeout=90s"];
        let told = tokio::task::block_in_place(|| self.cluster.kubectl(&rollout));
        if let Err(why) = told {
            self.say_what_there_is();
            panic!("the engine does not get ready: {why}");
        }
    }

    /// Scales the Deployment.
    pub(crate) fn scale(&self, replicas: u32) {
        let scale = ["scale", "-n", &self.engine, "deployment/operator-engine", &format!("--replicas={replicas}")];
        self.cluster.kubectl(&scale).unwrap();
    }

    /// The engines there are.
    pub(crate) async fn engine_pods(&self) -> Vec<String> {
        let pods: Api<Pod> = Api::namespaced(self.cluster.admin.clone(), &self.engine);
        let engines = ListParams::default().labels("app.kubernetes.io/name=operator-engine");
        pods.list(&engines).await.unwrap().items.iter().map(kube::ResourceExt::name_any).collect()
    }

    /// For a failed run: what engines said and what is there.
    pub(crate) fn say_what_there_is(&self) {
        let ask = |arguments: &[&str]| self.cluster.kubectl(arguments).unwrap_or_else(|error| error);
        let logs =
            ask(&["logs", "-n", &self.engine, "-l", "app.kubernetes.io/name=operator-engine", "--tail=-1", "--prefix"]);
        let all = ask(&["get", "pods,pvc", "-A", "-o", "wide"]);
        let events = ask(&["get", "events", "-A", "--sort-by=.metadata.creationTimestamp"]);
        let path = std::env::temp_dir().join(format!("operator-engine-node-{}.log", self.engine));
        fs::write(&path, format!("{logs}\n\n{all}\n\n{events}")).unwrap();
        println!("what engines in {} said, and what was there: {}", self.engine, path.display());
    }

    /// A person registers a workflow.
    pub(crate) async fn submit(&self, name: &str, document: &Value) {
        self.submit_with(name, document, &[]).await;
    }

    /// The same, with more keys beside the document.
    pub(crate) async fn submit_with(&self, name: &str, document: &Value, more: &[(&str, &str)]) {
        let mut data = json!({"workflow.json": document.to_string()});
        more.iter().for_each(|(key, text)| data[*key] = Value::from(*text));
        let workflow = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {STATE_LABEL: "pending"}},
            "data": data,
        }));
        self.workflows.create(&PostParams::default(), &workflow.unwrap()).await.unwrap();
    }

    /// A person sets the state label.
    pub(crate) async fn label(&self, name: &str, state: State) {
        let patch = json!({"metadata": {"labels": {STATE_LABEL: state.as_str()}}});
        self.workflows.patch_metadata(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    /// What is recorded of a workflow.
    pub(crate) async fn record(&self, name: &str) -> Option<Record> {
        self.workflows.get_opt(name).await.unwrap().and_then(|object| record(&object))
    }

    /// Its record once it is at its end, and its label says so.
    pub(crate) async fn finished(&self, name: &str) -> Record {
        eventually(format!("{name} is done"), PATIENCE, async || {
            let object = self.workflows.get(name).await.unwrap();
            let labelled = object.labels().get(STATE_LABEL).is_some_and(|state| state == "done");
            record(&object).filter(|record| record.phase == Phase::Done && labelled)
        })
        .await
    }

    /// Its record once it is in a phase.
    pub(crate) async fn in_phase(&self, name: &str, phase: Phase) -> Record {
        eventually(format!("{name} is in {phase:?}"), PATIENCE, async || {
            self.record(name).await.filter(|record| record.phase == phase)
        })
        .await
    }

    /// A workflow of one algorithm, from its registration to its end; what is recorded of it is noted under `what`.
    pub(crate) async fn run(&self, what: &str, name: &str, document: &Value) -> Record {
        let _room = self.cluster.room.acquire().await.unwrap();
        let begun = Instant::now();
        self.submit(name, document).await;
        let record = self.finished(name).await;
        note(what, &record, begun.elapsed());
        record
    }

    /// Waits until a pod runs.
    pub(crate) async fn pod_runs(&self, name: &str) -> Pod {
        eventually(format!("{name} runs"), PATIENCE, async || {
            let pod = self.pods.get_opt(name).await.unwrap()?;
            (phase(&pod) == Some("Running")).then_some(pod)
        })
        .await
    }

    /// The folder of what was published of a workflow.
    pub(crate) async fn results(&self, name: &str) -> PathBuf {
        let claim = self.volumes.get("operator-engine-results").await.unwrap();
        self.cluster.environment.node.volumes.join(format!("pvc-{}", claim.uid().unwrap())).join(name)
    }

    /// A file that was published of a workflow, below `data`.
    pub(crate) async fn result(&self, name: &str, file: &str) -> Option<Vec<u8>> {
        fs::read(self.results(name).await.join("data").join(file)).ok()
    }

    /// The same as text; empty if it is not there.
    pub(crate) async fn text(&self, name: &str, file: &str) -> String {
        String::from_utf8_lossy(&self.result(name, file).await.unwrap_or_default()).into_owned()
    }

    /// Waits until no pod and no volume of a workflow is left.
    pub(crate) async fn clean(&self, name: &str) {
        let ours = ListParams::default().labels(&format!("workflow={name}"));
        eventually(format!("nothing is left of {name}"), PATIENCE, async || {
            let pods = self.pods.list_metadata(&ours).await.unwrap().items.len();
            let volumes = self.volumes.list_metadata(&ours).await.unwrap().items.len();
            (pods + volumes == 0).then_some(())
        })
        .await;
    }

    /// Takes an engine of its own away again: the node is small.
    pub(crate) async fn away(self) {
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.cluster.admin.clone());
        namespaces.delete(&self.engine, &DeleteParams::default()).await.unwrap();
    }
}

/// A document with one algorithm.
pub(crate) fn document(image: &str, entrypoint: &str, script: &str) -> Value {
    let (image, tag) = image.rsplit_once(':').unwrap();
    json!({"stages": [{
        "algorithm": {"rawcode": script, "container": {"image": image, "tag": tag, "entrypoint": entrypoint}},
        "compute": {"maxtime": 600},
    }]})
}

/// A shell script in an image that has a shell.
pub(crate) fn script(script: &str) -> Value {
    document("busybox:1.37", "sh $ALGO", script)
}

/// Notes what a person would read, and how long it took until it was there.
pub(crate) fn note(what: &str, record: &Record, took: Duration) {
    let outcome = record.outcome.map_or("-", Outcome::as_str);
    let reason = record.reason.as_deref().unwrap_or("-");
    let failures = if record.failures > 0 { format!(", forgiven: {}", record.failures) } else { String::new() };
    let exit = record.exit_code.map(|code| format!(", exit code {code}")).unwrap_or_default();
    let message = record.message.as_deref().unwrap_or("-");
    figure(what, format!("{:>5.1} s  {outcome}, {reason}{exit}{failures}: {message}", took.as_secs_f64()));
}

/// Outcome and reason.
pub(crate) fn told(record: &Record) -> (Option<Outcome>, Option<&str>) {
    (record.outcome, record.reason.as_deref())
}

/// A pod's phase.
pub(crate) fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}

fn record(object: &ConfigMap) -> Option<Record> {
    object.annotations().get(STATUS_ANNOTATION).map(|status| Record::parse(status).unwrap())
}

fn copy_of_manifests(cluster: &Cluster, name: &str) -> PathBuf {
    let folder = cluster.directory.join(name);
    fs::create_dir_all(&folder).unwrap();
    let copied = Command::new("cp").arg("-R").arg(root().join("manifests")).arg(&folder).status().unwrap();
    assert!(copied.success());
    folder
}
