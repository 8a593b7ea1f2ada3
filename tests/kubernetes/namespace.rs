//! A namespace of one test: the shipped Role bound to the engine's user, people with kubectl, and what is left at the end.

use crate::{
    audit,
    cluster::{Cluster, eventually},
    kubelet::{Act, Job, Kubelet},
};
use k8s_openapi::api::{
    authorization::v1::SubjectAccessReview,
    coordination::v1::Lease,
    core::v1::{ConfigMap, Namespace as Object, PersistentVolumeClaim, Pod, ServiceAccount},
    rbac::v1::{PolicyRule, Role, RoleBinding},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use operator_engine::workflow::{
    Outcome, Phase, Record, State,
    record::{STATE_LABEL, STATUS_ANNOTATION},
};
use serde_json::json;
use std::{path::Path, time::Duration};

/// A namespace where an engine may do what the shipped Role says.
pub(crate) struct Namespace {
    pub(crate) name: String,
    pub(crate) workflows: Api<ConfigMap>,
    pub(crate) pods: Api<Pod>,
    pub(crate) volumes: Api<PersistentVolumeClaim>,
    pub(crate) leases: Api<Lease>,
    pub(crate) cluster: &'static Cluster,
}

/// A workflow of all four stages.
pub(crate) const DOCUMENT: &str = r#"{"stages":[{
    "input":[{"id":"did:op:aa","url":"https://data.example/a.csv"}],
    "compute":{"maxtime":3600},
    "algorithm":{"id":"did:op:cc","rawcode":"print(1)",
        "container":{"image":"python","tag":"3.12","entrypoint":"python3 $ALGO"}},
    "output":{"metadataUri":"https://aquarius.example"}}]}"#;

/// How long anything may take that takes moments on a machine with nothing else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The rules of the shipped Role.
pub(crate) fn shipped_rules() -> Vec<PolicyRule> {
    shipped_role().rules.unwrap()
}

