//! A document of several stages.

use crate::{
    audit,
    cluster::{Cluster, eventually},
    engine::{Engine, Setup},
    kubelet::Act,
    namespace::{DOCUMENT, Namespace, PATIENCE},
};
use kube::api::ListParams;
use operator_engine::workflow::{Outcome, Stage, State};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// Two stages, the second with the outputs of the first.
fn document() -> String {
    let mut document: Value = serde_json::from_str(DOCUMENT).unwrap();
    let mut second = document["stages"][0].clone();
    second["input"] = json!([{"previousStage": true}]);
    document["stages"].as_array_mut().unwrap().push(second);
    document.to_string()
}

pub(crate) async fn two_stages_run_one_after_another_and_a_late_deletion_meets_only_the_first(
    cluster: &'static Cluster,
) {
    let namespace = Namespace::new(cluster, "rounds").await;
    // The second stage of one lasts, so that its first one's pods go while its own are there.
    let kubelet = namespace.kubelet(|job| match (job.name, job.round, job.stage) {
        ("long", 1, Stage::Algorithm) => Act::Hang,
        _ => Act::Succeed(Duration::from_millis(600)),
    });
    let engine = Engine::start(cluster, &namespace, &Setup::new().without_notifications().eager());
    for name in ["wf", "long"] {
        namespace.submit_document(name, &document()).await;
    }
    let record = namespace.finished("wf").await;
    assert_eq!((record.outcome, record.round, record.ahead.len()), (Some(Outcome::Succeeded), 1, 0));
    let manifests: Vec<_> = record.all_results().map(|(_, results)| results.manifest.as_str()).collect();
    assert_eq!(manifests, ["wf/manifest.json", "wf_1/manifest.json"]);
    assert_eq!(record.earlier[0].times[&Stage::Publish].ended, record.times[&Stage::Configure].started);

    let early = async || {
        let pods = namespace.pods.list_metadata(&ListParams::default().labels("workflow=long")).await.unwrap().items;
        let names: Vec<_> = pods.iter().map(kube::ResourceExt::name_any).collect();
        (names == ["long-algorithm-1-0", "long-configure-1-0"]).then_some(())
    };
    eventually("the first stage's pods are gone, and the second's are not", PATIENCE, early).await;
    namespace.label("long", State::Stopping).await;
    let record = namespace.finished("long").await;
    assert_eq!((record.outcome, record.round), (Some(Outcome::Stopped), 1));
    assert_eq!(record.message.as_deref(), Some("stages[1]: stopped by request"));
    assert_eq!(record.all_results().count(), 2, "what there was is published");
    namespace.clean(PATIENCE).await;
    assert!(engine.terminate().await.success());

    kubelet.saw(|saw| {
        assert!(saw.ran.values().all(|uids| uids.len() == 1), "each ran once: {:?}", saw.ran);
        for job in ["wf", "long"] {
            for (stage, infix) in Stage::ALL.into_iter().flat_map(|stage| [(stage, ""), (stage, "-1")]) {
                let pod = &saw.pods[&format!("{job}-{stage}{infix}-0")];
                assert_eq!(pod.metadata.labels.as_ref().unwrap().contains_key("operator-engine/stage"), infix == "-1");
            }
        }
        assert_eq!(saw.pods.len(), 16);
        let configure = serde_json::to_value(&saw.pods["wf-configure-1-0"]).unwrap();
        let mounts = &configure["spec"]["containers"][0]["volumeMounts"];
        assert_eq!((&mounts[0]["mountPath"], &mounts[0]["subPath"]), (&json!("/data"), &json!("stage-1")));
    });
    let mut cost = BTreeMap::<String, usize>::new();
    for request in audit::in_namespace(cluster, "rounds") {
        if request.name == "wf" || request.name.starts_with("wf-") {
            *cost.entry(request.what()).or_default() += 1;
        }
    }
    let expected =
        [("create persistentvolumeclaims", 1), ("create pods", 8), ("get configmaps", 1), ("patch configmaps", 9)];
    assert_eq!(cost, BTreeMap::from(expected.map(|(what, n)| (what.to_owned(), n))));
}
