//! The parts of the API server's objects that are read, as they come over the wire.
//!
//! Everything else is passed over while it is parsed and never takes memory. That is most of an object: `managedFields` alone,
//! as a tree, is many times what is read of a pod, and a list shows thousands of them.

use super::{MANAGED_BY, WORKFLOW_LABEL};
use k8s_openapi::ByteString;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use std::{collections::BTreeMap, fmt};

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
    pub(super) labels: Option<Ours>,
    pub(super) annotations: Option<Ours>,
    pub(super) owner_references: Option<Vec<Owner>>,
}

/// The labels or annotations that are read. Others may be large: `kubectl apply` keeps a whole document in one.
#[derive(Debug, Default)]
pub(super) struct Ours(BTreeMap<String, String>);

impl Meta {
    pub(super) fn label(&self, key: &str) -> Option<&str> {
        self.labels.as_ref()?.get(key)
    }

    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key)
    }
}

impl Ours {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}

impl<'de> Deserialize<'de> for Ours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Picking;

        impl<'de> Visitor<'de> for Picking {
            type Value = Ours;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("labels or annotations")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ours, A::Error> {
                let mut ours = Ours::default();
                while let Some(key) = map.next_key::<String>()? {
                    if key.starts_with("operator-engine/") || [MANAGED_BY.0, WORKFLOW_LABEL].contains(&key.as_str()) {
                        ours.0.insert(key, map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(ours)
            }
        }

        deserializer.deserialize_map(Picking)
    }
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

/// Not to be shown: it has no `Debug`.
#[derive(Deserialize)]
pub(super) struct Secret {
    pub(super) metadata: Meta,
    pub(super) data: Option<BTreeMap<String, ByteString>>,
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
    #[serde(rename = "imageID", default)]
    pub(super) image_id: String,
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
