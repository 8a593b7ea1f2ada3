//! The commands of a submitter, as a user with the rights of the example's Role and no others.

use crate::{
    cluster::{Cluster, eventually},
    engine::{Engine, Setup},
    kubelet::{Act, exits},
    namespace::{DOCUMENT, Namespace, PATIENCE},
};
use k8s_openapi::api::{
    authorization::v1::SubjectAccessReview,
    core::v1::ConfigMap,
    rbac::v1::{Role, RoleBinding},
};
use kube::{Api, ResourceExt as _, api::PostParams};
use operator_engine::workflow::{
    Stage, State,
    record::{STATE_LABEL, STATUS_ANNOTATION},
};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::process::Command;

/// Somebody with a kubeconfig, a folder and the rights of the example.
struct Person<'a> {
    namespace: &'a Namespace,
    folder: PathBuf,
}

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A refusal in the shape that all commands have.
    fn refusal(&self) -> String {
        let answer = self.json();
        assert_eq!(answer["exit"], self.code, "{self:?}");
        let error = answer["error"].as_str().unwrap().to_owned();
        assert!(self.err.contains(&error), "{self:?}");
        error
    }
}

impl<'a> Person<'a> {
    async fn new(namespace: &'a Namespace) -> Self {
        let (cluster, post) = (namespace.cluster, PostParams::default());
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/examples/submitter/role.yaml");
        let role: Role = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let binding = json!({"metadata": {"name": "person"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role.name_any()},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user(cluster)}]});
        Api::<Role>::namespaced(cluster.admin.clone(), &namespace.name).create(&post, &role).await.unwrap();
        let bindings: Api<RoleBinding> = Api::namespaced(cluster.admin.clone(), &namespace.name);
        bindings.create(&post, &serde_json::from_value(binding).unwrap()).await.unwrap();
        let reviews: Api<SubjectAccessReview> = Api::all(cluster.admin.clone());
        let review: SubjectAccessReview = serde_json::from_value(json!({"spec": {"user": user(cluster),
            "resourceAttributes": {"namespace": namespace.name, "verb": "delete", "resource": "configmaps"}}}))
        .unwrap();
        eventually("the person may delete workflows", PATIENCE, async || {
            reviews.create(&post, &review).await.unwrap().status.filter(|status| status.allowed)
        })
        .await;
        let folder = cluster.directory.join(format!("{}-person", namespace.name));
        std::fs::create_dir(&folder).unwrap();
        Self { namespace, folder }
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Runs a command of the program in the person's namespace.
    async fn run(&self, line: &[&str]) -> Ended {
        let cluster = self.namespace.cluster;
        let mut command = Command::new(&cluster.program);
        command.args(line).arg("--kubeconfig").arg(cluster.kubeconfig("submitter")).args(["-n", &self.namespace.name]);
        command.env_clear().current_dir(&self.folder).stdin(Stdio::null()).kill_on_drop(true);
        let ended = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends").unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended { code: ended.status.code().unwrap(), out: text(ended.stdout), err: text(ended.stderr) }
    }
}

fn user(cluster: &Cluster) -> &str {
    &cluster.environment.users["submitter"]
}

