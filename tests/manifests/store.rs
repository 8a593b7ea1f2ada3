//! The component that puts results into a bucket, and the Secrets that credentials come from.

use crate::{
    ENGINE, JOBS,
    cluster::{Cluster, root},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The manifests with the component turned on, as a user would.
fn with_bucket(cluster: &Cluster, name: &str) -> PathBuf {
    let copy = cluster.copy_of_manifests(name);
    let file = copy.join("kustomization.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let on = text.replace("  # - components/s3 ", "  - components/s3 ");
    assert_ne!(text, on);
    fs::write(&file, on).unwrap();
    copy
}

/// What `kubectl apply -k` would send.
fn objects(cluster: &Cluster, folder: &Path) -> Vec<Value> {
    let text = cluster.kubectl(&["kustomize", folder.to_str().unwrap()]).unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    assert!(objects.len() > 10, "{}", objects.len());
    objects
}

/// The one object of a kind in the engine's own namespace.
fn of_the_engine<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found = objects.iter().filter(|object| object["kind"] == kind && object["metadata"]["namespace"] == ENGINE);
    let found: Vec<_> = found.collect();
    assert_eq!(found.len(), 1, "{kind}");
    found[0]
}

#[test]
fn with_the_component_everything_is_accepted_and_its_configuration_puts_results_into_the_bucket() {
    let cluster = Cluster::shared();
    cluster.apply("manifests");
    let copy = with_bucket(&cluster, "bucket");
    cluster.kubectl(&["apply", "-k", copy.to_str().unwrap(), "--dry-run=server"]).unwrap();

    let objects = objects(&cluster, &copy);
    let folder = cluster.folder("configuration-of-s3");
    for (file, text) in of_the_engine(&objects, "ConfigMap")["data"].as_object().unwrap() {
        fs::write(folder.join(file), text.as_str().unwrap()).unwrap();
    }
    let told = Command::new(env!("CARGO_BIN_EXE_operator-engine"))
        .args(["check", "-o", "json", "--config"])
        .arg(&folder)
        .env_clear()
        .output()
        .unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    let value = |key: &str| told.as_array().unwrap().iter().find(|line| line["key"] == key).unwrap()["value"].clone();
    assert_eq!((value("storage.kind"), value("adminlogs.kind")), (json!("s3"), json!("apart")));
    assert_eq!(value("engine.jobs_namespace"), json!(JOBS), "what the base says still holds");
    assert!(!objects.iter().any(|object| object["kind"] == "PersistentVolumeClaim"), "a volume that nothing uses");
}

#[test]
fn only_publish_and_configure_reach_anything_with_the_component() {
    let cluster = Cluster::shared();
    let objects = objects(&cluster, &with_bucket(&cluster, "bucket-network"));
    let in_jobs =
        objects.iter().filter(|object| object["kind"] == "NetworkPolicy" && object["metadata"]["namespace"] == JOBS);
    let open: Vec<_> = in_jobs.filter(|policy| policy["spec"].get("egress").is_some()).collect();
    let selected: Vec<_> =
        open.iter().map(|policy| &policy["spec"]["podSelector"]["matchLabels"]["component"]).collect();
    assert_eq!(selected.len(), 2, "{selected:?}");
    assert!(selected.contains(&&json!("configure")) && selected.contains(&&json!("publish")), "{selected:?}");
}

#[test]
fn no_secret_is_shipped_and_the_engine_starts_without_one() {
    let cluster = Cluster::shared();
    let objects = objects(&cluster, &root().join("manifests"));
    assert!(objects.iter().all(|object| object["kind"] != "Secret"));
    let container = &of_the_engine(&objects, "Deployment")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["envFrom"], json!([{"secretRef": {"name": "operator-engine-storage", "optional": true}}]));
    // The name that publish pods look for, where nothing else is said.
    let defaults = fs::read_to_string(root().join("config/default.toml")).unwrap();
    assert!(defaults.contains("\nsecret = \"operator-engine-storage\"\n"));
}
