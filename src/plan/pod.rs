//! The pods of a workflow as they are wanted. A cluster turns them into Kubernetes objects, the sandbox into processes.

use super::{
    cohort::Cohort,
    kind::Kind,
    policy::Policy,
    seen::{Uid, pod_name},
};
use crate::workflow::{AssetId, Document, Facts, JobId, Record, Resources, Stage, digest::Sha256};
use jiff::Timestamp;
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// A pod that is wanted. It is a function of workflow, document, record and policy, so it can be built again after a crash.
#[derive(Debug, Clone, PartialEq)]
pub struct PodSpec {
    /// The workflow: the labels `workflow` and `app`.
    pub job: JobId,
    /// The workflow's UID: the pod's owner.
    pub owner: Uid,
    /// What the workflow is: where configure reads it from.
    pub kind: Kind,
    /// The round: which of the document's stages it is for.
    pub round: u32,
    /// The stage: the label `component`.
    pub stage: Stage,
    /// The attempt, from 0.
    pub attempt: u32,
    /// Its cohort: a label, by which ended pods are asked for.
    pub cohort: Cohort,
    /// What it does.
    pub task: Task,
    /// `activeDeadlineSeconds`: how long it may take in all, even when no engine watches.
    pub deadline: Duration,
    /// How long it has between SIGTERM and SIGKILL.
    pub grace: Duration,
}

/// What a pod does.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// Fetch what the document, which must still have this digest, asks for.
    Configure {
        /// The digest at the time of the claim.
        document: Sha256,
        /// Whether it wants files of a provider, who is asked with the operator's key.
        remote: bool,
        /// The buckets that it names.
        buckets: BTreeSet<String>,
        /// The earlier rounds whose outputs it takes.
        earlier: BTreeSet<u32>,
    },
    /// Run the author's image.
    Algorithm {
        /// The image reference.
        image: String,
        /// The command as it stands in the document.
        entrypoint: String,
        /// What it sees of the workflow.
        subject: Subject,
        /// How long it may run, from its own start: pulling the image is not charged to it.
        max_time: Duration,
        /// What it gets.
        resources: Resources,
    },
    /// Let the admin's image look at what came out.
    Filter {
        /// The image reference.
        image: String,
        /// What it sees of the workflow: the same as the algorithm.
        subject: Subject,
    },
    /// Store outputs and logs.
    Publish {
        /// What the manifest says.
        facts: Box<Facts>,
    },
}

/// The variables that differ from workflow to workflow; the others of the seven name folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// `DIDS`: a JSON array of input ids, with the separators of the old engine.
    pub dids: String,
    /// `TRANSFORMATION_DID`.
    pub transformation_did: String,
    /// `secret`, in lower case.
    pub secret: String,
}

impl Subject {
    fn of(document: &Document) -> Self {
        let ids: Vec<String> = document.inputs.iter().map(|input| format!("\"{}\"", input.id)).collect();
        Self {
            dids: format!("[{}]", ids.join(", ")),
            transformation_did: document.algorithm.id.as_ref().map(AssetId::to_string).unwrap_or_default(),
            secret: document.secret.clone().unwrap_or_default(),
        }
    }
}

impl PodSpec {
    /// What its workflow is called.
    pub fn workflow(&self) -> String {
        self.kind.call(self.job.as_str())
    }

    /// The pod's name: deterministic, so that creating it twice is impossible.
    pub fn name(&self) -> String {
        pod_name(&self.job, self.round, self.stage, self.attempt)
    }
}

