//! The API server's audit log: who asked for what, when, and what was answered.

use crate::cluster::Cluster;
use jiff::Timestamp;
use serde::Deserialize;
use std::{collections::BTreeMap, fs};

/// A request that was answered.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// When the server had read it.
    pub(crate) at: Timestamp,
    pub(crate) verb: String,
    pub(crate) group: String,
    /// With its subresource, as Roles write it: `pods/status`.
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) code: u16,
    pub(crate) uri: String,
    pub(crate) agent: String,
}

impl Request {
    /// `create pods`.
    pub(crate) fn what(&self) -> String {
        format!("{} {}", self.verb, self.resource)
    }

    pub(crate) fn succeeded(&self) -> bool {
        (200..300).contains(&self.code)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    verb: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    #[serde(default)]
    object_ref: Object,
    #[serde(default)]
    response_status: Status,
    request_received_timestamp: Timestamp,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Object {
    resource: String,
    namespace: String,
    name: String,
    api_group: String,
    subresource: String,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
}

/// Everything an engine asked for, in the order of the answers.
pub(crate) fn of_engines(cluster: &Cluster) -> Vec<Request> {
    let text = fs::read_to_string(&cluster.environment.audit).unwrap();
    let quoted = format!("\"username\":\"{}\"", cluster.engine_user());
    let lines = text.lines().filter(|line| line.contains(&quoted));
    // The last line may be half written.
    let lines = lines.filter_map(|line| serde_json::from_str::<Line>(line).ok());
    lines.filter(|line| line.user.username == cluster.engine_user()).map(request).collect()
}

/// Everything an engine asked for in one namespace, in the order of the requests.
pub(crate) fn in_namespace(cluster: &Cluster, namespace: &str) -> Vec<Request> {
    let mut requests = of_engines(cluster);
    requests.retain(|request| request.namespace == namespace);
    requests.sort_by_key(|request| request.at);
    requests
}

fn request(line: Line) -> Request {
    let Object { resource, namespace, name, api_group, subresource } = line.object_ref;
    Request {
        at: line.request_received_timestamp,
        verb: line.verb,
        group: api_group,
        resource: if subresource.is_empty() { resource } else { format!("{resource}/{subresource}") },
        namespace,
        name,
        code: line.response_status.code,
        uri: line.request_uri,
        agent: line.user_agent,
    }
}

/// How often each pod was certainly created, by name; 0 where the server cannot say, as when an engine was killed while it
/// waited: such a request is logged as a timeout (504) although the pod may be there.
pub(crate) fn pods_created(cluster: &Cluster, namespace: &str) -> BTreeMap<String, usize> {
    let mut created = BTreeMap::new();
    for request in in_namespace(cluster, namespace) {
        if request.what() == "create pods" && (request.succeeded() || request.code >= 500) {
            *created.entry(request.name.clone()).or_default() += usize::from(request.succeeded());
        }
    }
    created
}
