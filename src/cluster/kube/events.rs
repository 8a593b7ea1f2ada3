//! Kubernetes Events on a workflow's object, for people who look at it with `kubectl describe`.
//!
//! They are a courtesy: nothing is decided by them, they are sent once, and an engine without the right to create them says
//! so once and goes on.

use super::classify::write_failure;
use crate::{
    plan::{Failure, kind, seen::Uid},
    workflow::{digest::Sha256, report::clip},
};
use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::{Api, Client, api::PostParams};
use tokio::sync::mpsc;

/// Something worth telling the people who look at a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Milestone {
    /// The workflow's name.
    pub workflow: String,
    /// Its UID.
    pub uid: Uid,
    /// One CamelCase word.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// Whether it is good news.
    pub good: bool,
}

/// How many wait to be sent. What is more than that is not told: the loop must not wait for a courtesy.
const QUEUE: usize = 256;
/// The longest message the API server takes (`pkg/apis/core/validation`: 1024), and the longest reason (128).
const MAX_MESSAGE: usize = 1000;

/// Sends milestones in a task of its own. What comes when the queue is full is dropped.
pub fn tell(client: &Client, namespace: &str) -> mpsc::Sender<Milestone> {
    let (sender, mut receiver) = mpsc::channel::<Milestone>(QUEUE);
    let (api, namespace): (Api<Event>, _) = (Api::namespaced(client.clone(), namespace), namespace.to_owned());
    tokio::spawn(async move {
        while let Some(milestone) = receiver.recv().await {
            let event = event(&milestone, &namespace);
            if let Err(error) = api.create(&PostParams::default(), &event).await {
                match write_failure(error) {
                    Failure::Denied { .. } => {
                        tracing::warn!("events are turned on and not allowed: add `create` on `events` to the Role");
                        return;
                    }
                    failure => {
                        tracing::debug!(workflow.id = milestone.workflow, error = %failure, "an event was not told")
                    }
                }
            }
        }
    });
    sender
}

fn event(milestone: &Milestone, namespace: &str) -> Event {
    let now = jiff::Timestamp::now();
    let (kind, object) = kind::split(&milestone.workflow);
    let digest = Sha256::of(format!("{} {} {} {now}", milestone.uid, milestone.reason, milestone.message)).to_string();
    let short: String = digest.chars().take(16).collect();
    Event {
        metadata: ObjectMeta { name: Some(format!("{object}.{short}")), ..Default::default() },
        involved_object: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some(kind.as_str().to_owned()),
            name: Some(object.to_owned()),
            namespace: Some(namespace.to_owned()),
            uid: Some(milestone.uid.0.clone()),
            ..Default::default()
        },
        reason: Some(clip(&milestone.reason, 128)),
        message: Some(clip(&milestone.message, MAX_MESSAGE)),
        type_: Some(if milestone.good { "Normal" } else { "Warning" }.to_owned()),
        source: Some(EventSource { component: Some("operator-engine".to_owned()), host: None }),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        count: Some(1),
        ..Default::default()
    }
}
