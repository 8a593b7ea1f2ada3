//! What a workflow costs, counted by the API server itself.

use crate::{
    audit::{self, Request},
    cluster::Cluster,
    engine::{Engine, Setup},
    kubelet::Act,
    namespace::{Namespace, PATIENCE},
    runner::figure,
};
use kube::ResourceExt as _;
use operator_engine::workflow::{Code, Outcome};
use std::{collections::BTreeMap, time::Duration};

pub(crate) async fn a_four_stage_workflow_costs_eleven_requests(cluster: &'static Cluster) {
    let namespace = Namespace::new(cluster, "budget").await;
    let kubelet = namespace.kubelet(|_| Act::Succeed(Duration::from_millis(600)));
    let engine = Engine::start(cluster, &namespace, &Setup::new().without_notifications());
    let names = ["wf-1", "wf-2", "wf-3"];
    for name in names {
        namespace.submit(name).await;
    }
    for name in names {
        let record = namespace.finished(name).await;
        assert_eq!((record.code, record.text.as_str()), (Code::JobFinished, "Job finished"));
        assert_eq!((record.outcome, record.exit_code, record.stopreq), (Some(Outcome::Succeeded), Some(0), 0));
        assert!(record.times.len() == 4 && record.times.values().all(|times| times.started < times.ended));
        assert_eq!(record.results.unwrap().manifest, format!("{name}/manifest.json"));
    }
    namespace.clean(PATIENCE).await;
    assert!(engine.terminate().await.success());
    let leases = namespace.leases.list(&Default::default()).await.unwrap().items;
    let holders: Vec<_> = leases.iter().filter_map(|lease| lease.spec.as_ref()?.holder_identity.clone()).collect();
    assert!(leases.len() == 1 && holders.is_empty(), "an engine that was told to end releases its lease: {holders:?}");

    kubelet.saw(|saw| {
        assert_eq!(saw.pods.len(), 12);
        for (name, pod) in &saw.pods {
            let labels = pod.labels();
            let (job, component) = (&labels["workflow"], &labels["component"]);
            assert_eq!(*name, format!("{job}-{component}-0"));
            assert_eq!(&labels["app"], job, "log viewers of the old engine select by it");
        }
    });

    let requests = audit::in_namespace(cluster, "budget");
    let failed: Vec<_> = requests.iter().filter(|request| !request.succeeded()).collect();
    assert!(failed.is_empty(), "a clean run has no failed request: {failed:#?}");
    let agent = concat!("operator-engine/", env!("CARGO_PKG_VERSION"));
    assert!(requests.iter().all(|request| request.agent == agent));
    for name in names {
        let fixed = of_workflow(&requests, name);
        let expected =
            [("create persistentvolumeclaims", 1), ("create pods", 4), ("get configmaps", 1), ("patch configmaps", 5)];
        assert_eq!(fixed, BTreeMap::from(expected.map(|(what, n)| (what.to_owned(), n))), "{name}");
        assert!(fixed.values().sum::<usize>() <= 11);
    }
    figure(
        "requests of a four-pod workflow, by itself (≤ 11)",
        of_workflow(&requests, "wf-1").values().sum::<usize>().to_string(),
    );
    let mut shared: BTreeMap<String, usize> = BTreeMap::new();
    for request in requests.iter().filter(|request| !names.iter().any(|name| is_of(request, name))) {
        *shared.entry(request.what()).or_default() += 1;
    }
    let deletions = |what: &str| shared.get(what).copied().unwrap_or_default();
    assert_eq!(deletions("deletecollection pods"), 1, "one batch for all three: {shared:?}");
    assert_eq!(deletions("deletecollection persistentvolumeclaims"), 1, "{shared:?}");
    let shared: Vec<_> = shared.iter().map(|(what, n)| format!("{n} {what}")).collect();
    figure("  shared by three such workflows at once", shared.join(", "));
}

fn is_of(request: &Request, workflow: &str) -> bool {
    request.name == workflow || request.name.strip_prefix(workflow).is_some_and(|rest| rest.starts_with('-'))
}

fn of_workflow(requests: &[Request], workflow: &str) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for request in requests.iter().filter(|request| is_of(request, workflow)) {
        *counted.entry(request.what()).or_default() += 1;
    }
    counted
}
