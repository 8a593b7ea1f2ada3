//! What people do to workflows midway: delete pods, evict them, delete or edit the workflow, stop it.

use crate::{
    cluster::{Cluster, eventually},
    site::{PATIENCE, Site, document, note, script, told},
};
use kube::{
    Api,
    api::{DeleteParams, EvictParams, ListParams, Patch, PatchParams},
};
use operator_engine::workflow::{Outcome, Phase, Record, Stage, State};
use serde_json::json;
use std::time::Instant;

/// Runs until asked to end, the first time; then it comes to its end.
const TWICE: &str = "
    trap 'exit 0' TERM
    echo attempt >> $OUTPUTS/attempts
    sleep 6 & wait $!";

pub(crate) async fn a_pod_deleted_by_hand(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    disturbed(site, "deleted", "a pod deleted by hand", By::Hand).await;
}

pub(crate) async fn a_pod_evicted_by_the_api(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    disturbed(site, "evicted", "a pod evicted by the API", By::Eviction).await;
}

/// How a pod is ended from outside.
enum By {
    Hand,
    Eviction,
}

/// Whatever is done to the algorithm's pod is not the user's fault: it is forgiven and done again from the beginning.
async fn disturbed(site: &Site, name: &str, what: &str, by: By) {
    let _room = site.cluster.room.acquire().await.unwrap();
    let begun = Instant::now();
    site.submit(name, &script(TWICE)).await;
    let first = format!("{name}-algorithm-0");
    site.pod_runs(&first).await;
    // It has its trap by now, or SIGTERM ends it; both are to be forgiven.
    match by {
        By::Hand => drop(site.pods.delete(&first, &DeleteParams::default()).await.unwrap()),
        By::Eviction => drop(site.pods.evict(&first, &EvictParams::default()).await.unwrap()),
    }
    let second = eventually(format!("{name} is tried again"), PATIENCE, async || {
        site.record(name).await.filter(|record| record.attempt == 1 && record.phase == Phase::Algorithm)
    })
    .await;
    note(&format!("{what}, while it is tried again"), &second, begun.elapsed());
    let record = site.finished(name).await;
    note(what, &record, begun.elapsed());
    assert_eq!(told(&record), (Some(Outcome::Succeeded), None), "{record:?}");
    assert_eq!(record.failures, 1, "{record:?}");
    assert_eq!(site.text(name, "outputs/attempts").await, "attempt\n", "what the first attempt left came out");
    site.clean(name).await;
}

pub(crate) async fn a_workflow_deleted_midway(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let _room = cluster.room.acquire().await.unwrap();
    site.submit("unwanted", &script("sleep 300")).await;
    site.pod_runs("unwanted-algorithm-0").await;
    let begun = Instant::now();
    site.workflows.delete("unwanted", &DeleteParams::default()).await.unwrap();
    site.clean("unwanted").await;
    crate::runner::figure(
        "a ConfigMap deleted midway",
        format!("{:>5.1} s  nothing is left", begun.elapsed().as_secs_f64()),
    );
    assert!(!site.results("unwanted").await.exists(), "something was published");
    let volumes: Api<k8s_openapi::api::core::v1::PersistentVolume> = Api::all(cluster.admin.clone());
    eventually("its volume is gone", PATIENCE, async || {
        let all = volumes.list(&ListParams::default()).await.unwrap().items;
        let of_it = |volume: &k8s_openapi::api::core::v1::PersistentVolume| {
            let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
            claim.and_then(|claim| claim.name.as_deref()) == Some("unwanted-data")
        };
        (!all.iter().any(of_it)).then_some(())
    })
    .await;
}

pub(crate) async fn a_document_edited_midway(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let _room = cluster.room.acquire().await.unwrap();
    let begun = Instant::now();
    site.submit("edited", &script("echo one > $OUTPUTS/one; sleep 8")).await;
    site.pod_runs("edited-algorithm-0").await;
    let other = json!({"data": {"workflow.json": script("echo two > $OUTPUTS/two").to_string()}});
    site.workflows.patch("edited", &PatchParams::default(), &Patch::Merge(&other)).await.unwrap();
    let record = site.finished("edited").await;
    note("a document edited midway", &record, begun.elapsed());
    // What was claimed is what runs; `restarts` has an engine that never read it.
    assert_eq!(told(&record), (Some(Outcome::Succeeded), None), "{record:?}");
    assert_eq!(site.text("edited", "outputs/one").await, "one\n");
    assert_eq!(site.result("edited", "outputs/two").await, None);
    site.clean("edited").await;
}

/// Takes all the time there is, and says how it was asked to end.
const STOPPABLE: &str = "trap 'echo saved > $OUTPUTS/part; exit 5' TERM; echo begun; sleep 300 & wait";

