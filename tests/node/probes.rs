//! What the engine relies on in a kubelet, by itself: a deadline that is patched into a pod ends it and keeps the object. And
//! what all engines of all tests asked for.

use crate::{
    cluster::{Cluster, eventually},
    runner::figure,
    site::{PATIENCE, Site, phase},
};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::time::Instant;

fn pod(name: &str, image: &str, script: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {
        "restartPolicy": "Never", "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 20,
        "activeDeadlineSeconds": 600,
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "main", "image": image, "command": ["sh", "-c", script],
            "imagePullPolicy": "IfNotPresent",
            "resources": {"limits": {"cpu": "100m", "memory": "32Mi", "ephemeral-storage": "16Mi"}},
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]}})
}

/// As [`operator_engine::cluster::Cluster::end_pod`] does it.
async fn end(site: &Site, name: &str) -> Pod {
    let begun = Instant::now();
    let patch = json!({"spec": {"activeDeadlineSeconds": 1}});
    site.pods.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    let pod = eventually(format!("{name} ends"), PATIENCE, async || {
        let pod = site.pods.get(name).await.unwrap();
        matches!(phase(&pod), Some("Failed" | "Succeeded")).then_some(pod)
    })
    .await;
    let status = pod.status.as_ref().unwrap();
    let terminated =
        status.container_statuses.iter().flatten().next().and_then(|status| status.state.as_ref()?.terminated.as_ref());
    figure(
        format!("a deadline of 1 s patched into {name}"),
        format!(
            "{:>5.1} s  {:?} {:?} {:?}",
            begun.elapsed().as_secs_f64(),
            status.phase.as_deref().unwrap_or_default(),
            status.reason.as_deref().unwrap_or_default(),
            terminated.map(|terminated| (terminated.exit_code, terminated.message.as_deref().unwrap_or_default())),
        ),
    );
    pod
}

pub(crate) async fn a_deadline_ends_a_pod_and_keeps_its_last_words(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let script = "trap 'sleep 2; echo last words > /dev/termination-log; exit 5' TERM; sleep 300 & wait";
    let object = serde_json::from_value(pod("probe-runs", "busybox:1.37", script)).unwrap();
    site.pods.create(&PostParams::default(), &object).await.unwrap();
    site.pod_runs("probe-runs").await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let ended = end(site, "probe-runs").await.status.unwrap();
    assert_eq!(ended.reason.as_deref(), Some("DeadlineExceeded"));
    let statuses = ended.container_statuses.unwrap();
    let terminated = statuses[0].state.as_ref().unwrap().terminated.as_ref().unwrap();
    assert_eq!(terminated.exit_code, 5, "{terminated:?}");
    assert_eq!(terminated.message.as_deref(), Some("last words\n"));
    site.pods.delete("probe-runs", &DeleteParams::default()).await.unwrap();
}

pub(crate) async fn a_deadline_ends_a_pod_that_waits_for_its_image(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let object = serde_json::from_value(pod("probe-waits", "registry.invalid/nobody/nowhere:3", "true")).unwrap();
    site.pods.create(&PostParams::default(), &object).await.unwrap();
    eventually("it waits for its image", PATIENCE, async || {
        let pod = site.pods.get("probe-waits").await.unwrap();
        let statuses = pod.status?.container_statuses?;
        statuses.first()?.state.as_ref()?.waiting.as_ref()?.reason.clone().filter(|reason| reason == "ImagePullBackOff")
    })
    .await;
    let ended = end(site, "probe-waits").await.status.unwrap();
    assert_eq!(ended.reason.as_deref(), Some("DeadlineExceeded"));
    site.pods.delete("probe-waits", &DeleteParams::default()).await.unwrap();
}

/// Every engine of these tests was a ServiceAccount with the shipped Role.
pub(crate) async fn no_engine_asked_for_what_its_role_forbids(cluster: &'static Cluster) {
    let mut asked = 0;
    for line in std::fs::read_to_string(&cluster.environment.audit).unwrap().lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
        let user = line["user"]["username"].as_str().unwrap_or_default();
        if !user.starts_with("system:serviceaccount:") || !user.ends_with(":operator-engine") {
            continue;
        }
        asked += 1;
        assert_ne!(line["verb"], "watch", "{line}");
        assert!(line["objectRef"]["namespace"].is_string(), "not in a namespace: {line}");
        // A namespace that is going away takes the role along before the engine.
        let going = ["memory", "scope", "volume", "full", "freed", "no-jobs", "lost"];
        let excused = going.iter().any(|name| line["objectRef"]["namespace"] == *name);
        assert!(line["responseStatus"]["code"] != 403 || excused, "forbidden: {line}");
    }
    assert!(asked > 100, "only {asked} requests of engines are in the audit log");
}
