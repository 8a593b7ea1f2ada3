//! Secrets that are workflows, where the admin has turned that on. What has no state label is somebody's credentials, and none of
//! it may come here, not even metadata: `kubectl apply` keeps a copy of all it was given in an annotation. So one Secret is
//! looked at by a list that selects by name *and* label, and its data is asked for only of one that was seen labelled.

use super::{
    Kube, STATE_LABEL,
    classify::read_failure,
    convert::{secret_data, secret_seen},
    objects::Objects,
    wire::{Object, Secret},
};
use crate::{
    cluster::{WorkflowRead, document_text},
    plan::{
        Failure,
        kind::{self, Kind},
        seen::WorkflowSeen,
    },
};
use k8s_openapi::{ByteString, api::core::v1::Secret as Resource};
use kube::{api::ListParams, core::Request};

/// The object of that name that has the state label, consistently.
pub(super) async fn labelled<S>(objects: &Objects, name: &str, convert: fn(Object) -> S) -> Result<Option<S>, Failure> {
    let parameters = ListParams::default().labels(STATE_LABEL).fields(&format!("metadata.name={name}"));
    let found = objects.list(parameters, Request::list_metadata, convert).await.map_err(read_failure)?;
    Ok(found.items.into_iter().next())
}

impl Kube {
    /// Whether Secrets are workflows too. If not, which is how it begins, no request about one is made.
    pub fn with_secrets(self, on: bool) -> Self {
        let secrets = on.then(|| self.workflows.of_the_same::<Resource>());
        Self { secrets, ..self }
    }

    /// Where the workflow called `name` is, and what its object is called.
    pub(super) fn objects<'a>(&self, name: &'a str) -> Result<(&Objects, &'a str), Failure> {
        let (kind, object) = kind::split(name);
        let objects = match kind {
            Kind::ConfigMap => Some(&self.workflows),
            Kind::Secret => self.secrets.as_ref(),
        };
        objects.map(|objects| (objects, object)).ok_or(Failure::NotFound)
    }

    /// A workflow's metadata.
    pub(super) async fn secret(&self, object: &str) -> Result<Option<WorkflowSeen>, Failure> {
        match &self.secrets {
            Some(secrets) => labelled(secrets, object, secret_seen).await,
            None => Ok(None),
        }
    }

    /// A workflow with its document. Asked for only of one that was listed.
    pub(super) async fn secret_document(&self, object: &str) -> Result<Option<WorkflowRead>, Failure> {
        let Some(secrets) = &self.secrets else { return Ok(None) };
        let found = secrets.get::<Secret>(object).await.map_err(read_failure)?;
        let read = found.and_then(secret_data);
        Ok(read.map(|(seen, data)| WorkflowRead { seen, document: document_text(&data) }))
    }
}

/// What a Secret's manifest says in base64; none if it is none.
pub fn decoded(text: String) -> Option<Vec<u8>> {
    serde_json::from_value::<ByteString>(text.into()).ok().map(|bytes| bytes.0)
}
