//! The ConfigMap in which the environment is announced. It is part of the manifests: the engine may change it, and needs no
//! right to create any.

use super::classify::write_failure;
use crate::plan::Failure;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;

/// The ConfigMap's name.
pub const NAME: &str = "operator-engine-environment";
/// The key of the announcement in it.
pub const KEY: &str = "environment.json";

/// Writes announcements.
pub struct Announcer(Api<ConfigMap>);

impl Announcer {
    /// Of the environment that `namespace` is.
    pub fn new(client: &Client, namespace: &str) -> Self {
        Self(Api::namespaced(client.clone(), namespace))
    }

    /// Puts `text` in the place of what was announced before. Two engines of one namespace say the same.
    ///
    /// # Errors
    ///
    /// [`Failure::NotFound`] if the ConfigMap does not exist.
    pub async fn announce(&self, text: &str) -> Result<(), Failure> {
        let patch = json!({"data": {KEY: text}});
        let patched = self.0.patch(NAME, &PatchParams::default(), &Patch::Merge(&patch)).await;
        patched.map(drop).map_err(write_failure)
    }
}
