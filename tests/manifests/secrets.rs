//! The component that makes Secrets workflows: applied for real, and a Secret taken up under its rights.

use crate::{
    ENGINE, JOBS,
    cluster::Cluster,
    engine::{Engine, effective},
};
use serde_json::{Value, json};
use std::fs;

/// In a cluster of its own: the others are told that the engine may read no Secret.
#[test]
fn with_the_component_a_secret_is_taken_up_and_its_rights_are_added_and_no_others() {
    let cluster = Cluster::up();
    let copy = cluster.copy_of_manifests("secrets");
    let built = || cluster.kubectl(&["kustomize", copy.to_str().unwrap()]).unwrap();
    let role = |text: &str| {
        let objects: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
        let mut roles = objects.into_iter().filter(|object| object["kind"] == "Role");
        let role = roles.next().unwrap();
        assert!(roles.next().is_none());
        role["rules"].as_array().unwrap().clone()
    };
    let before = role(&built());
    let file = copy.join("kustomization.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let on = text.replace("  # - components/secrets ", "  - components/secrets ");
    assert_ne!(text, on);
    fs::write(&file, on).unwrap();
    let mut after = role(&built());
    let added = after.pop().unwrap();
    assert_eq!(added, json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "patch"]}));
    assert_eq!(after, before);

    cluster.apply(copy.to_str().unwrap());
    assert_eq!(effective(&cluster, ENGINE, "workflows.secrets"), json!(true));
    let engine = Engine::start(&cluster);
    cluster.wait_for("readiness", || engine.page("/readyz").starts_with("HTTP/1.1 200"));
    let document = json!({"stages": [{"algorithm": {"rawcode": "true",
        "container": {"image": "busybox", "tag": "1.37", "entrypoint": "sh $ALGO"}}}]});
    let secret = json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "hidden", "labels": {"operator-engine/state": "pending"}},
        "stringData": {"workflow.json": document.to_string()}});
    cluster.feed(&["create", "-n", JOBS, "-f", "-"], &secret.to_string()).unwrap();
    let pods = || cluster.get(JOBS, "pods")["items"].as_array().unwrap().clone();
    cluster.wait_for("the first pod", || !pods().is_empty());
    let pod = pods().remove(0);
    let owner = &pod["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["kind"], &owner["name"]), (&json!("Secret"), &json!("hidden")));
    assert!(pod["spec"]["volumes"].to_string().contains(r#""secretName":"hidden""#), "{pod}");
    let (status, said) = engine.end();
    assert_eq!(status, Some(0), "{said}");
    for word in ["forbidden", "violates PodSecurity", "\"ERROR\"", " ERROR "] {
        assert!(!said.contains(word), "{said}");
    }
}
