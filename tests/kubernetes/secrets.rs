//! Workflows that are Secrets, on a real API server: under the shipped Role with the component's rights, and no others.

use crate::{
    audit,
    cluster::{Cluster, eventually},
    engine::{Engine, Setup},
    kubelet::{Act, exits},
    namespace::{DOCUMENT, Namespace, PATIENCE},
    runner::figure,
};
use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{ConfigMap, Event, PersistentVolumeClaim, Pod, Secret},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use nix::sys::signal::Signal;
use operator_engine::workflow::{
    Outcome, Phase, Record, Stage, State,
    record::{STATE_LABEL, STATUS_ANNOTATION},
};
use serde_json::json;
use std::{net::TcpListener, time::Duration};

/// Where engines may read Secrets: all that is asked of any is asked there.
pub(crate) const NAMESPACES: [&str; 5] =
    ["secrets", "secrets-killed", "secrets-expiry", "secrets-canary", "secrets-names"];

/// A namespace where Secrets are workflows.
struct Secrets {
    namespace: Namespace,
    api: Api<Secret>,
}

impl Secrets {
    async fn new(cluster: &'static Cluster, name: &str) -> Self {
        assert!(NAMESPACES.contains(&name));
        let namespace = Namespace::new(cluster, name).await;
        namespace.grant_secrets().await;
        Self { api: Api::namespaced(cluster.admin.clone(), name), namespace }
    }

    async fn submit(&self, name: &str, document: &str) {
        let secret = json!({"metadata": {"name": name, "labels": {STATE_LABEL: "pending"}},
            "stringData": {"workflow.json": document}});
        self.api.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    }

