//! What the platform does not give: each is waited for, for as long as the admin said, and then told.

use crate::{
    cluster::Cluster,
    site::{Site, note, script, told},
};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::{Api, api::DeleteParams};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use operator_engine::workflow::{Outcome, Phase, Record};
use serde_json::json;
use std::time::{Duration, Instant};

/// Publishing is tried for a day by default, since nothing else is left to do.
const BRIEF: &str = "[retries]\npublish_for = \"15s\"\n";

async fn fails(site: &Site, what: &str, reason: &str, words: &[&str]) -> Record {
    let record = site.run(what, "job", &script("true")).await;
    assert_eq!(told(&record), (Some(Outcome::Failed), Some(reason)), "{record:?}");
    let message = record.message.as_deref().unwrap_or_default();
    for word in words {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
    site.clean("job").await;
    record
}

pub(crate) async fn more_memory_than_any_node_has(cluster: &'static Cluster) {
    let settings = "[limits]\nmemory = \"900Gi\"\n[waiting]\nunschedulable = \"8s\"\n";
    let site = Site::of_its_own(cluster, "memory", settings).await;
    let record = fails(&site, "unschedulable: too much memory", "Unschedulable", &["Insufficient memory"]).await;
    assert!(record.results.is_some(), "the log of configure did not come out");
    site.away().await;
}

pub(crate) async fn a_node_that_does_not_exist(cluster: &'static Cluster) {
    let settings = format!("{BRIEF}[pods]\nnode_selector_scope = \"nowhere\"\n[waiting]\nunschedulable = \"5s\"\n");
    let site = Site::of_its_own(cluster, "scope", &settings).await;
    fails(&site, "unschedulable: unknown node selector", "Unschedulable", &["affinity/selector", "node selector"])
        .await;
    site.away().await;
}

pub(crate) async fn a_volume_that_never_binds(cluster: &'static Cluster) {
    cluster.apply(&json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "nobody"},
        "provisioner": "example.com/nobody", "volumeBindingMode": "Immediate"}));
    let settings = format!("{BRIEF}[pods]\nstorage_class = \"nobody\"\n[waiting]\nvolume = \"5s\"\n");
    let site = Site::of_its_own(cluster, "volume", &settings).await;
    fails(&site, "a volume that never binds", "VolumeNotAvailable", &["storage class"]).await;
    site.away().await;
}

fn quota(cluster: &Cluster, namespace: &str) -> Api<ResourceQuota> {
    // One claim is that for the results.
    cluster.apply(
        &json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full", "namespace": namespace},
        "spec": {"hard": {"persistentvolumeclaims": "1"}}}),
    );
    Api::namespaced(cluster.admin.clone(), namespace)
}

pub(crate) async fn a_quota_that_stays_used_up(cluster: &'static Cluster) {
    let site = Site::of_its_own(cluster, "full", &format!("{BRIEF}[waiting]\nunschedulable = \"5s\"\n")).await;
    quota(cluster, "full");
    tokio::time::sleep(Duration::from_secs(2)).await;
    fails(&site, "a quota that stays used up", "QuotaExceeded", &["exceeded quota", "persistentvolumeclaims"]).await;
    site.away().await;
}

pub(crate) async fn a_quota_that_is_freed(cluster: &'static Cluster) {
    let site = Site::of_its_own(cluster, "freed", "").await;
    let quotas = quota(cluster, "freed");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let _room = cluster.room.acquire().await.unwrap();
    let begun = Instant::now();
    site.submit("job", &script("true")).await;
    site.in_phase("job", Phase::Configure).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(site.volumes.get_opt("job-data").await.unwrap().is_none());
    quotas.delete("full", &DeleteParams::default()).await.unwrap();
    let record = site.finished("job").await;
    note("a quota that is freed after 4 s", &record, begun.elapsed());
    assert_eq!(told(&record), (Some(Outcome::Succeeded), None), "{record:?}");
    assert_eq!(record.failures, 0);
    site.away().await;
}

/// A kubelet that does not answer, as long as this lives.
struct Silent(Pid);

impl Silent {
    fn kubelet(cluster: &Cluster) -> Self {
        let kubelet = cluster.process("kubelet");
        kill(kubelet, Signal::SIGSTOP).unwrap();
        Self(kubelet)
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGCONT);
    }
}

/// Kubernetes takes minutes to give up a node. The engine does not wait for that: what should have ended and has not is told.
pub(crate) async fn a_node_that_is_lost(cluster: &'static Cluster) {
    let settings = "[limits]\nstop_grace = \"1s\"\n[waiting]\nstart = \"5s\"\n[images]\nfilter = \"\"\n";
    let site = Site::of_its_own(cluster, "lost", settings).await;
    let mut brief = script("sleep 2");
    brief["stages"][0]["compute"] = json!({"maxtime": 4});
    site.submit("job", &brief).await;
    site.pod_runs("job-algorithm-0").await;
    let silent = Silent::kubelet(cluster);
    let begun = Instant::now();
    let record = site.finished("job").await;
    drop(silent);
    note("a node that is lost", &record, begun.elapsed());
    assert_eq!(told(&record), (Some(Outcome::Failed), Some("NodeLost")), "{record:?}");
    assert!(record.message.as_deref().unwrap().contains("should look at the node"), "{record:?}");
    site.clean("job").await;
    site.away().await;
}