pub(crate) async fn a_file_or_folder_becomes_a_workflow_that_an_engine_would_see(cluster: &'static Cluster) {
    let namespace = Namespace::new(cluster, "submit").await;
    let person = Person::new(&namespace).await;
    let document = json!({"stages": [{
        "input": [{"id": "a", "url": ["inline:text.csv", "inline:zip.bin"]}],
        "algorithm": {"url": "inline:run.sh", "container": {"image": "x", "entrypoint": "sh $ALGO"}}}]});
    person.write("job/workflow.json", document.to_string());
    person.write("job/text.csv", "a,b\n");
    person.write("job/zip.bin", b"\xff\x00\xfe");
    person.write("job/run.sh", "id");
    person.write("job/other.txt", "stays here");
    let ended = person.run(&["submit", "job", "--name", "wf-1", "-o", "json"]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.json(), json!({"name": "wf-1", "namespace": "submit", "state": "pending"}));
    let object = namespace.workflows.get("wf-1").await.unwrap();
    assert_eq!(object.labels()[STATE_LABEL], "pending");
    let data = object.data.unwrap();
    assert_eq!(data.keys().collect::<Vec<_>>(), ["run.sh", "text.csv", "workflow.json"]);
    assert_eq!(object.binary_data.unwrap()["zip.bin"].0, b"\xff\x00\xfe");

    // Twice is refused, and nothing is changed.
    let ended = person.run(&["submit", "job", "--name", "wf-1", "-o", "json"]).await;
    assert_eq!(ended.code, 5, "{ended:?}");
    assert!(ended.refusal().contains("operator-engine delete wf-1"), "{ended:?}");

    // A manifest keeps its labels and annotations; without a name there is a new one each time.
    let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "wf-2", "labels": {"team": "x"}, "annotations": {"operator-engine/owner": "0x1"}},
        "data": {"workflow.json": DOCUMENT}});
    person.write("wf-2.json", manifest.to_string());
    assert_eq!(person.run(&["submit", "wf-2.json"]).await.code, 0);
    let object = namespace.workflows.get("wf-2").await.unwrap();
    assert_eq!((object.labels()["team"].as_str(), object.labels()[STATE_LABEL].as_str()), ("x", "pending"));
    assert_eq!(object.annotations()["operator-engine/owner"], "0x1");
    person.write("bare.json", DOCUMENT);
    let ended = person.run(&["submit", "bare.json", "-o", "json"]).await;
    assert!(ended.json()["name"].as_str().unwrap().starts_with("bare-"), "{ended:?}");

    // What would be refused is not registered.
    person.write("bad.json", r#"{"stages":[{"algorithm":{"container":{"image":"a b"}}}]}"#);
    let ended = person.run(&["submit", "bad.json", "--name", "bad", "-o", "json"]).await;
    assert_eq!((ended.code, ended.json()["outcome"].as_str()), (14, Some("refused")), "{ended:?}");
    assert!(ended.json()["faults"].as_array().unwrap().len() > 1, "{ended:?}");
    let stopping = manifest.to_string().replace("\"team\":\"x\"", "\"operator-engine/state\":\"stopping\"");
    person.write("stopping.json", stopping.replace("wf-2", "bad"));
    assert_eq!(person.run(&["submit", "stopping.json"]).await.code, 14);
    assert!(namespace.workflows.get_opt("bad").await.unwrap().is_none());
}

