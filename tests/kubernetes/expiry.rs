//! Expiry, by the program that users start, on a real API server: by its schedule, and once.

use crate::{
    cluster::{Cluster, eventually},
    engine::{Engine, Setup},
    namespace::{Namespace, PATIENCE},
};
use jiff::{SignedDuration, Timestamp};
use kube::api::PostParams;
use operator_engine::workflow::record::{STATE_LABEL, STATUS_ANNOTATION};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tokio::process::Command;

/// A folder of results, and the workflows they are of.
struct Results {
    folder: tempfile::TempDir,
    namespace: Namespace,
}

impl Results {
    async fn new(cluster: &'static Cluster, name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("_adminlogs")).unwrap();
        Self { folder, namespace: Namespace::new(cluster, name).await }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    /// What publish leaves, with or without the workflow whose results they are.
    async fn published(&self, name: &str, expires: SignedDuration, with_workflow: bool) {
        let (path, expires) = (self.path(), Timestamp::now() + expires);
        fs::create_dir_all(path.join(name).join("data/outputs")).unwrap();
        fs::write(path.join(name).join("data/outputs/a.csv"), "1,2\n").unwrap();
        let manifest = json!({"version": 1, "job": name, "expiresAt": expires, "files": []});
        fs::write(path.join(name).join("manifest.json"), manifest.to_string()).unwrap();
        if !with_workflow {
            return;
        }
        let digest = "0".repeat(64);
        let record = json!({"code": 70, "text": "Job finished", "phase": "done", "attempt": 0, "document": digest,
            "holder": {"lease": "l", "identity": "i"}, "outcome": "succeeded",
            "results": {"store": format!("file://{}", path.display()), "prefix": name,
                "manifest": format!("{name}/manifest.json"), "manifestSha256": digest, "files": 1, "bytes": 4,
                "expiresAt": expires}});
        let workflow = json!({"metadata": {"name": name, "labels": {STATE_LABEL: "done"},
            "annotations": {STATUS_ANNOTATION: record.to_string()}}});
        let workflow = serde_json::from_value(workflow).unwrap();
        self.namespace.workflows.create(&PostParams::default(), &workflow).await.unwrap();
    }

    fn setup(&self) -> Setup {
        Setup::new()
            .eager()
            .with("STORAGE__DIRECTORY", self.path().to_string_lossy())
            .with("EXPIRY__CONFIRM_AFTER", "1s")
    }

    fn has(&self, name: &str) -> bool {
        self.path().join(name).exists()
    }

    async fn deleted_at(&self, name: &str) -> Option<Timestamp> {
        self.namespace.record(name).await.and_then(|record| record.results?.deleted_at)
    }
}

pub(crate) async fn expired_results_go_by_the_schedule_under_the_shipped_role(cluster: &'static Cluster) {
    let results = Results::new(cluster, "expiry").await;
    let hour = SignedDuration::from_hours(1);
    results.published("expired", -hour, true).await;
    results.published("fresh", hour, true).await;
    results.published("soon", SignedDuration::from_secs(8), true).await;
    results.published("without", -hour, false).await;
    fs::create_dir(results.path().join("not a job")).unwrap();
    let setup = results.setup().with("EXPIRY__SCHEDULE", "*/2 * * * * *");
    // Two, as they are deployed.
    let engines = [(); 2].map(|()| Engine::start(cluster, &results.namespace, &setup));
    for name in ["expired", "soon"] {
        let when = eventually(format!("{name} is marked"), PATIENCE, async || results.deleted_at(name).await).await;
        let record = results.namespace.record(name).await.unwrap();
        assert!(when >= record.results.unwrap().expires_at.unwrap());
        assert!(!results.has(name), "marked after it was gone");
    }
    eventually("what has no workflow is gone", PATIENCE, async || (!results.has("without")).then_some(())).await;
    assert!(results.has("fresh") && results.has("not a job") && results.deleted_at("fresh").await.is_none());
    let told: u64 = engines.iter().map(|engine| deleted(&engine.said())).sum();
    assert_eq!(told, 3, "each is told once, by whichever engine did it");
    for engine in engines {
        assert!(engine.terminate().await.success());
    }
}

/// What an engine's log says of deletions.
fn deleted(log: &str) -> u64 {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|line| line["message"] == "looked for expired results")
        .filter_map(|line| line["deleted"].as_u64())
        .sum()
}

pub(crate) async fn sweep_deletes_once_and_records_where_that_is_allowed(cluster: &'static Cluster) {
    let results = Results::new(cluster, "records").await;
    results.published("expired", SignedDuration::from_hours(-1), true).await;
    results.published("fresh", SignedDuration::from_hours(1), true).await;
    results.namespace.grant("delete", "configmaps").await;
    let first = sweep(cluster, &results, &[]).await;
    assert_eq!(
        (&first["found"], &first["deleted"], &first["skipped"]["unconfirmed"]),
        (&1.into(), &0.into(), &1.into())
    );
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let dry = sweep(cluster, &results, &["--dry-run"]).await;
    assert_eq!((&dry["dryRun"], &dry["deleted"]), (&true.into(), &1.into()));
    assert!(results.has("expired") && results.deleted_at("expired").await.is_none());
    let second = sweep(cluster, &results, &[]).await;
    assert_eq!((&second["deleted"], &second["objects"]), (&1.into(), &2.into()), "{second}");
    assert!(!results.has("expired") && results.has("fresh") && results.deleted_at("expired").await.is_some());
    // A second is long enough for its record, and two runs have to agree on that as well.
    eventually("its ConfigMap is gone", PATIENCE, async || {
        sweep(cluster, &results, &[]).await;
        results.namespace.workflows.get_opt("expired").await.unwrap().is_none().then_some(())
    })
    .await;
    assert!(results.namespace.workflows.get_opt("fresh").await.unwrap().is_some());
    let nothing = sweep(cluster, &results, &["--relink"]).await;
    assert_eq!((&nothing["found"], &nothing["failures"]), (&0.into(), &json!([])));
}

/// `sweep`, as a person runs it; what it says.
async fn sweep(cluster: &Cluster, results: &Results, more: &[&str]) -> Value {
    let mut command = Command::new(&cluster.program);
    command.args(["sweep", "-o", "json", "--kubeconfig"]).arg::<&Path>(cluster.kubeconfig("engine")).args(more);
    command.env_clear();
    let name = |key: &str| format!("OPERATOR_ENGINE__{key}");
    command.env(name("STORAGE__KIND"), "directory").env(name("STORAGE__DIRECTORY"), results.path());
    command.env(name("ENGINE__JOBS_NAMESPACE"), &results.namespace.name);
    command.env(name("EXPIRY__CONFIRM_AFTER"), "1s").env(name("EXPIRY__KEEP_RECORDS"), "1s");
    let output = command.output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).unwrap()
}
