//! Engines that go away while pods run.

use crate::{
    cluster::{Cluster, eventually},
    site::{PATIENCE, note, phase, script, told},
};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use operator_engine::workflow::Outcome;
use serde_json::json;
use std::time::{Duration, Instant};

pub(crate) async fn an_engine_that_is_deleted_midway(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let names = ["restart-a", "restart-b", "restart-c"];
    for name in names {
        site.submit(name, &script("sleep 4; echo done > $OUTPUTS/done")).await;
    }
    site.pod_runs("restart-b-algorithm-0").await;
    let before = site.engine_pods().await;
    let engines: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(cluster.admin.clone(), &site.engine);
    let begun = Instant::now();
    for engine in &before {
        engines.delete(engine, &DeleteParams::default()).await.unwrap();
    }
    for name in names {
        let record = site.finished(name).await;
        note("every engine pod deleted midway", &record, begun.elapsed());
        assert_eq!(told(&record), (Some(Outcome::Succeeded), None), "{record:?}");
        assert_eq!(record.failures, 0, "{record:?}");
        assert_eq!(site.text(name, "outputs/done").await, "done\n");
    }
    for name in names {
        site.clean(name).await;
    }
    assert!(site.engine_pods().await.iter().any(|engine| !before.contains(engine)), "no other engine was there");
    site.engines_ready().await;
}

pub(crate) async fn a_document_edited_while_no_engine_looks(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let begun = Instant::now();
    site.submit("changed", &script("echo one > $OUTPUTS/one; sleep 5")).await;
    site.pod_runs("changed-algorithm-0").await;
    site.scale(0);
    eventually("no engine is there", PATIENCE, async || site.engine_pods().await.is_empty().then_some(())).await;
    let other = json!({"data": {"workflow.json": script("echo two > $OUTPUTS/two").to_string()}});
    site.workflows.patch("changed", &PatchParams::default(), &Patch::Merge(&other)).await.unwrap();
    site.scale(2);
    site.engines_ready().await;
    let record = site.finished("changed").await;
    note("a document edited while no engine looks", &record, begun.elapsed());
    assert_eq!(told(&record), (Some(Outcome::Failed), Some("DocumentChanged")), "{record:?}");
    assert!(record.message.as_deref().unwrap().contains("register a new workflow"), "{record:?}");
    assert_eq!(site.result("changed", "outputs/two").await, None);
    site.clean("changed").await;
}

pub(crate) async fn over_its_time_without_an_engine(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let begun = Instant::now();
    let mut slow = script("trap 'echo saved > $OUTPUTS/part; exit 0' TERM; sleep 300 & wait");
    slow["stages"][0]["compute"] = json!({"maxtime": 6});
    site.submit("alone", &slow).await;
    site.pod_runs("alone-algorithm-0").await;
    site.scale(0);
    eventually("no engine is there", PATIENCE, async || site.engine_pods().await.is_empty().then_some(())).await;
    // Nobody is there to end it, and it ends.
    let pod = eventually("its time is up", Duration::from_secs(30), async || {
        let pod = site.pods.get_opt("alone-algorithm-0").await.unwrap()?;
        matches!(phase(&pod), Some("Succeeded" | "Failed")).then_some(pod)
    })
    .await;
    assert!(pod.metadata.deletion_timestamp.is_none());
    let left = site.pods.list(&ListParams::default().labels("workflow=alone")).await.unwrap().items.len();
    assert!(left >= 1);
    site.scale(2);
    site.engines_ready().await;
    let record = site.finished("alone").await;
    note("over its maxtime, no engine there", &record, begun.elapsed());
    assert_eq!(told(&record), (Some(Outcome::TimedOut), Some("MaxTimeExceeded")), "{record:?}");
    assert_eq!(site.text("alone", "outputs/part").await, "saved\n");
    site.clean("alone").await;
}
