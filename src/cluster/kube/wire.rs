//! The parts of the API server's objects that are read, as they come over the wire.
//!
//! Everything else is passed over while it is parsed and never takes memory. That is most of an object: `managedFields` alone,
//! as a tree, is many times what is read of a pod, and a list shows thousands of them.

use k8s_openapi::ByteString;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A list, or one page of it. Both parts must be there: an answer without them says nothing.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub(super) metadata: PageMeta,
    pub(super) items: Option<Vec<T>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageMeta {
    pub(super) resource_version: Option<String>,
    /// Where the next page begins; none or empty: this is the last one.
    pub(super) r#continue: Option<String>,
}

/// Any object.
#[derive(Debug, Deserialize)]
pub(super) struct Object {
    pub(super) metadata: Meta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Meta {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) resource_version: Option<String>,
    pub(super) creation_timestamp: Option<jiff::Timestamp>,
    pub(super) deletion_timestamp: Option<jiff::Timestamp>,
    pub(super) labels: Option<Labels>,
    pub(super) annotations: Option<Annotations>,
    pub(super) owner_references: Option<Vec<Owner>>,
}

/// Our labels. A test holds their names equal to the constants.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Labels {
    #[serde(rename = "app.kubernetes.io/managed-by")]
    pub(super) managed_by: Option<String>,
    pub(super) workflow: Option<String>,
    #[serde(rename = "operator-engine/cohort")]
    pub(super) cohort: Option<String>,
    #[serde(rename = "operator-engine/state")]
    pub(super) state: Option<String>,
}

/// Our annotation.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Annotations {
    #[serde(rename = "operator-engine/status")]
    pub(super) status: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Owner {
    pub(super) kind: String,
    pub(super) uid: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConfigMap {
    pub(super) metadata: Meta,
    pub(super) data: Option<BTreeMap<String, String>>,
    pub(super) binary_data: Option<BTreeMap<String, ByteString>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Pod {
    pub(super) metadata: Meta,
    pub(super) spec: Option<PodSpec>,
    pub(super) status: Option<PodStatus>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodSpec {
    pub(super) node_name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodStatus {
    pub(super) phase: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) message: Option<String>,
    pub(super) conditions: Option<Vec<Condition>>,
    pub(super) container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Condition {
    pub(super) r#type: String,
    pub(super) status: String,
    pub(super) reason: Option<String>,
    pub(super) message: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ContainerStatus {
    pub(super) state: Option<ContainerState>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ContainerState {
    pub(super) waiting: Option<Waiting>,
    pub(super) terminated: Option<Terminated>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Waiting {
    pub(super) reason: Option<String>,
    pub(super) message: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Terminated {
    pub(super) exit_code: i32,
    pub(super) reason: Option<String>,
    pub(super) message: Option<String>,
}