    async fn label(&self, name: &str, state: State) {
        let patch = json!({"metadata": {"labels": {STATE_LABEL: state.as_str()}}});
        self.api.patch_metadata(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    async fn record(&self, name: &str) -> Option<Record> {
        let secret = self.api.get_opt(name).await.unwrap()?;
        secret.annotations().get(STATUS_ANNOTATION).map(|status| Record::parse(status).unwrap())
    }

    async fn finished(&self, name: &str) -> Record {
        eventually(format!("the Secret {name} is done"), PATIENCE, async || {
            self.record(name).await.filter(|record| record.phase == Phase::Done)
        })
        .await
    }

    async fn outcome(&self, name: &str) -> (Outcome, Option<String>) {
        let record = self.finished(name).await;
        (record.outcome.unwrap(), record.reason)
    }
}

fn setup() -> Setup {
    Setup::new().with("WORKFLOWS__SECRETS", "true")
}

fn succeeded() -> (Outcome, Option<String>) {
    (Outcome::Succeeded, None)
}

pub(crate) async fn a_secret_costs_what_a_config_map_does_and_two_lists(cluster: &'static Cluster) {
    let secrets = Secrets::new(cluster, "secrets").await;
    let namespace = &secrets.namespace;
    let kubelet = namespace.kubelet(|job| match (job.name, job.stage) {
        ("stopped" | "deleted", Stage::Algorithm) => Act::Hang,
        ("failed", Stage::Algorithm) => Act::End(Duration::from_millis(50), exits(3)),
        _ => Act::Succeed(Duration::from_millis(400)),
    });
    let engine = Engine::start(cluster, namespace, &setup().without_notifications());
    // Somebody's credentials, under a workflow's name and with a label of their own.
    let other =
        json!({"metadata": {"name": "keys", "labels": {"team": "x"}}, "stringData": {"workflow.json": DOCUMENT}});
    secrets.api.create(&PostParams::default(), &serde_json::from_value(other).unwrap()).await.unwrap();
    namespace.submit("map").await;
    namespace.submit("keys").await;
    secrets.submit("hidden", DOCUMENT).await;
    assert_eq!(secrets.outcome("hidden").await, succeeded());
    assert_eq!(namespace.outcome("map").await, succeeded());
    assert_eq!(namespace.outcome("keys").await, succeeded(), "a Secret that is no workflow takes no name");

    kubelet.saw(|saw| {
        let pod = &saw.pods["hidden-configure-0"];
        let owner = &pod.owner_references()[0];
        assert_eq!((owner.kind.as_str(), owner.name.as_str()), ("Secret", "hidden"));
        let volumes = pod.spec.as_ref().unwrap().volumes.as_ref().unwrap();
        let documents = volumes.iter().find(|volume| volume.name == "workflow").unwrap();
        assert_eq!(documents.secret.as_ref().unwrap().secret_name.as_deref(), Some("hidden"));
        assert!(documents.config_map.is_none());
        for (name, pod) in saw.pods.iter().filter(|(name, _)| !name.contains("-configure-")) {
            let volumes = pod.spec.as_ref().unwrap().volumes.as_ref().unwrap();
            let sees = volumes.iter().any(|volume| volume.secret.is_some() || volume.config_map.is_some());
            assert!(!sees, "{name} sees a document");
        }
    });

    namespace.clean(PATIENCE).await;
    let requests = audit::in_namespace(cluster, "secrets");
    let of = |workflow: &str, what: &str| {
        let is_of = |name: &str| name == workflow || name.starts_with(&format!("{workflow}-"));
        requests.iter().filter(|request| is_of(&request.name) && request.what() == what).count()
    };
    let cost = |workflow: &str, resource: &str| {
        let [get, patch] = ["get", "patch"].map(|verb| of(workflow, &format!("{verb} {resource}")));
        (get, patch, of(workflow, "create persistentvolumeclaims"), of(workflow, "create pods"))
    };
    assert_eq!((cost("hidden", "secrets"), cost("map", "configmaps")), ((1, 5, 1, 4), (1, 5, 1, 4)));
    // Whether somebody has the name: one list each.
    assert_eq!((of("hidden", "list configmaps"), of("map", "list secrets")), (1, 1));
    assert_eq!((of("hidden", "get configmaps"), of("map", "get secrets")), (0, 0));
    // Nothing but lists that select by the label, and of `keys` nothing else at all.
    for request in requests.iter().filter(|request| request.resource == "secrets" && request.verb == "list") {
        assert!(request.uri.contains("labelSelector=operator-engine%2Fstate"), "{request:?}");
        assert!(!request.uri.contains("watch"), "{request:?}");
    }
    assert_eq!((of("keys", "get secrets"), of("keys", "patch secrets")), (0, 0));
    let lists = requests.iter().filter(|request| request.what() == "list secrets").count();
    figure("  a workflow that is a Secret", format!("11, and a list by name; {lists} lists of Secrets in this test"));

    // Stopped, deleted midway, refused, failed.
    for name in ["stopped", "deleted", "failed"] {
        secrets.submit(name, DOCUMENT).await;
    }
    secrets.submit("bad", r#"{"stages": 5}"#).await;
    namespace.pod_in("stopped-algorithm-0", "Running").await;
    secrets.label("stopped", State::Stopping).await;
    namespace.pod_in("deleted-algorithm-0", "Running").await;
    secrets.api.delete("deleted", &DeleteParams::default()).await.unwrap();
    assert_eq!(secrets.outcome("stopped").await, (Outcome::Stopped, Some("Stopped".to_owned())));
    assert_eq!(secrets.outcome("bad").await, (Outcome::Refused, Some("InvalidDocument".to_owned())));
    assert_eq!(secrets.outcome("failed").await, (Outcome::Failed, Some("AlgorithmFailed".to_owned())));
    namespace.clean(PATIENCE).await;
    assert!(engine.terminate().await.success());
    namespace.no_pod_twice();
    let keys = secrets.api.get("keys").await.unwrap();
    assert!(keys.annotations().is_empty() && keys.labels().len() == 1, "{:?}", keys.metadata);
}

pub(crate) async fn one_name_is_one_job_whoever_comes_second(cluster: &'static Cluster) {
    let secrets = Secrets::new(cluster, "secrets-names").await;
    let namespace = &secrets.namespace;
    let _kubelet = namespace.kubelet(|job| match (job.name, job.stage) {
        ("runs" | "runs-hidden", Stage::Algorithm) => Act::Succeed(Duration::from_secs(6)),
        _ => Act::Succeed(Duration::from_millis(100)),
    });
    let engines = [(); 2].map(|()| Engine::start(cluster, namespace, &setup().eager().without_notifications()));
    let taken = (Outcome::Refused, Some("NameTaken".to_owned()));

    // While the first one runs; once with a record that says it was there before.
    namespace.submit("runs").await;
    secrets.submit("runs-hidden", DOCUMENT).await;
    namespace.pod_in("runs-algorithm-0", "Running").await;
    namespace.pod_in("runs-hidden-algorithm-0", "Running").await;
    let forged = Record {
        holder: serde_json::from_value(json!({"lease": "gone", "identity": "gone"})).unwrap(),
        ..namespace.record("runs").await.unwrap()
    };
    let hostile = json!({"metadata": {"name": "runs", "labels": {STATE_LABEL: "active"},
        "annotations": {STATUS_ANNOTATION: forged.render()}}, "stringData": {"workflow.json": DOCUMENT}});
    secrets.api.create(&PostParams::default(), &serde_json::from_value(hostile).unwrap()).await.unwrap();
    namespace.submit("runs-hidden").await;
    assert_eq!(namespace.outcome("runs-hidden").await, taken);
    assert_eq!(namespace.outcome("runs").await, succeeded());
    assert_eq!(secrets.outcome("runs-hidden").await, succeeded());
    let forged = eventually("the stranger's is at its end", PATIENCE * 2, async || {
        secrets.record("runs").await.filter(|record| record.phase == Phase::Done)
    })
    .await;
    assert_eq!((forged.outcome, forged.reason), (Some(taken.0), taken.1.clone()));

    // When it has ended; and once its record is gone.
    secrets.submit("over", DOCUMENT).await;
    assert_eq!(secrets.outcome("over").await, succeeded());
    namespace.clean(PATIENCE).await;
    namespace.submit("over").await;
    assert_eq!(namespace.outcome("over").await, taken);
    secrets.api.delete("over", &DeleteParams::default()).await.unwrap();
    namespace.delete("over").await;
    namespace.submit("over").await;
    assert_eq!(namespace.outcome("over").await, succeeded());

    // At the same moment, for two engines.
    for n in 0..8 {
        let name = format!("both-{n}");
        tokio::join!(namespace.submit(&name), secrets.submit(&name, DOCUMENT));
    }
    for n in 0..8 {
        let name = format!("both-{n}");
        let (map, secret) = (namespace.outcome(&name).await, secrets.outcome(&name).await);
        let ran = [&map, &secret].into_iter().filter(|outcome| **outcome == succeeded()).count();
        assert!(ran <= 1 && (map == taken || secret == taken), "{name}: {map:?}, {secret:?}");
    }
    namespace.clean(PATIENCE).await;
    let mut created = audit::pods_created(cluster, "secrets-names");
    // That one did run twice, as two workflows.
    created.retain(|name, times| *times > 1 && !name.starts_with("over-"));
    assert!(created.is_empty(), "created more than once: {created:?}");
    drop(engines);
}

pub(crate) async fn a_killed_engine_loses_no_secret(cluster: &'static Cluster) {
    let secrets = Secrets::new(cluster, "secrets-killed").await;
    let namespace = &secrets.namespace;
    let kubelet = namespace.kubelet(|_| Act::Succeed(Duration::from_millis(300)));
    for n in 0..4 {
        secrets.submit(&format!("wf-{n}"), DOCUMENT).await;
    }
    // Under one name, so that the next one need not wait for the Lease.
    let setup = Setup { instance: Some("killed".to_owned()), ..setup().eager() };
    for n in 0..4 {
        let engine = Engine::start(cluster, namespace, &setup);
        let next = tokio::time::timeout(Duration::from_secs(10), kubelet.next_pod()).await;
        assert!(next.is_ok() || n > 2, "nothing went on");
        engine.kill().await;
    }
    // And once somebody else.
    let other = Engine::start(cluster, namespace, &setup.clone());
    let heir = Engine::start(cluster, namespace, &Setup { instance: Some("heir".to_owned()), ..setup });
    other.signal(Signal::SIGKILL);
    for n in 0..4 {
        assert_eq!(secrets.outcome(&format!("wf-{n}")).await, succeeded());
    }
    namespace.clean(PATIENCE).await;
    namespace.no_pod_twice();
    kubelet.saw(|saw| assert!(saw.ran.values().all(|uids| uids.len() == 1), "{:?}", saw.ran));
    assert!(heir.terminate().await.success());
}

pub(crate) async fn results_of_a_secret_expire_and_its_record_goes(cluster: &'static Cluster) {
    let secrets = Secrets::new(cluster, "secrets-expiry").await;
    let namespace = &secrets.namespace;
    namespace.grant("delete", "secrets").await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    std::fs::create_dir(path.join("_adminlogs")).unwrap();
    std::fs::create_dir(path.join("hidden")).unwrap();
    let expires = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1);
    let manifest = json!({"version": 1, "job": "hidden", "expiresAt": expires, "files": []}).to_string();
    std::fs::write(path.join("hidden/manifest.json"), &manifest).unwrap();
    let digest = "0".repeat(64);
    let record = json!({"code": 70, "text": "Job finished", "phase": "done", "attempt": 0, "document": digest,
        "holder": {"lease": "l", "identity": "i"}, "outcome": "succeeded",
        "times": {"configure": {"started": expires, "ended": expires}},
        "results": {"store": format!("file://{}", path.display()), "prefix": "hidden",
            "manifest": "hidden/manifest.json", "manifestSha256": digest, "files": 1, "bytes": 4, "expiresAt": expires}});
    let workflow = |annotation: &str| json!({"metadata": {"name": "hidden", "labels": {STATE_LABEL: "done"}, "annotations": {STATUS_ANNOTATION: annotation}}});
    let post = PostParams::default();
    secrets.api.create(&post, &serde_json::from_value(workflow(&record.to_string())).unwrap()).await.unwrap();
    // A namesake that never began, and says nothing of results.
    let refused = json!({"code": 70, "text": "Job finished", "phase": "done", "attempt": 0, "document": digest,
        "holder": {"lease": "l", "identity": "i"}, "outcome": "refused", "reason": "NameTaken"});
    namespace.workflows.create(&post, &serde_json::from_value(workflow(&refused.to_string())).unwrap()).await.unwrap();
    let setup = setup()
        .eager()
        .without_notifications()
        .with("STORAGE__DIRECTORY", path.to_string_lossy())
        .with("EXPIRY__SCHEDULE", "*/2 * * * * *")
        .with("EXPIRY__CONFIRM_AFTER", "1s")
        .with("EXPIRY__KEEP_RECORDS", "1s");
    namespace.grant("delete", "configmaps").await;
    let engine = Engine::start(cluster, namespace, &setup);
    eventually("the results are gone, and the record after them", PATIENCE, async || {
        secrets.api.get_opt("hidden").await.unwrap().is_none().then_some(())
    })
    .await;
    assert!(!path.join("hidden").exists());
    eventually("and its namesake's", PATIENCE, async || {
        namespace.workflows.get_opt("hidden").await.unwrap().is_none().then_some(())
    })
    .await;
    assert!(engine.terminate().await.success());
}

/// What only one Secret knows.
const TOKEN: &str = "tok-5e1fb0a7d94c42b8a6ee";

pub(crate) async fn what_a_secret_holds_appears_nowhere_else(cluster: &'static Cluster) {
    let secrets = Secrets::new(cluster, "secrets-canary").await;
    let namespace = &secrets.namespace;
    namespace.grant("create", "events").await;
    let kubelet = namespace.kubelet(|job| match job.name {
        "fails" if job.stage == Stage::Configure => Act::End(Duration::from_millis(50), exits(1)),
        _ => Act::Succeed(Duration::from_millis(100)),
    });
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let setup = setup()
        .eager()
        .with("ENGINE__LOG_LEVEL", "trace")
        .with("ENGINE__EVENTS", "true")
        .with("HTTP__LISTEN", address.to_string());
    let engine = Engine::start(cluster, namespace, &setup);
    let with_tokens = json!({"stages": [{
        "input": [{"id": "did:op:aa", "url": [format!("https://data.example/a.csv?sig={TOKEN}"), "inline:more.csv"]},
            {"id": "did:op:bb", "remote": {"txId": "0x1", "serviceId": "s", "serviceIndex": 0,
                "metadataUri": format!("https://aquarius.example/{TOKEN}"), "userdata": {"key": TOKEN}}}],
        "compute": {"maxtime": 3600},
        "algorithm": {"id": "did:op:cc", "rawcode": format!("print('{TOKEN}')"), "userdata": {"key": TOKEN},
            "container": {"image": "python", "tag": "3.12", "entrypoint": "python3 $ALGO"}}}]});
    let mut unusable = with_tokens.clone();
    unusable["stages"][0]["input"][0]["url"] = json!(format!("ftp://me:{TOKEN}@data.example/{TOKEN}?sig={TOKEN}"));
    let broken = format!("{{\"stages\": [{{\"token\": \"{TOKEN}\"");
    secrets.submit("good", &with_tokens.to_string()).await;
    secrets.submit("fails", &with_tokens.to_string()).await;
    secrets.submit("unusable", &unusable.to_string()).await;
    secrets.submit("broken", &broken).await;
    let more = json!({"stringData": {"more.csv": TOKEN}});
    secrets.api.patch("good", &PatchParams::default(), &Patch::Merge(&more)).await.unwrap();
    assert_eq!(secrets.outcome("good").await, succeeded());
    assert_eq!(secrets.outcome("fails").await.0, Outcome::Failed);
    for name in ["unusable", "broken"] {
        assert_eq!(secrets.outcome(name).await.0, Outcome::Refused, "{name}");
    }
    let bytes = secrets.api.get("good").await.unwrap().data.unwrap()["workflow.json"].0.clone();
    assert!(String::from_utf8(bytes).unwrap().contains(TOKEN), "it holds the token, or this proves nothing");

    let mut places = 0;
    let mut quiet = |place: &str, text: &str| {
        let at = text.find(TOKEN);
        let around = at.map(|at| text.get(at.saturating_sub(200)..at + TOKEN.len()).unwrap_or_default());
        assert!(at.is_none(), "{place}: …{around:?}");
        assert!(!text.is_empty(), "{place}");
        places += 1;
    };
    for page in ["metrics", "workflows"] {
        let answer = reqwest::get(format!("http://{address}/{page}")).await.unwrap();
        quiet(page, &answer.text().await.unwrap());
    }
    let said = engine.said();
    assert!(said.contains("\"secret/good\""), "the log speaks of it: {said}");
    quiet("the log", &said);
    for name in ["good", "fails", "unusable", "broken"] {
        let metadata = secrets.api.get_metadata(name).await.unwrap().metadata;
        quiet(&format!("labels and record of {name}"), &serde_json::to_string(&metadata).unwrap());
    }
    kubelet.saw(|saw| {
        assert!(saw.pods.len() > 5);
        saw.pods.iter().for_each(|(name, pod)| quiet(name, &serde_json::to_string(pod).unwrap()));
    });
    quiet("the audit log", &std::fs::read_to_string(&cluster.environment.audit).unwrap());
    macro_rules! all {
        ($kind:ty) => {
            serde_json::to_string(
                &Api::<$kind>::all(cluster.admin.clone()).list(&Default::default()).await.unwrap().items,
            )
        };
    }
    let events = all!(Event).unwrap();
    assert!(events.contains("\"kind\":\"Secret\""), "milestones are told of the Secret: {events}");
    quiet("events", &events);
    quiet("ConfigMaps", &all!(ConfigMap).unwrap());
    quiet("pods", &all!(Pod).unwrap());
    quiet("volumes", &all!(PersistentVolumeClaim).unwrap());
    quiet("leases", &all!(Lease).unwrap());
    figure("a token in a workflow that is a Secret: places without it", places.to_string());
    namespace.clean(PATIENCE).await;
    assert!(engine.terminate().await.success());
}
