//! The cluster as a submitter sees it: workflows are registered, looked at, stopped and deleted with the caller's own rights.
//!
//! Nothing here drives a workflow. It touches ConfigMaps that carry the state label and no others, by compare-and-swap where the
//! engine may be writing too. Absent: watches, and anything of the namespace that is no workflow's.

use super::{
    ConnectError, STATE_LABEL, WORKFLOW_LABEL, classify,
    classify::{read_failure, write_failure},
    connect,
    convert::{document_data, pod_seen, workflow_seen},
    objects::Objects,
    wire::Object,
};
use crate::{
    plan::{
        Failure,
        seen::{PodSeen, WorkflowSeen},
    },
    workflow::{JobId, State},
};
use futures::io::AsyncBufRead;
use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Pod},
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
    pods: Objects,
    logs: Api<Pod>,
}

/// A workflow as it is to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
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
            pods: Objects::of::<Pod>(&client, &namespace),
            logs: Api::namespaced(client, &namespace),
            namespace,
        })
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
        let (mut data, mut binary_data) = (BTreeMap::new(), BTreeMap::new());
        for (key, bytes) in &registration.data {
            match String::from_utf8(bytes.clone()) {
                Ok(text) => drop(data.insert(key.clone(), text)),
                Err(_) => drop(binary_data.insert(key.clone(), ByteString(bytes.clone()))),
            }
        }
        let object = ConfigMap {
            metadata: ObjectMeta {
                name: Some(registration.name.to_string()),
                labels: Some(labels),
                annotations: Some(registration.annotations.clone()),
                ..Default::default()
            },
            data: Some(data),
            binary_data: Some(binary_data),
            ..Default::default()
        };
        self.workflows.create(&object).await.map(registered).map_err(write_failure)
    }

    /// All workflows, ordered by name, without their documents.
    ///
    /// # Errors
    ///
    /// See [`Failure`].
    pub async fn list(&self) -> Result<Vec<Registered>, Failure> {
        let parameters = ListParams::default().labels(STATE_LABEL);
        let listed = self.workflows.list(parameters, Request::list_metadata, registered).await.map_err(read_failure)?;
        let mut found = listed.items;
        found.sort_by(|a, b| a.seen.name.cmp(&b.seen.name));
        Ok(found)
    }

    /// The ConfigMap of that name, without its document; it may be no workflow.
    ///
    /// # Errors
    ///
    /// See [`Failure`].
    pub async fn find(&self, job: &JobId) -> Result<Option<Registered>, Failure> {
        Ok(self.workflows.get_metadata(job.as_str()).await.map_err(read_failure)?.map(registered))
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
        match self.workflows.patch_metadata(&found.seen.name, &patch).await {
            Ok(object) => Ok(registered(object)),
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
        self.workflows.delete(&found.seen.name, &parameters).await.map_err(write_failure)
    }

    /// The pods of a workflow that are there.
    ///
    /// # Errors
    ///
    /// See [`Failure`].
    pub async fn pods(&self, found: &Registered) -> Result<Vec<PodSeen>, Failure> {
        let parameters = ListParams::default().labels(&format!("{WORKFLOW_LABEL}={}", found.seen.name));
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

fn registered(object: Object) -> Registered {
    let label = object.metadata.label(STATE_LABEL).map(str::to_owned);
    Registered { seen: workflow_seen(object), label }
}