/// Stops a workflow and sees it to its end. (What the algorithm had written by then passes the filter like all else.)
async fn stop(site: &Site, name: &str, what: &str) -> Record {
    let begun = Instant::now();
    site.label(name, State::Stopping).await;
    let record = site.finished(name).await;
    note(what, &record, begun.elapsed());
    record
}

fn was_stopped(record: &Record) {
    assert_eq!(told(record), (Some(Outcome::Stopped), Some("Stopped")), "{record:?}");
    assert_eq!(record.stopreq, 1);
    assert_eq!(record.failures, 0);
}

pub(crate) async fn stopping_before_it_was_claimed(cluster: &'static Cluster) {
    let site = Site::of_its_own(cluster, "no-jobs", "[limits]\nmax_jobs = 0\n").await;
    site.submit("waits", &script("true")).await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(site.record("waits").await, None);
    let record = stop(&site, "waits", "stopping: pending").await;
    was_stopped(&record);
    assert_eq!(record.results, None);
    site.away().await;
}

pub(crate) async fn stopping_while_it_configures(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let _room = cluster.room.acquire().await.unwrap();
    // A server that takes the request and never answers.
    let silent = tokio::net::TcpListener::bind((cluster.environment.node.address.as_str(), 0)).await.unwrap();
    let url = format!("http://{}/data", silent.local_addr().unwrap());
    let mut slow = script("true");
    slow["stages"][0]["input"] = json!([{"id": "a", "url": url}]);
    site.submit("stop-configure", &slow).await;
    let held = tokio::time::timeout(PATIENCE, silent.accept()).await.expect("configure asks for its input").unwrap();
    let record = stop(site, "stop-configure", "stopping: configure").await;
    drop(held);
    was_stopped(&record);
    assert!(!record.times.contains_key(&Stage::Algorithm), "{record:?}");
    assert!(record.results.is_some(), "the log of configure did not come out");
}

pub(crate) async fn stopping_while_it_waits_for_its_image(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let _room = cluster.room.acquire().await.unwrap();
    site.submit("stop-waiting", &document("registry.invalid/nobody/nowhere:2", "sh $ALGO", "true")).await;
    eventually("the image is asked for", PATIENCE, async || {
        let pod = site.pods.get_opt("stop-waiting-algorithm-0").await.unwrap()?;
        let statuses = pod.status?.container_statuses?;
        statuses.first()?.state.as_ref()?.waiting.as_ref()?.reason.clone().filter(|reason| reason.contains("Image"))
    })
    .await;
    let record = stop(site, "stop-waiting", "stopping: waits for its image").await;
    was_stopped(&record);
}

pub(crate) async fn stopping_while_it_runs(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let _room = cluster.room.acquire().await.unwrap();
    site.submit("stop-algorithm", &script(STOPPABLE)).await;
    site.pod_runs("stop-algorithm-algorithm-0").await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let record = stop(site, "stop-algorithm", "stopping: algorithm").await;
    was_stopped(&record);
    // The kubelet kept its exit code, its report and its time to end.
    assert_eq!(record.exit_code, Some(5), "{record:?}");
    assert!(record.usage.is_some(), "{record:?}");
    assert_eq!(site.text("stop-algorithm", "outputs/part").await, "saved\n");
    assert_eq!(site.text("stop-algorithm", "logs/algorithm.log").await, "begun\n");
    site.clean("stop-algorithm").await;
}

pub(crate) async fn stopping_while_the_filter_looks(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let _room = cluster.room.acquire().await.unwrap();
    site.submit("stop-filter", &script("echo 300 > $OUTPUTS/look-for-seconds")).await;
    site.pod_runs("stop-filter-filter-0").await;
    let record = stop(site, "stop-filter", "stopping: filter").await;
    was_stopped(&record);
    assert!(record.withheld, "{record:?}");
    assert_eq!(site.result("stop-filter", "logs/algorithm.log").await, None, "an unseen log came out");
    assert_eq!(site.result("stop-filter", "outputs/look-for-seconds").await, None, "unseen outputs came out");
}

pub(crate) async fn stopping_while_it_publishes(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let _room = cluster.room.acquire().await.unwrap();
    site.submit("stop-publish", &script("echo result > $OUTPUTS/result")).await;
    site.in_phase("stop-publish", Phase::Publish).await;
    let record = stop(site, "stop-publish", "stopping: publish").await;
    // What is being stored was released already: it is finished rather than torn.
    assert_eq!(told(&record), (Some(Outcome::Succeeded), None), "{record:?}");
    assert_eq!(record.stopreq, 1);
    assert_eq!(site.text("stop-publish", "outputs/result").await, "result\n");
}
