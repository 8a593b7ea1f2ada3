//! The manifests, as people use them: applied with kubectl to a real API server that enforces Pod Security.
//!
//! There is no node, so nothing runs in a pod; the engine runs beside the cluster, with the shipped configuration, the
//! shipped arguments and the service account's own token. Needs python3 and, the first time, Go (`tests/cluster/build`).

// A test may give up; clippy.toml says so of test functions only, and not of what they share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod cluster;
mod engine;
mod network;
mod secrets;
mod store;

use cluster::Cluster;
use serde_json::{Value, json};

const ENGINE: &str = "operator-engine";
const JOBS: &str = "operator-engine-jobs";

#[test]
fn everything_is_accepted_and_applying_it_again_changes_nothing() {
    let cluster = Cluster::shared();
    cluster.apply("manifests");
    let again = cluster.kubectl(&["apply", "-k", "manifests", "--dry-run=server"]).unwrap();
    let changed: Vec<_> = again.lines().filter(|line| !line.contains(" unchanged")).collect();
    assert!(changed.is_empty(), "{changed:?}");
}

#[test]
fn both_replicas_of_the_engine_are_admitted_where_restricted_is_enforced() {
    let cluster = Cluster::shared();
    cluster.apply("manifests");
    cluster.wait_for("two pods of the engine", || engine_pods(&cluster, ENGINE).len() == 2);

    let pod = |change: &dyn Fn(&mut Value)| {
        let template = &cluster.get(ENGINE, "deployment/operator-engine")["spec"]["template"];
        let mut pod =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": template["spec"]});
        change(&mut pod["spec"]);
        cluster.feed(&["create", "-n", ENGINE, "--dry-run=server", "-f", "-"], &pod.to_string())
    };
    pod(&|_| {}).unwrap();
    // The same pod with one thing loosened is refused, so the one above was really judged.
    for loosen in [
        |spec: &mut Value| spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(true),
        |spec: &mut Value| spec["securityContext"]["seccompProfile"] = Value::Null,
        |spec: &mut Value| spec["securityContext"]["runAsUser"] = json!(0),
    ] {
        let refused = pod(&loosen).unwrap_err();
        assert!(refused.contains("violates PodSecurity \"restricted"), "{refused}");
    }
}

#[test]
fn the_engine_may_do_in_the_jobs_namespace_what_its_role_says_and_nothing_elsewhere() {
    let cluster = Cluster::shared();
    cluster.apply("manifests");
    let engine = "system:serviceaccount:operator-engine:operator-engine";
    let may = |who: &str, verb: &str, what: &str, namespace: &str| {
        // kubectl takes what follows a slash for an object's name.
        let (what, part) = what.split_once('/').unwrap_or((what, ""));
        let part = format!("--subresource={part}");
        let word = cluster.kubectl(&["auth", "can-i", verb, what, &part, "-n", namespace, "--as", who]);
        word.is_ok_and(|word| word.trim() == "yes")
    };
    for (verb, what) in [
        ("list", "configmaps"),
        ("patch", "configmaps"),
        ("create", "pods"),
        ("deletecollection", "persistentvolumeclaims"),
        ("update", "leases.coordination.k8s.io"),
    ] {
        assert!(may(engine, verb, what, JOBS), "{verb} {what}");
        assert!(!may(engine, verb, what, ENGINE), "{verb} {what} in the engine's own namespace");
        assert!(!may(engine, verb, what, "default"), "{verb} {what} in another namespace");
        assert!(!may("system:serviceaccount:operator-engine-jobs:workflow", verb, what, JOBS), "{verb} {what}, a job");
    }
    for (verb, what) in [
        ("watch", "configmaps"),
        ("watch", "pods"),
        ("delete", "configmaps"),
        ("get", "secrets"),
        ("list", "secrets"),
        ("get", "pods/log"),
        ("create", "pods/exec"),
        ("create", "serviceaccounts/token"),
    ] {
        assert!(!may(engine, verb, what, JOBS), "{verb} {what}");
    }
}