pub(crate) async fn a_person_follows_stops_and_deletes_workflows(cluster: &'static Cluster) {
    let namespace = Namespace::new(cluster, "follow").await;
    let person = Person::new(&namespace).await;
    person.write("job.json", DOCUMENT);
    let _kubelet = namespace.kubelet(|job| match job.stage {
        Stage::Algorithm if job.name.starts_with("slow") => Act::Hang,
        Stage::Algorithm if job.name.starts_with("bad") => Act::End(Duration::from_millis(50), exits(3)),
        _ => Act::Succeed(Duration::from_millis(50)),
    });
    assert_eq!(person.run(&["submit", "job.json", "--name", "slow"]).await.code, 0);
    let shown = person.run(&["show", "slow"]).await;
    assert!(shown.out.starts_with("slow: pending, not claimed by an engine yet\n"), "{shown:?}");
    let _engine = Engine::start(cluster, &namespace, &Setup::new().eager());

    let ended = person.run(&["submit", "job.json", "--name", "good", "--wait", "-o", "json"]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let answer = ended.json();
    assert_eq!((&answer["record"]["outcome"], &answer["state"]), (&json!("succeeded"), &json!("done")));
    let ended = person.run(&["submit", "job.json", "--name", "bad", "--wait"]).await;
    assert_eq!(ended.code, 10, "{ended:?}");
    assert!(ended.out.starts_with("bad: done, failed\n") && ended.out.contains("AlgorithmFailed"), "{ended:?}");

    namespace.pod_in("slow-algorithm-0", "Running").await;
    let shown = person.run(&["show", "slow"]).await;
    assert!(shown.out.starts_with("slow: active, in algorithm\n"), "{shown:?}");
    let listed = person.run(&["list", "-o", "json"]).await.json();
    let line = |name: &str| listed.as_array().unwrap().iter().find(|line| line["name"] == name).unwrap().clone();
    assert_eq!((&line("good")["outcome"], &line("slow")["phase"]), (&json!("succeeded"), &json!("algorithm")));
    let table = person.run(&["list"]).await.out;
    assert!(table.starts_with("NAME  STATE") && table.lines().count() == 4, "{table}");

    // What has not ended is not thrown away by mistake.
    let ended = person.run(&["delete", "slow", "-o", "json"]).await;
    assert_eq!(ended.code, 6, "{ended:?}");
    assert!(ended.refusal().contains("operator-engine stop slow"), "{ended:?}");
    assert!(person.run(&["stop", "slow"]).await.out.contains("is being stopped"));
    let record = namespace.finished("slow").await;
    assert_eq!(record.outcome.unwrap().as_str(), "stopped");
    let again = person.run(&["stop", "slow", "-o", "json"]).await;
    assert_eq!((again.code, &again.json()["changed"]), (0, &json!(false)), "{again:?}");
    assert_eq!(namespace.workflows.get("slow").await.unwrap().labels()[STATE_LABEL], State::Done.as_str());

    assert_eq!(person.run(&["delete", "slow"]).await.code, 0);
    assert_eq!(person.run(&["submit", "job.json", "--name", "slow-2"]).await.code, 0);
    namespace.pod_in("slow-2-algorithm-0", "Running").await;
    assert_eq!(person.run(&["delete", "slow-2", "--force"]).await.code, 0);
    for name in ["slow", "slow-2"] {
        assert!(namespace.workflows.get_opt(name).await.unwrap().is_none());
        assert_eq!(person.run(&["show", name]).await.code, 4);
    }
    let ended =
        person.run(&["submit", "job.json", "--name", "slow-3", "--wait", "--timeout", "2s", "-o", "json"]).await;
    assert_eq!(ended.code, 6, "{ended:?}");
    ended.refusal();
}

pub(crate) async fn a_submitter_with_the_right_to_do_so_uses_secrets(cluster: &'static Cluster) {
    let namespace = Namespace::new(cluster, "submit-secrets").await;
    let person = Person::new(&namespace).await;
    person.write("job.json", DOCUMENT);
    let manifest = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hidden"},
        "stringData": {"workflow.json": DOCUMENT}});
    person.write("hidden.json", manifest.to_string());
    assert_eq!(person.run(&["submit", "job.json", "--name", "open"]).await.code, 0);

    // Without the right: told so, and what is a ConfigMap is found all the same.
    let denied = person.run(&["submit", "hidden.json", "-o", "json"]).await;
    assert!(denied.code == 1 && denied.refusal().contains("secrets"), "{denied:?}");
    assert_eq!(person.run(&["show", "open", "--secrets"]).await.code, 0);
    let listed = person.run(&["list", "--secrets", "-o", "json"]).await;
    assert!(listed.code == 0 && listed.json()[0]["name"] == "open", "{listed:?}");
    assert!(listed.err.contains("workflows that are Secrets are not shown"), "{listed:?}");
    let denied = person.run(&["show", "hidden", "--secrets", "-o", "json"]).await;
    assert!(denied.code == 1 && denied.refusal().contains("secrets"), "{denied:?}");

    let rights = json!({"metadata": {"name": "secrets"},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list", "create", "patch", "delete"]}]});
    let binding = json!({"metadata": {"name": "secrets"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "secrets"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user(cluster)}]});
    let post = PostParams::default();
    let roles: Api<Role> = Api::namespaced(cluster.admin.clone(), &namespace.name);
    roles.create(&post, &serde_json::from_value(rights).unwrap()).await.unwrap();
    let bindings: Api<RoleBinding> = Api::namespaced(cluster.admin.clone(), &namespace.name);
    bindings.create(&post, &serde_json::from_value(binding).unwrap()).await.unwrap();
    eventually("the person may list Secrets", PATIENCE, async || {
        person.run(&["list", "--secrets"]).await.err.is_empty().then_some(())
    })
    .await;

    assert_eq!(person.run(&["submit", "hidden.json"]).await.code, 0);
    assert_eq!(person.run(&["submit", "job.json", "--name", "bare", "--secret"]).await.code, 0);
    let secrets: Api<k8s_openapi::api::core::v1::Secret> = Api::namespaced(cluster.admin.clone(), &namespace.name);
    for name in ["hidden", "bare"] {
        let secret = secrets.get(name).await.unwrap();
        assert_eq!(secret.labels()[STATE_LABEL], "pending");
        assert_eq!(secret.data.unwrap()["workflow.json"].0, DOCUMENT.as_bytes());
        assert!(namespace.workflows.get_opt(name).await.unwrap().is_none());
        let ended = person.run(&["show", name, "-o", "json"]).await;
        assert!(ended.code == 4 && ended.refusal().contains("--secrets"), "{ended:?}");
        let shown = person.run(&["show", name, "--secrets", "-o", "json"]).await.json();
        assert_eq!((&shown["name"], &shown["kind"]), (&json!(name), &json!("Secret")));
    }
    let table = person.run(&["list", "--secrets"]).await.out;
    assert!(table.starts_with("NAME    KIND") && table.lines().count() == 4, "{table}");
    assert!(person.run(&["stop", "hidden", "--secrets"]).await.out.contains("hidden is being stopped"));
    assert_eq!(secrets.get("hidden").await.unwrap().labels()[STATE_LABEL], "stopping");
    assert_eq!(person.run(&["delete", "bare"]).await.code, 4);
    assert_eq!(person.run(&["delete", "bare", "--secrets"]).await.code, 0);
    assert!(secrets.get_opt("bare").await.unwrap().is_none());
}

