//! A workflow that is a Secret, through real pods: document, data and script come from a volume of the Secret.

use crate::{
    cluster::{Cluster, eventually, root},
    site::{PATIENCE, Site, note, told},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, PostParams},
};
use operator_engine::workflow::{
    Outcome, Phase, Record,
    digest::Sha256,
    record::{STATE_LABEL, STATUS_ANNOTATION},
};
use serde_json::{Value, json};
use std::{fs, time::Instant};

pub(crate) async fn the_penguins_of_a_secret_come_out_as_they_should(cluster: &'static Cluster) {
    // The right is there before the engine is.
    let name = "hidden";
    cluster.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    let file = fs::read_to_string(root().join("manifests/components/secrets/kustomization.yaml")).unwrap();
    let component: Value = serde_saphyr::from_str(&file).unwrap();
    let patch: Value = serde_saphyr::from_str(component["patches"][0]["patch"].as_str().unwrap()).unwrap();
    let (group, metadata) = ("rbac.authorization.k8s.io", json!({"name": "secrets", "namespace": name}));
    let api = format!("{group}/v1");
    cluster.apply(&json!({"apiVersion": api, "kind": "Role", "metadata": metadata, "rules": [patch[0]["value"]]}));
    cluster.apply(&json!({"apiVersion": api, "kind": "RoleBinding", "metadata": metadata,
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "secrets"},
        "subjects": [{"kind": "ServiceAccount", "name": "operator-engine", "namespace": name}]}));
    let settings = fs::read_to_string(root().join("manifests/components/secrets/workflows.toml")).unwrap();
    let site = Site::of_its_own(cluster, name, &settings).await;

    let secrets: Api<Secret> = Api::namespaced(cluster.admin.clone(), name);
    let folder = root().join("manifests/examples/penguins");
    let text = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
    let files = ["workflow.yaml", "algorithm.py", "penguins.csv"];
    let data: serde_json::Map<String, Value> =
        files.map(|file| (file.to_owned(), text(file).into())).into_iter().collect();
    let secret = json!({"metadata": {"name": "penguins", "labels": {STATE_LABEL: "pending"}}, "stringData": data});
    let begun = Instant::now();
    secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    let record = eventually("the Secret is done", PATIENCE, async || {
        let secret = secrets.get("penguins").await.unwrap();
        let record = Record::parse(secret.annotations().get(STATUS_ANNOTATION)?).unwrap();
        (record.phase == Phase::Done).then_some(record)
    })
    .await;
    note("the penguins in a Secret", &record, begun.elapsed());
    assert_eq!(told(&record), (Some(Outcome::Succeeded), None), "{record:?}");
    let readme = text("README.md");
    let promised: Vec<(&str, &str)> = readme
        .lines()
        .filter_map(|line| line.trim().split_once("  "))
        .filter(|(digest, file)| digest.len() == 64 && file.starts_with("outputs/"))
        .collect();
    assert_eq!(promised.len(), 2);
    for (digest, file) in promised {
        let found = site.result("penguins", file).await.unwrap_or_else(|| panic!("{file} is not there"));
        assert_eq!(Sha256::of(found).to_string(), digest, "{file}");
    }
    site.clean("penguins").await;

    // What it owns goes with it.
    let slow = crate::site::script("sleep 300").to_string();
    let slow = json!({"metadata": {"name": "slow", "labels": {STATE_LABEL: "pending"}}, "stringData": {"workflow.json": slow}});
    secrets.create(&PostParams::default(), &serde_json::from_value(slow).unwrap()).await.unwrap();
    site.pod_runs("slow-algorithm-0").await;
    secrets.delete("slow", &DeleteParams::default()).await.unwrap();
    site.clean("slow").await;

    site.scale(0);
    eventually("the engine is gone", PATIENCE, async || site.engine_pods().await.is_empty().then_some(())).await;
    site.away().await;
}