#[test]
fn the_component_that_deletes_records_adds_its_right_and_its_key_and_nothing_else() {
    let cluster = Cluster::shared();
    let copy = cluster.copy_of_manifests("delete-records");
    let built = |folder: &std::path::Path| cluster.kubectl(&["kustomize", folder.to_str().unwrap()]).unwrap();
    let before = built(&copy);
    let file = copy.join("kustomization.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let with = text.replace("  - components/limits\n", "  - components/limits\n  - components/delete-records\n");
    assert_ne!(text, with);
    std::fs::write(&file, with).unwrap();
    let after = built(&copy);
    // The configuration's name ends in a hash of what it holds, and so changes too.
    let added: Vec<_> = after.lines().filter(|line| !before.contains(line)).map(str::trim).collect();
    for line in ["records.toml: |", "keep_records = \"30d\""] {
        assert!(added.contains(&line), "{added:?}");
    }
    let rule = "- apiGroups:\n  - \"\"\n  resources:\n  - configmaps\n  verbs:\n  - delete\n";
    assert!(after.contains(rule) && !before.contains(rule), "{after}");
    cluster.feed(&["apply", "--dry-run=server", "-f", "-"], &after).unwrap();
}

#[test]
fn the_pod_that_looks_into_results_is_admitted() {
    let cluster = Cluster::shared();
    cluster.apply("manifests");
    let pod = ["apply", "-n", JOBS, "-f", "manifests/examples/results/pod.yaml", "--dry-run=server"];
    // The quota's controller takes a moment to count a new namespace; until then it refuses everything.
    cluster.wait_for("the pod to be admitted", || cluster.kubectl(&pod).is_ok());
}

#[test]
fn an_admin_of_one_namespace_can_install_it_there() {
    let cluster = Cluster::shared();
    let namespace = "team-a";
    cluster.kubectl(&["create", "namespace", namespace]).unwrap();
    let enforce = "pod-security.kubernetes.io/enforce=restricted";
    cluster.kubectl(&["label", "namespace", namespace, enforce]).unwrap();
    cluster.kubectl(&["create", "rolebinding", "-n", namespace, "a", "--clusterrole=admin", "--user=alice"]).unwrap();

    // What the overlay tells its reader to do: put the namespace's name in.
    let copy = cluster.copy_of_manifests("one-namespace");
    let file = copy.join("overlays/one-namespace/kustomization.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let named = text.replace("\nnamespace: operator-engine\n", &format!("\nnamespace: {namespace}\n"));
    assert_ne!(text, named);
    std::fs::write(&file, named).unwrap();

    let overlay = copy.join("overlays/one-namespace");
    let apply = ["apply", "-k", overlay.to_str().unwrap(), "--as", "alice"];
    // The built-in role for admins is put together by a controller, a moment after the server is there.
    cluster.wait_for("the admin's rights", || {
        let rights = ["auth", "can-i", "create", "roles.rbac.authorization.k8s.io", "-n", namespace, "--as", "alice"];
        cluster.kubectl(&rights).is_ok()
    });
    cluster.kubectl(&apply).unwrap();
    cluster.wait_for("two pods of the engine", || engine_pods(&cluster, namespace).len() == 2);
    let account = format!("system:serviceaccount:{namespace}:operator-engine");
    cluster.kubectl(&["auth", "can-i", "create", "pods", "-n", namespace, "--as", &account]).unwrap();

    let found = engine::effective(&cluster, namespace, "engine.jobs_namespace");
    assert_eq!(found, json!(""), "the jobs' namespace is the engine's own");
    let image = |text: &Value| text.as_str().unwrap_or_default().to_owned();
    let container = &cluster.get(namespace, "deployment/operator-engine")["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(image(&container["image"]), "operator-engine:0.1.0");
}

fn engine_pods(cluster: &Cluster, namespace: &str) -> Vec<Value> {
    let listed = cluster.get(namespace, "pods");
    let is_engine = |pod: &&Value| pod["metadata"]["labels"]["app.kubernetes.io/name"] == json!("operator-engine");
    listed["items"].as_array().unwrap().iter().filter(is_engine).cloned().collect()
}