fn shipped_role() -> Role {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/base/role.yaml");
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The rule that manifests/components/secrets adds to it.
pub(crate) fn secrets_rule() -> PolicyRule {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/components/secrets/kustomization.yaml");
    let component: serde_json::Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let patch: serde_json::Value = serde_saphyr::from_str(component["patches"][0]["patch"].as_str().unwrap()).unwrap();
    serde_json::from_value(patch[0]["value"].clone()).unwrap()
}

impl Namespace {
    /// Makes one.
    pub(crate) async fn new(cluster: &'static Cluster, name: &str) -> Self {
        let (admin, post) = (&cluster.admin, PostParams::default());
        let object = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        Api::<Object>::all(admin.clone()).create(&post, &object).await.unwrap();
        let mut role = shipped_role();
        role.metadata.namespace = Some(name.to_owned());
        Api::<Role>::namespaced(admin.clone(), name).create(&post, &role).await.unwrap();
        let binding = serde_json::from_value(json!({
            "metadata": {"name": "operator-engine"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role.name_any()},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": cluster.engine_user()}],
        }));
        Api::<RoleBinding>::namespaced(admin.clone(), name).create(&post, &binding.unwrap()).await.unwrap();
        let namespace = Self {
            name: name.to_owned(),
            workflows: Api::namespaced(admin.clone(), name),
            pods: Api::namespaced(admin.clone(), name),
            volumes: Api::namespaced(admin.clone(), name),
            leases: Api::namespaced(admin.clone(), name),
            cluster,
        };
        // Part of the manifests: the engine fills it in, and may not create it.
        let environment = serde_json::from_value(json!({"metadata": {"name": "operator-engine-environment"}}));
        namespace.workflows.create(&post, &environment.unwrap()).await.unwrap();
        namespace.usable().await;
        namespace
    }

    /// Waits until the authorizer has seen the binding and the controllers have made the account that pods run under.
    async fn usable(&self) {
        self.may("list", "pods").await;
        let accounts: Api<ServiceAccount> = Api::namespaced(self.cluster.admin.clone(), &self.name);
        eventually("there is an account", PATIENCE, async || accounts.get_opt("default").await.unwrap()).await;
    }

    /// Waits until the authorizer lets the engine do this.
    pub(crate) async fn may(&self, verb: &str, resource: &str) {
        let reviews: Api<SubjectAccessReview> = Api::all(self.cluster.admin.clone());
        let review = serde_json::from_value(json!({"spec": {
            "user": self.cluster.engine_user(),
            "resourceAttributes": {"namespace": self.name, "verb": verb, "resource": resource},
        }}));
        let review: SubjectAccessReview = review.unwrap();
        eventually(format!("the engine may {verb} {resource}"), PATIENCE, async || {
            let reviewed = reviews.create(&PostParams::default(), &review).await.unwrap();
            reviewed.status.is_some_and(|status| status.allowed).then_some(())
        })
        .await;
    }

    /// Gives the engine one right more than the shipped Role does.
    pub(crate) async fn grant(&self, verb: &str, resource: &str) {
        let (post, admin, name) = (PostParams::default(), &self.cluster.admin, format!("{verb}-{resource}"));
        let role = json!({"metadata": {"name": name},
            "rules": [{"apiGroups": [""], "resources": [resource], "verbs": [verb]}]});
        let binding = json!({"metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": self.cluster.engine_user()}]});
        let roles: Api<Role> = Api::namespaced(admin.clone(), &self.name);
        roles.create(&post, &serde_json::from_value(role).unwrap()).await.unwrap();
        let bindings: Api<RoleBinding> = Api::namespaced(admin.clone(), &self.name);
        bindings.create(&post, &serde_json::from_value(binding).unwrap()).await.unwrap();
        self.may(verb, resource).await;
    }

    /// Gives the engine what the component for Secrets does.
    pub(crate) async fn grant_secrets(&self) {
        let rule = secrets_rule();
        assert_eq!(rule.resources.as_deref(), Some(&["secrets".to_owned()][..]));
        for verb in rule.verbs {
            self.grant(&verb, "secrets").await;
        }
    }

    /// A kubelet for it.
    pub(crate) fn kubelet(&self, script: impl Fn(&Job<'_>) -> Act + Send + Sync + 'static) -> Kubelet {
        Kubelet::play(self.cluster.kubelet.clone(), &self.name, script)
    }

    /// A person registers a workflow.
    pub(crate) async fn submit(&self, name: &str) {
        self.submit_document(name, DOCUMENT).await;
    }

    pub(crate) async fn submit_document(&self, name: &str, document: &str) {
        let workflow = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {STATE_LABEL: "pending"}},
            "data": {"workflow.json": document},
        }));
        self.workflows.create(&PostParams::default(), &workflow.unwrap()).await.unwrap();
    }

    /// A person sets the state label.
    pub(crate) async fn label(&self, name: &str, state: State) {
        let patch = json!({"metadata": {"labels": {STATE_LABEL: state.as_str()}}});
        self.workflows.patch_metadata(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    /// A person replaces the document.
    pub(crate) async fn edit(&self, name: &str, document: &str) {
        let patch = json!({"data": {"workflow.json": document}});
        self.workflows.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    /// A person deletes a workflow.
    pub(crate) async fn delete(&self, name: &str) {
        self.workflows.delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// What is recorded of a workflow.
    pub(crate) async fn record(&self, name: &str) -> Option<Record> {
        self.workflows.get_opt(name).await.unwrap().and_then(|object| record(&object))
    }

    /// Its record once it is at its end, and its label says so.
    pub(crate) async fn finished(&self, name: &str) -> Record {
        let done = async || {
            let object = self.workflows.get(name).await.unwrap();
            let labelled = object.labels().get(STATE_LABEL).is_some_and(|state| state == "done");
            record(&object).filter(|record| record.phase == Phase::Done && labelled)
        };
        eventually(format!("{}/{name} is done", self.name), PATIENCE, done).await
    }

    /// Waits for a workflow's end and says how it was.
    pub(crate) async fn outcome(&self, name: &str) -> (Outcome, Option<String>) {
        let record = self.finished(name).await;
        (record.outcome.unwrap(), record.reason)
    }

    /// Waits until a pod is in a phase.
    pub(crate) async fn pod_in(&self, name: &str, phase: &str) -> Pod {
        eventually(format!("{}/{name} is {phase}", self.name), PATIENCE, async || {
            let pod = self.pods.get_opt(name).await.unwrap()?;
            let is = pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some(phase);
            is.then_some(pod)
        })
        .await
    }

    /// How many of the workflows are at their end.
    pub(crate) async fn done(&self) -> usize {
        let list = self.workflows.list_metadata(&ListParams::default().labels(&format!("{STATE_LABEL}=done"))).await;
        list.unwrap().items.len()
    }

    /// Waits until no pod and no volume is left.
    pub(crate) async fn clean(&self, patience: Duration) {
        eventually(format!("nothing is left in {}", self.name), patience, async || {
            self.left().await.is_empty().then_some(())
        })
        .await;
    }

    /// The pods and volumes there are.
    pub(crate) async fn left(&self) -> Vec<String> {
        let all = ListParams::default();
        let pods = self.pods.list_metadata(&all).await.unwrap().items;
        let volumes = self.volumes.list_metadata(&all).await.unwrap().items;
        pods.iter().map(kube::ResourceExt::name_any).chain(volumes.iter().map(kube::ResourceExt::name_any)).collect()
    }

    /// Panics if a pod of one name was ever created twice, by the audit log.
    pub(crate) fn no_pod_twice(&self) {
        let mut created = audit::pods_created(self.cluster, &self.name);
        created.retain(|_, times| *times > 1);
        assert!(created.is_empty(), "created more than once in {}: {created:?}", self.name);
    }
}

fn record(object: &ConfigMap) -> Option<Record> {
    object.annotations().get(STATUS_ANNOTATION).map(|status| Record::parse(status).unwrap())
}
