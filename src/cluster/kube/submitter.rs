//! The cluster as a submitter sees it: workflows are registered, looked at, stopped and deleted with the caller's own rights.
//!
//! Nothing here drives a workflow. It touches ConfigMaps that carry the state label and no others, by compare-and-swap where the
//! engine may be writing too; and likewise Secrets, where it was told to ([`Submitter::with_secrets`]). Absent: watches, and
//! anything of the namespace that is no workflow's.

use super::{
    ConnectError, STATE_LABEL, WORKFLOW_LABEL, classify,
    classify::{read_failure, write_failure},
    connect,
    convert::{document_data, pod_seen, seen_as},
    objects::Objects,
    secrets::labelled,
    wire::Object,
};
use crate::{
    plan::{
        Failure,
        kind::{self, Kind},
        namesake::rank,
        seen::{PodSeen, WorkflowSeen},
    },
    workflow::{JobId, State},
};
use futures::io::AsyncBufRead;
use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Pod, Secret},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api,
    api::{DeleteParams, ListParams, LogParams, Preconditions},
    core::Request,
};
use serde_json::json;
use std::{collections::BTreeMap, path::Path, pin::Pin, time::Duration};

/// How long one request may take: somebody waits for it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// A namespace of workflows, as one of its submitters.
pub struct Submitter {
    namespace: String,
    workflows: Objects,
    secrets: Objects,
    /// Whether a workflow is looked for among Secrets too.
    among_secrets: bool,
    pods: Objects,
    logs: Api<Pod>,
}

/// A workflow as it is to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// What it is to be.
    pub kind: Kind,
    /// Its name: the job id.
    pub name: JobId,
    /// Its labels, without the state.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Its document and what goes with that.
    pub data: BTreeMap<String, Vec<u8>>,
}

/// A workflow that is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// What the engine sees of it.
    pub seen: WorkflowSeen,
    /// The value of its state label; none: it is no workflow. May be no [`State`], since people label what they like.
    pub label: Option<String>,
}

impl Registered {
    /// The name of its object: the job id.
    pub fn name(&self) -> &str {
        kind::split(&self.seen.name).1
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        Kind::of(&self.seen.name)
    }
}

/// A log as it comes.
pub type Log = Pin<Box<dyn AsyncBufRead + Send>>;

impl Submitter {
    /// Connects as [`connect()`] does. Without a namespace it is that of the credentials.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`]. The cluster itself is not asked anything yet.
    pub async fn connect(kubeconfig: Option<&Path>, namespace: Option<&str>) -> Result<Self, ConnectError> {
        let connection = connect(kubeconfig, REQUEST_TIMEOUT).await?;
        let namespace = namespace.map_or(connection.namespace, str::to_owned);
        let client = connection.client;
        Ok(Self {
            workflows: Objects::of::<ConfigMap>(&client, &namespace),
            secrets: Objects::of::<Secret>(&client, &namespace),
            among_secrets: false,
            pods: Objects::of::<Pod>(&client, &namespace),
            logs: Api::namespaced(client, &namespace),
            namespace,
        })
    }

