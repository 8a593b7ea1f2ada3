//! The rights that were used, over all tests, beside the shipped Role.

use crate::{
    audit::{self, Request},
    cluster::{Cluster, eventually},
    contract,
    engine::{Engine, Setup},
    kubelet::Act,
    namespace::{Namespace, PATIENCE, secrets_rule, shipped_rules},
    runner::figure,
    secrets,
};
use k8s_openapi::api::core::v1::Event;
use kube::Api;
use operator_engine::workflow::Outcome;
use std::{collections::BTreeSet, time::Duration};

/// Where one more right is given and used.
const OPTIONAL: &str = "events";
/// Where ConfigMaps may be deleted as well, as manifests/components/delete-records has it.
const DELETING: [&str; 4] = ["records", "contract", "secrets-expiry", contract::SECRETS];

/// API group, resource, verb.
type Right = (String, String, String);

fn granted() -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    for rule in shipped_rules() {
        assert!(rule.resource_names.is_none() && rule.non_resource_urls.is_none(), "{rule:?}");
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                rights.extend(rule.verbs.iter().map(|verb| (group.clone(), resource.clone(), verb.clone())));
            }
        }
    }
    rights
}

fn right(request: &Request) -> Right {
    (request.group.clone(), request.resource.clone(), request.verb.clone())
}

pub(crate) async fn the_rights_used_are_the_shipped_role(cluster: &'static Cluster) {
    let granted = granted();
    let requests = audit::of_engines(cluster);
    for request in &requests {
        assert!(!request.namespace.is_empty() && !request.resource.is_empty(), "a cluster-scoped request: {request:?}");
        assert!(request.verb != "watch" && !request.uri.contains("watch="), "a watch: {request:?}");
        let may = secrets::NAMESPACES.contains(&request.namespace.as_str()) || request.namespace == contract::SECRETS;
        assert!(request.resource != "secrets" || may, "{request:?}");
    }
    let ours = requests.iter().filter(|request| {
        let deletes = request.what() == "delete configmaps" && DELETING.contains(&request.namespace.as_str());
        let tells = request.what() == "create events" && request.namespace == "secrets-canary";
        request.namespace != OPTIONAL && !deletes && !tells && request.resource != "secrets"
    });
    let used: BTreeSet<Right> = ours.map(right).collect();
    let missing: Vec<_> = used.difference(&granted).collect();
    assert!(missing.is_empty(), "used, and not in manifests/base/role.yaml: {missing:?}");
    let denied: Vec<_> =
        requests.iter().filter(|request| request.code == 403 && request.what() != "create events").collect();
    // A quota is a 403 too.
    assert!(denied.iter().all(|request| request.namespace == "quota"), "{denied:?}");
    let unused: Vec<_> = granted.difference(&used).collect();
    if cluster.all_run {
        assert!(unused.is_empty(), "in manifests/base/role.yaml, and never used: {unused:?}");
        figure("rights used = rights shipped", format!("{} of {}", used.len(), granted.len()));
    } else {
        figure("rights used (only a full run must use all)", format!("{} of {}", used.len(), granted.len()));
    }
    let of_secrets = requests.iter().filter(|request| request.resource == "secrets");
    let used: BTreeSet<&str> = of_secrets
        .filter(|request| request.verb != "delete" || !DELETING.contains(&request.namespace.as_str()))
        .map(|request| request.verb.as_str())
        .collect();
    let rule = secrets_rule();
    let granted: BTreeSet<&str> = rule.verbs.iter().map(String::as_str).collect();
    assert!(used.is_subset(&granted), "used of Secrets: {used:?}; in the component: {granted:?}");
    assert!(!cluster.all_run || used == granted, "used of Secrets: {used:?}; in the component: {granted:?}");
    figure("requests of engines in the audit log", requests.len().to_string());
}

/// The one right that is not in the Role: asked for only when it is turned on, and never needed.
pub(crate) async fn events_are_told_where_they_are_allowed_and_never_needed(cluster: &'static Cluster) {
    let namespace = Namespace::new(cluster, OPTIONAL).await;
    let _kubelet = namespace.kubelet(|_| Act::Succeed(Duration::from_millis(100)));
    let setup = Setup::named("pod-uid").eager().with("ENGINE__EVENTS", "true");
    let engine = Engine::start(cluster, &namespace, &setup);
    namespace.submit("forbidden").await;
    assert_eq!(namespace.outcome("forbidden").await.0, Outcome::Succeeded);
    let said = engine.said();
    assert_eq!(said.matches("add `create` on `events` to the Role").count(), 1, "once, and then quiet: {said}");
    engine.kill().await;

    namespace.grant("create", "events").await;
    let _engine = Engine::start(cluster, &namespace, &setup);
    namespace.submit("allowed").await;
    assert_eq!(namespace.outcome("allowed").await.0, Outcome::Succeeded);
    let events: Api<Event> = Api::namespaced(cluster.admin.clone(), OPTIONAL);
    eventually("its end is told", PATIENCE, async || {
        let told = events.list(&Default::default()).await.unwrap().items;
        let ours: Vec<_> =
            told.iter().filter(|event| event.involved_object.name.as_deref() == Some("allowed")).collect();
        // Its start and its end, at least.
        (ours.len() >= 2).then_some(())
    })
    .await;
}