/// The pod that `record` intends. None without the document that was claimed, except for publish: what came out by then is
/// stored all the same, and its manifest names no image.
pub fn spec_for(
    job: &JobId,
    owner: &Uid,
    kind: Kind,
    document: Option<&Arc<Document>>,
    record: &Record,
    stage: Stage,
    policy: &Policy,
) -> Option<PodSpec> {
    let document = document.and_then(|document| document.stage(record.round));
    let task = match (stage, document) {
        (Stage::Publish, _) => {
            let image = document.map(|document| document.algorithm.container.reference()).unwrap_or_default();
            Task::Publish { facts: Box::new(Facts::of(job, record, image, expires_at(record, policy))) }
        }
        (Stage::Configure, Some(document)) => Task::Configure {
            document: record.document,
            remote: document.is_remote(),
            buckets: document.buckets().into_iter().map(str::to_owned).collect(),
            earlier: document.takes(),
        },
        (Stage::Algorithm, Some(document)) => Task::Algorithm {
            image: document.algorithm.container.reference(),
            entrypoint: document.algorithm.container.entrypoint.clone(),
            subject: Subject::of(document),
            max_time: policy.max_time(document.max_time),
            resources: resources(record, document, policy),
        },
        (Stage::Filter, Some(document)) => {
            let image = policy.filter_image.clone().unwrap_or_default();
            Task::Filter { image, subject: Subject::of(document) }
        }
        (_, None) => return None,
    };
    Some(PodSpec {
        job: job.clone(),
        owner: owner.clone(),
        kind,
        round: record.round,
        stage,
        attempt: record.attempt,
        cohort: Cohort::of(record, stage),
        task,
        deadline: deadline(stage, document, policy),
        grace: policy.stop_grace,
    })
}

/// What an algorithm gets: as it was claimed, since the budget was reckoned with that. Of several rounds that is the most that
/// any of them needs, and each gets its own.
fn resources(record: &Record, document: &Document, policy: &Policy) -> Resources {
    match record.resources {
        Some(claimed) if record.has_rounds() => policy.resources(document.wish).least(claimed),
        Some(claimed) => claimed,
        None => policy.resources(document.wish),
    }
}

/// How long a stage's pod may take in all. An algorithm's wrapper keeps its time exactly, from the algorithm's own start;
/// this is the backstop behind it.
pub fn deadline(stage: Stage, document: Option<&Document>, policy: &Policy) -> Duration {
    match stage {
        Stage::Configure => policy.waiting.configure,
        Stage::Algorithm => {
            let wish = document.and_then(|document| document.max_time);
            policy.max_time(wish) + policy.stop_grace + policy.waiting.start
        }
        Stage::Filter => policy.waiting.filter,
        Stage::Publish => policy.waiting.publish,
    }
}

/// When the results of this record may go: counted from the recorded start of publishing, so that every attempt says the
/// same. The sooner of what the admin and the document say. `None`: never.
pub fn expires_at(record: &Record, policy: &Policy) -> Option<Timestamp> {
    let started = record.times.get(&Stage::Publish)?.started?;
    let wish = record.storage_expiry_secs.map(Duration::from_secs);
    let expiry = [policy.storage_expiry, wish].into_iter().flatten().min()?;
    started.checked_add(jiff::SignedDuration::try_from(expiry).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plan::transition,
        workflow::record::{Holder, Times},
    };

    #[test]
    fn a_document_may_ask_for_less_than_the_admin_gives_and_never_for_more() {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let expires = |admin: Option<u64>, document: Option<u64>| {
            let holder = Holder { lease: "l".to_owned(), identity: "i".to_owned() };
            let mut record = transition::claimed(&holder, Sha256::of(""), Timestamp::UNIX_EPOCH);
            record.storage_expiry_secs = document.map(|document| hours(document).as_secs());
            let begun = Times { started: Some(Timestamp::UNIX_EPOCH), ended: None };
            record.times.insert(Stage::Publish, begun);
            let policy = Policy { storage_expiry: admin.map(hours), ..Policy::default() };
            expires_at(&record, &policy).map(|at| at.as_second() / 3600)
        };
        assert_eq!(expires(Some(48), Some(24)), Some(24));
        assert_eq!(expires(Some(48), Some(72)), Some(48));
        assert_eq!(expires(Some(48), None), Some(48));
        assert_eq!(expires(None, Some(72)), Some(72), "for ever is no limit");
        assert_eq!(expires(None, None), None);
    }
}