    /// Looks for workflows among Secrets too, or not: without it, no request about one is made.
    pub fn with_secrets(self, on: bool) -> Self {
        Self { among_secrets: on, ..self }
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Registers a workflow, as pending.
    ///
    /// # Errors
    ///
    /// [`Failure::Refused`] with the reason `AlreadyExists` if the name is taken.
    pub async fn register(&self, registration: &Registration) -> Result<Registered, Failure> {
        let mut labels = registration.labels.clone();
        labels.insert(STATE_LABEL.to_owned(), State::Pending.as_str().to_owned());
        let metadata = ObjectMeta {
            name: Some(registration.name.to_string()),
            labels: Some(labels),
            annotations: Some(registration.annotations.clone()),
            ..Default::default()
        };
        if registration.kind == Kind::Secret {
            let bytes = |(key, bytes): (&String, &Vec<u8>)| (key.clone(), ByteString(bytes.clone()));
            let data = Some(registration.data.iter().map(bytes).collect());
            let object = Secret { metadata, data, ..Default::default() };
            let made = self.secrets.create(&object).await;
            return made.map(|object| registered(Kind::Secret, object)).map_err(write_failure);
        }
        let (mut data, mut binary_data) = (BTreeMap::new(), BTreeMap::new());
        for (key, bytes) in &registration.data {
            match String::from_utf8(bytes.clone()) {
                Ok(text) => drop(data.insert(key.clone(), text)),
                Err(_) => drop(binary_data.insert(key.clone(), ByteString(bytes.clone()))),
            }
        }
        let object = ConfigMap { metadata, data: Some(data), binary_data: Some(binary_data), ..Default::default() };
        let made = self.workflows.create(&object).await;
        made.map(|object| registered(Kind::ConfigMap, object)).map_err(write_failure)
    }

    /// All workflows of a kind, ordered by name, without their documents. (Secrets whether it was told to look there or not.)
    ///
    /// # Errors
    ///
    /// See [`Failure`].
    pub async fn list(&self, kind: Kind) -> Result<Vec<Registered>, Failure> {
        let parameters = ListParams::default().labels(STATE_LABEL);
        let convert = match kind {
            Kind::ConfigMap => |object| registered(Kind::ConfigMap, object),
            Kind::Secret => |object| registered(Kind::Secret, object),
        };
        let listed =
            self.objects(kind).list(parameters, Request::list_metadata, convert).await.map_err(read_failure)?;
        let mut found = listed.items;
        found.sort_by(|a, b| a.seen.name.cmp(&b.seen.name));
        Ok(found)
    }

    fn objects(&self, kind: Kind) -> &Objects {
        match kind {
            Kind::ConfigMap => &self.workflows,
            Kind::Secret => &self.secrets,
        }
    }

    /// The workflow of that name, without its document; or a ConfigMap that is no workflow. Of a ConfigMap and a Secret of one
    /// name, the one that is the job.
    ///
    /// # Errors
    ///
    /// See [`Failure`]. [`Failure::Denied`] of Secrets only if no ConfigMap is the workflow.
    pub async fn find(&self, job: &JobId) -> Result<Option<Registered>, Failure> {
        let found = self.workflows.get_metadata(job.as_str()).await.map_err(read_failure)?;
        let found = found.map(|object| registered(Kind::ConfigMap, object));
        if !self.among_secrets {
            return Ok(found);
        }
        let workflow = found.as_ref().filter(|found| found.label.is_some());
        let secret = match (labelled(&self.secrets, job.as_str(), |it| registered(Kind::Secret, it)).await, workflow) {
            (Err(Failure::Denied { .. }), Some(_)) => None,
            (secret, _) => secret?,
        };
        Ok(match (secret, workflow) {
            (Some(secret), Some(other)) if rank(&other.seen) < rank(&secret.seen) => found,
            (Some(secret), _) => Some(secret),
            (None, _) => found,
        })
    }

    /// Sets the state of a workflow that is still as it was found.
    ///
    /// # Errors
    ///
    /// [`Failure::Conflict`] if it has changed since.
    pub async fn set_state(&self, found: &Registered, state: State) -> Result<Registered, Failure> {
        let patch = json!({"metadata": {
            "uid": found.seen.uid.0,
            "resourceVersion": found.seen.version.0.to_string(),
            "labels": {STATE_LABEL: state.as_str()},
        }});
        match self.objects(found.kind()).patch_metadata(found.name(), &patch).await {
            Ok(object) => Ok(registered(found.kind(), object)),
            Err(error) if classify::is_another(&error) => Err(Failure::Conflict),
            Err(error) => Err(write_failure(error)),
        }
    }

    /// Deletes a workflow that is still as it was found. Its pods and its volume follow.
    ///
    /// # Errors
    ///
    /// [`Failure::Conflict`] if it has changed since, [`Failure::NotFound`] if it is gone.
    pub async fn delete(&self, found: &Registered) -> Result<(), Failure> {
        let (uid, version) = (found.seen.uid.0.clone(), found.seen.version.0.to_string());
        let preconditions = Some(Preconditions { uid: Some(uid), resource_version: Some(version) });
        let parameters = DeleteParams { preconditions, ..DeleteParams::background() };
        self.objects(found.kind()).delete(found.name(), &parameters).await.map_err(write_failure)
    }

    /// The pods of a workflow that are there.
    ///
    /// # Errors
    ///
    /// See [`Failure`].
    pub async fn pods(&self, found: &Registered) -> Result<Vec<PodSeen>, Failure> {
        let parameters = ListParams::default().labels(&format!("{WORKFLOW_LABEL}={}", found.name()));
        let list = self.pods.list(parameters, Request::list, pod_seen).await.map_err(read_failure)?;
        // Anybody may put the label on a pod of theirs.
        Ok(list.items.into_iter().filter(|pod| pod.owner.as_ref() == Some(&found.seen.uid)).collect())
    }

    /// What a pod has printed so far.
    ///
    /// # Errors
    ///
    /// [`Failure::NotFound`] if it is gone, [`Failure::Refused`] if nothing of it has run yet.
    pub async fn log(&self, pod: &str) -> Result<Log, Failure> {
        let stream = self.logs.log_stream(pod, &LogParams::default()).await.map_err(read_failure)?;
        Ok(Box::pin(stream))
    }

    /// A ConfigMap's keys, as text.
    ///
    /// # Errors
    ///
    /// See [`Failure`].
    pub async fn texts(&self, name: &str) -> Result<Option<BTreeMap<String, String>>, Failure> {
        let found = self.workflows.get(name).await.map_err(read_failure)?;
        let (_, data) = found.map(document_data).unzip();
        let text = |(key, bytes)| Some((key, String::from_utf8(bytes).ok()?));
        Ok(data.map(|data| data.into_iter().filter_map(text).collect()))
    }
}

fn registered(kind: Kind, object: Object) -> Registered {
    let label = object.metadata.label(STATE_LABEL).map(str::to_owned);
    Registered { seen: seen_as(kind, object), label }
}