pub(crate) async fn what_is_no_workflow_or_not_allowed_is_left_alone_and_told(cluster: &'static Cluster) {
    let namespace = Namespace::new(cluster, "strangers").await;
    let person = Person::new(&namespace).await;
    let other: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "other"}, "data": {"a": "b"}})).unwrap();
    namespace.workflows.create(&PostParams::default(), &other).await.unwrap();
    for line in [&["delete", "other", "--force"][..], &["stop", "other"], &["show", "other"]] {
        let ended = person.run(&[line, &["-o", "json"]].concat()).await;
        assert_eq!(ended.code, 4, "{ended:?}");
        assert!(ended.refusal().contains("is no workflow"), "{ended:?}");
    }
    let left = namespace.workflows.get("other").await.unwrap();
    assert!(left.labels().is_empty() && left.data.is_some());
    let listed = person.run(&["list", "-o", "json"]).await;
    assert_eq!(listed.json(), json!([]));

    // A namespace where this person has no rights.
    let denied = person.run(&["list", "-o", "json", "-n", "default"]).await;
    assert_eq!(denied.code, 2, "the namespace is given once: {denied:?}");
    let elsewhere = Namespace::new(cluster, "elsewhere").await;
    let stranger = Person { namespace: &elsewhere, folder: person.folder.clone() };
    let denied = stranger.run(&["list", "-o", "json"]).await;
    assert_eq!(denied.code, 1, "{denied:?}");
    assert!(denied.refusal().contains("manifests/examples/submitter/role.yaml"), "{denied:?}");
}

