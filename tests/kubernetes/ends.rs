//! How workflows end that do not simply succeed: each kind of failure is told apart, and leaves nothing behind.

use crate::{
    audit,
    cluster::{Cluster, eventually},
    engine::{Engine, Setup},
    kubelet::{Act, Job, Kubelet, evicted, exits},
    namespace::{DOCUMENT, Namespace, PATIENCE},
};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use operator_engine::workflow::{Code, Outcome, Stage, State};
use serde_json::json;
use std::time::Duration;

const SHORT: Act = Act::Succeed(Duration::from_millis(200));

/// A namespace with one engine, which looks often and waits little.
async fn world(
    cluster: &'static Cluster,
    name: &str,
    script: impl Fn(&Job<'_>) -> Act + Send + Sync + 'static,
) -> (Namespace, Kubelet, Engine) {
    let namespace = Namespace::new(cluster, name).await;
    let kubelet = namespace.kubelet(script);
    let engine = Engine::start(cluster, &namespace, &setup());
    (namespace, kubelet, engine)
}

fn setup() -> Setup {
    Setup::named("pod-uid").eager().with("RETRIES__BACKOFF_FIRST", "200ms")
}

fn reason(reason: &str) -> Option<String> {
    Some(reason.to_owned())
}

pub(crate) async fn each_end_is_told_apart(cluster: &'static Cluster) {
    let soon = Duration::from_millis(200);
    let (namespace, kubelet, _engine) = world(cluster, "ends", move |job| match (job.name, job.stage, job.attempt) {
        ("exits-3", Stage::Algorithm, _) => Act::End(soon, exits(3)),
        ("no-memory", Stage::Algorithm, _) => {
            let reason = Some("OOMKilled".to_owned());
            Act::End(soon, operator_engine::plan::end::End { reason, ..exits(137) })
        }
        ("evicted", Stage::Algorithm, 0) => Act::End(soon, evicted()),
        ("evicted-always", Stage::Algorithm, _) => Act::End(soon, evicted()),
        ("withheld", Stage::Filter, _) => Act::End(soon, exits(1)),
        ("silent", Stage::Configure, _) => {
            Act::End(soon, operator_engine::plan::end::End { message: String::new(), ..exits(0) })
        }
        ("over-time", Stage::Algorithm, _) => Act::Hang,
        _ => SHORT,
    })
    .await;
    for name in ["exits-3", "no-memory", "evicted", "evicted-always", "withheld", "silent"] {
        namespace.submit(name).await;
    }
    namespace.submit_document("no-document", "{\"stages\": 3}").await;
    namespace.submit_document("bad-image", &DOCUMENT.replace("python\"", "pyth on\"")).await;

    assert_eq!(namespace.outcome("exits-3").await, (Outcome::Failed, reason("AlgorithmFailed")));
    assert_eq!(namespace.record("exits-3").await.unwrap().exit_code, Some(3));
    assert_eq!(namespace.outcome("no-memory").await, (Outcome::Failed, reason("OutOfMemory")));
    assert_eq!(namespace.outcome("evicted").await.0, Outcome::Succeeded, "it is tried again");
    assert_eq!(namespace.record("evicted").await.unwrap().failures, 1);
    assert_eq!(namespace.outcome("withheld").await, (Outcome::Withheld, reason("Withheld")));
    assert_eq!(namespace.outcome("silent").await, (Outcome::Failed, reason("ConfigureFailed")));
    assert_eq!(namespace.record("silent").await.unwrap().code, Code::DataProvisioningFailed);
    assert_eq!(namespace.outcome("evicted-always").await, (Outcome::Failed, reason("Evicted")));
    for (name, code) in [("no-document", 31), ("bad-image", 32)] {
        assert_eq!(namespace.outcome(name).await, (Outcome::Refused, reason("InvalidDocument")));
        assert_eq!(namespace.record(name).await.unwrap().code.number(), code);
    }
    namespace.clean(PATIENCE).await;
    let ran = |name: &str| kubelet.saw(|saw| saw.ran.keys().filter(|pod| pod.starts_with(name)).count());
    assert_eq!((ran("no-document-"), ran("bad-image-")), (0, 0), "nothing of a document that is refused runs");
    assert_eq!(ran("evicted-always-algorithm-"), 4, "the first attempt and three more");
    assert_eq!(ran("silent-"), 2, "configure, and publish for its log");
    namespace.no_pod_twice();
}

pub(crate) async fn a_stop_is_honoured_in_every_phase(cluster: &'static Cluster) {
    const PHASES: [Stage; 4] = [Stage::Configure, Stage::Algorithm, Stage::Filter, Stage::Publish];
    let namespace = Namespace::new(cluster, "stops").await;
    namespace.submit("stop-unclaimed").await;
    namespace.label("stop-unclaimed", State::Stopping).await;
    let kubelet = namespace.kubelet(|job| match (job.name.strip_prefix("stop-"), job.stage) {
        (Some("publish"), Stage::Publish) => Act::Succeed(Duration::from_secs(2)),
        (Some(at), stage) if at == stage.as_str() => Act::Hang,
        (Some("waiting"), Stage::Algorithm) => Act::Wait("ContainerCreating", "pulling"),
        (Some("unscheduled"), Stage::Algorithm) => {
            Act::Unschedulable("0/3 nodes are available: 3 Insufficient memory.")
        }
        _ => SHORT,
    });
    let _engine = Engine::start(cluster, &namespace, &setup());
    for stage in PHASES {
        namespace.submit(&format!("stop-{stage}")).await;
    }
    namespace.submit("stop-waiting").await;
    namespace.submit("stop-unscheduled").await;
    for stage in PHASES {
        namespace.pod_in(&format!("stop-{stage}-{stage}-0"), "Running").await;
        namespace.label(&format!("stop-{stage}"), State::Stopping).await;
    }
    for name in ["stop-waiting", "stop-unscheduled"] {
        namespace.pod_in(&format!("{name}-algorithm-0"), "Pending").await;
        namespace.label(name, State::Stopping).await;
    }
    for name in
        ["stop-unclaimed", "stop-configure", "stop-algorithm", "stop-filter", "stop-waiting", "stop-unscheduled"]
    {
        assert_eq!(namespace.outcome(name).await, (Outcome::Stopped, reason("Stopped")), "{name}");
        assert_eq!(namespace.record(name).await.unwrap().stopreq, 1, "{name}");
    }
    // What is being stored was released already: it is finished rather than torn.
    let published = namespace.finished("stop-publish").await;
    assert!(published.results.is_some() && published.stopreq == 1, "{published:?}");
    assert_eq!(namespace.record("stop-algorithm").await.unwrap().exit_code, Some(143), "it had its grace");
    assert!(namespace.record("stop-algorithm").await.unwrap().results.is_some(), "its log is published");
    namespace.clean(PATIENCE).await;
    kubelet.saw(|saw| assert!(!saw.ran.keys().any(|pod| pod.starts_with("stop-unclaimed")), "{:?}", saw.ran));
    namespace.no_pod_twice();
}

pub(crate) async fn a_workflow_deleted_midway_leaves_nothing(cluster: &'static Cluster) {
    let (namespace, kubelet, engine) =
        world(cluster, "deleted", |job| match (job.name.strip_prefix("del-"), job.stage) {
            (Some(at), stage) if at == stage.as_str() => Act::Hang,
            _ => SHORT,
        })
        .await;
    let stages = [Stage::Configure, Stage::Algorithm, Stage::Filter, Stage::Publish];
    for stage in stages {
        namespace.submit(&format!("del-{stage}")).await;
    }
    for stage in stages {
        namespace.pod_in(&format!("del-{stage}-{stage}-0"), "Running").await;
        namespace.delete(&format!("del-{stage}")).await;
    }
    namespace.clean(PATIENCE).await;
    // The name is free, and what is registered under it is another workflow.
    namespace.submit("del-none").await;
    assert_eq!(namespace.outcome("del-none").await.0, Outcome::Succeeded);
    namespace.clean(PATIENCE).await;
    assert!(engine.terminate().await.success());
    kubelet.saw(|saw| assert_eq!(saw.ran.len(), 1 + 2 + 3 + 4 + 4, "nothing more was begun: {:?}", saw.ran.keys()));
    namespace.no_pod_twice();
}

pub(crate) async fn a_workflow_made_anew_under_its_name_starts_anew(cluster: &'static Cluster) {
    let (namespace, kubelet, _engine) = world(cluster, "anew", |job| match job.stage {
        Stage::Algorithm => Act::Succeed(Duration::from_secs(1)),
        _ => SHORT,
    })
    .await;
    namespace.submit("wf").await;
    namespace.pod_in("wf-algorithm-0", "Running").await;
    namespace.delete("wf").await;
    namespace.submit("wf").await;
    let record = namespace.finished("wf").await;
    assert_eq!((record.outcome, record.failures), (Some(Outcome::Succeeded), 0), "{record:?}");
    namespace.clean(PATIENCE).await;
    kubelet.saw(|saw| assert_eq!(saw.ran["wf-configure-0"].len(), 2, "the old one's and the new one's"));
}

pub(crate) async fn a_pod_deleted_by_hand_is_made_again_under_another_name(cluster: &'static Cluster) {
    let (namespace, kubelet, _engine) = world(cluster, "hands", |job| match (job.name, job.attempt) {
        ("configure", 0) if job.stage == Stage::Configure => Act::Hang,
        ("algorithm", 0) if job.stage == Stage::Algorithm => Act::Hang,
        ("filter", 0) if job.stage == Stage::Filter => Act::Hang,
        ("publish", 0) if job.stage == Stage::Publish => Act::Hang,
        _ => SHORT,
    })
    .await;
    let names = ["configure", "algorithm", "filter", "publish"];
    for name in names {
        namespace.submit(name).await;
    }
    for name in names {
        let pod = format!("{name}-{name}-0");
        namespace.pod_in(&pod, "Running").await;
        namespace.pods.delete(&pod, &DeleteParams::default()).await.unwrap();
    }
    for name in names {
        let record = namespace.finished(name).await;
        assert_eq!((record.outcome, record.failures), (Some(Outcome::Succeeded), 1), "{name}: {record:?}");
        kubelet.saw(|saw| assert!(saw.ran.contains_key(&format!("{name}-{name}-1"))));
    }
    namespace.clean(PATIENCE).await;
    namespace.no_pod_twice();
}

pub(crate) async fn what_waits_too_long_ends_with_its_reason(cluster: &'static Cluster) {
    let namespace = Namespace::new(cluster, "waits").await;
    let kubelet = namespace.kubelet(|job| match (job.name, job.stage) {
        ("image", Stage::Algorithm) => Act::Wait("ImagePullBackOff", "Back-off pulling image \"python:3.12\""),
        ("start", Stage::Algorithm) => Act::Wait("CreateContainerConfigError", "secret \"x\" not found"),
        ("node", Stage::Algorithm) => Act::Unschedulable("0/3 nodes are available: 3 Insufficient memory."),
        ("nobody", Stage::Algorithm) => Act::Ignore,
        ("volume", Stage::Configure) => Act::Unschedulable("pod has unbound immediate PersistentVolumeClaims."),
        // So that nothing else waits too long on a machine that does something else for a moment.
        _ => SHORT,
    });
    let setup = setup()
        .with("WAITING__IMAGE", "1s")
        .with("WAITING__UNSCHEDULABLE", "2s")
        .with("WAITING__VOLUME", "1s")
        .with("WAITING__START", "6s")
        .with("RETRIES__PLATFORM", "0");
    let _engine = Engine::start(cluster, &namespace, &setup);
    let expected = [
        ("image", "ImageNotAvailable", "ImagePullBackOff"),
        ("start", "StartTimeout", "CreateContainerConfigError"),
        ("node", "Unschedulable", "Insufficient memory"),
        ("volume", "VolumeNotAvailable", "unbound immediate"),
    ];
    for (name, ..) in expected {
        namespace.submit(name).await;
    }
    // No scheduler says anything of it. It ends all the same.
    namespace.submit("nobody").await;
    assert_eq!(namespace.outcome("nobody").await.0, Outcome::Failed);
    for (name, why, detail) in expected {
        let record = namespace.finished(name).await;
        assert_eq!((record.outcome, record.reason.as_deref()), (Some(Outcome::Failed), Some(why)), "{record:?}");
        assert!(record.message.as_deref().unwrap().contains(detail), "{record:?}");
        assert!(record.results.is_some(), "what log there is was published: {record:?}");
    }
    namespace.clean(PATIENCE).await;
    // A pod that no node took is deleted, since no kubelet would ever end it.
    let requests = audit::in_namespace(cluster, &namespace.name);
    let deleted: Vec<_> = requests.iter().filter(|request| request.what() == "delete pods").map(|r| &r.name).collect();
    assert!(deleted.iter().any(|name| *name == "node-algorithm-0"), "{deleted:?}");
    kubelet.saw(|saw| assert!(!saw.ran.contains_key("node-algorithm-0")));
    namespace.no_pod_twice();
}

pub(crate) async fn a_pod_over_its_deadline_is_over_time(cluster: &'static Cluster) {
    let namespace = Namespace::new(cluster, "deadlines").await;
    let _kubelet = namespace.kubelet(|job| match (job.name, job.stage) {
        ("algorithm", Stage::Algorithm) | ("filter", Stage::Filter) | ("configure", Stage::Configure) => Act::Hang,
        _ => SHORT,
    });
    let setup = setup()
        .with("WAITING__START", "5s")
        .with("WAITING__CONFIGURE", "4s")
        .with("FETCH__TOTAL_TIMEOUT", "3s")
        .with("FETCH__READ_TIMEOUT", "2s")
        .with("FETCH__CONNECT_TIMEOUT", "1s")
        .with("WAITING__FILTER", "4s");
    let engine = Engine::start(cluster, &namespace, &setup);
    let document = DOCUMENT.replace("3600", "1");
    for name in ["algorithm", "filter", "configure"] {
        namespace.submit_document(name, &document).await;
    }
    // Deadlines hold while no engine runs: the kubelet keeps them.
    namespace.pod_in("algorithm-algorithm-0", "Running").await;
    engine.kill().await;
    namespace.pod_in("algorithm-algorithm-0", "Failed").await;
    let _engine = Engine::start(cluster, &namespace, &setup);
    assert_eq!(namespace.outcome("algorithm").await, (Outcome::TimedOut, reason("MaxTimeExceeded")));
    assert_eq!(namespace.record("algorithm").await.unwrap().stopreq, 2);
    assert_eq!(namespace.outcome("filter").await, (Outcome::Withheld, reason("Withheld")));
    assert_eq!(namespace.outcome("configure").await, (Outcome::Failed, reason("ConfigureTimedOut")));
}

/// A real quota of the API server's own admission.
pub(crate) async fn a_quota_that_is_used_up_is_waited_for_and_then_told(cluster: &'static Cluster) {
    let namespace = Namespace::new(cluster, "quota").await;
    let kubelet = namespace.kubelet(|_| SHORT);
    let quotas: Api<ResourceQuota> = Api::namespaced(cluster.admin.clone(), "quota");
    let quota = json!({"metadata": {"name": "pods"}, "spec": {"hard": {"pods": "0"}}});
    quotas.create(&PostParams::default(), &serde_json::from_value(quota).unwrap()).await.unwrap();
    eventually("the quota counts", PATIENCE, async || {
        quotas.get("pods").await.unwrap().status.and_then(|status| status.hard)
    })
    .await;
    let _engine = Engine::start(cluster, &namespace, &setup().with("WAITING__UNSCHEDULABLE", "4s"));
    namespace.submit("gives-up").await;
    let gave_up = async || namespace.record("gives-up").await.filter(|record| record.outcome.is_some());
    let record = eventually("it gives up", PATIENCE, gave_up).await;
    assert_eq!((record.outcome, record.reason), (Some(Outcome::Failed), reason("QuotaExceeded")));
    namespace.submit("waits").await;
    eventually("it waits", PATIENCE, async || namespace.record("waits").await).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(kubelet.saw(|saw| saw.pods.len()), 0);
    quotas.delete("pods", &DeleteParams::default()).await.unwrap();
    assert_eq!(namespace.outcome("waits").await.0, Outcome::Succeeded);
    let record = namespace.finished("gives-up").await;
    assert_eq!((record.outcome, record.reason), (Some(Outcome::Failed), reason("QuotaExceeded")));
    assert!(record.results.is_some(), "publishing was tried again until there was room: {:?}", record.message);
    namespace.clean(PATIENCE).await;
    namespace.no_pod_twice();
}

pub(crate) async fn a_document_edited_midway_is_not_run(cluster: &'static Cluster) {
    let (namespace, kubelet, engine) = world(cluster, "edited", |job| match job.stage {
        Stage::Configure if job.name == "restarted" => Act::Succeed(Duration::from_secs(3)),
        Stage::Configure => Act::Succeed(Duration::from_secs(1)),
        _ => SHORT,
    })
    .await;
    let evil = DOCUMENT.replace("python\"", "evil\"");
    // By an engine that has read it, and by one that has not.
    for name in ["edited", "restarted"] {
        namespace.submit(name).await;
        namespace.pod_in(&format!("{name}-configure-0"), "Running").await;
        namespace.edit(name, &evil).await;
    }
    engine.kill().await;
    let _engine = Engine::start(cluster, &namespace, &setup());
    assert_eq!(namespace.outcome("restarted").await, (Outcome::Failed, reason("DocumentChanged")));
    namespace.finished("edited").await;
    kubelet.saw(|saw| {
        for (name, pod) in &saw.pods {
            let image = pod.spec.as_ref().unwrap().containers[0].image.as_deref().unwrap();
            assert!(!image.contains("evil"), "{name} runs {image}");
        }
    });
}