pub(crate) async fn results_and_logs_are_found_by_the_record(cluster: &'static Cluster) {
    let namespace = Namespace::new(cluster, "results").await;
    let person = Person::new(&namespace).await;
    // Results as publish stores them, and a record that names them, as the engine would have written it.
    let script = json!({"stages": [{"algorithm": {"rawcode": "echo said; echo made > $OUTPUTS/made",
        "container": {"image": "x", "entrypoint": "sh $ALGO"}}}]});
    person.write("job.json", script.to_string());
    let mut local = Command::new(&cluster.program);
    local.args(["local", "job.json", "--out", "store", "--name", "good"]).env_clear().current_dir(&person.folder);
    local.env("PATH", std::env::var_os("PATH").unwrap()).env("OPERATOR_PRIVATE_KEY", "11".repeat(32));
    let ended = local.output().await.unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let store = person.folder.join("store").canonicalize().unwrap();
    let manifest = std::fs::read(store.join("good/manifest.json")).unwrap();
    namespace.submit("good").await;
    let _kubelet = namespace.kubelet(|_| Act::Succeed(Duration::from_millis(20)));
    // What is announced is this test's to say.
    let setup = Setup::new().eager().with("ENVIRONMENT__ANNOUNCE", "false");
    let engine = Engine::start(cluster, &namespace, &setup);
    let mut record = namespace.finished("good").await;
    engine.kill().await;
    let results = record.results.as_mut().unwrap();
    results.store = format!("file://{}", store.display());
    results.manifest_sha256 = operator_engine::workflow::digest::Sha256::of(&manifest);
    let annotate = async |record: &operator_engine::workflow::Record| {
        let patch = json!({"metadata": {"annotations": {STATUS_ANNOTATION: record.render()}}});
        let patch = kube::api::Patch::Merge(&patch);
        namespace.workflows.patch_metadata("good", &Default::default(), &patch).await.unwrap();
    };
    annotate(&record).await;
    let site =
        format!("[storage]\nkind = \"directory\"\ndirectory = {store:?}\n[adminlogs]\nkind = \"with-outputs\"\n");
    person.write("site.toml", site);

    let run = async |line: &[&str]| person.run(&[line, &["--config", "site.toml"]].concat()).await;
    let listed = run(&["results", "good"]).await;
    assert!(listed.code == 0 && listed.out.contains("outputs/made"), "{listed:?}");
    let log = run(&["logs", "good"]).await;
    assert_eq!((log.code, log.out.as_str()), (0, "said\n"), "{log:?}");
    let log = run(&["logs", "good", "--stage", "configure"]).await;
    assert!(log.code == 0 && log.out.contains("configure: done"), "{log:?}");

    // The engine announces its address; the results are signed with that key, or they are not what they should be.
    let verdict = async |what: &str| {
        let ended = run(&["results", "good", "--verify", "-o", "json"]).await;
        let answer = ended.json();
        let check = answer["checks"].as_array().unwrap().iter().find(|check| check["name"] == what).unwrap().clone();
        (ended.code, check["verdict"].as_str().unwrap().to_owned())
    };
    assert_eq!(verdict("record").await, (0, "passed".to_owned()));
    assert_eq!(verdict("signature").await, (0, "unchecked".to_owned()));
    let announce = async |address: &str| {
        let data = json!({"consumerAddress": address}).to_string();
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "operator-engine-environment"},
            "data": {"environment.json": data}});
        let parameters = kube::api::PatchParams::apply("test").force();
        let name = "operator-engine-environment";
        namespace.workflows.patch(name, &parameters, &kube::api::Patch::Apply(&object)).await.unwrap();
    };
    announce("0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A").await;
    assert_eq!(verdict("signature").await, (0, "passed".to_owned()));
    announce("0x1563915e194D8CfBA1943570603F7606A3115508").await;
    assert_eq!(verdict("signature").await, (8, "failed".to_owned()));

    // A store that is not the recorded one, a manifest that is not, results that are gone.
    let elsewhere = person.run(&["results", "good", "-o", "json"]).await;
    assert_eq!(elsewhere.code, 3, "{elsewhere:?}");
    assert!(elsewhere.refusal().contains("--config"), "{elsewhere:?}");
    std::fs::write(store.join("good/manifest.json"), [&manifest[..], b" "].concat()).unwrap();
    for line in [&["results", "good"][..], &["results", "good", "--to", "copy"], &["logs", "good"]] {
        assert_eq!(run(line).await.code, 8, "{line:?}");
    }
    assert!(!person.folder.join("copy").exists());
    record.results.as_mut().unwrap().deleted_at = Some("2026-01-01T00:00:00Z".parse().unwrap());
    annotate(&record).await;
    assert_eq!(run(&["results", "good"]).await.code, 7);
    namespace.submit("waiting").await;
    assert_eq!(run(&["results", "waiting"]).await.code, 6);
    assert_eq!(run(&["logs", "waiting"]).await.code, 6);
}
