//! What every [`Cluster`] must keep, as its doc comment states it: one check a promise, for the sandbox and for a real API
//! server alike.
//!
//! A check drives the cluster through the trait and everybody else through [`Subject`]: the people with kubectl, the kubelet,
//! and the controllers. Checks use names of their own, so one subject can serve all of them, at once or in turn, and they
//! expect objects of others in lists. [`checks`] lists them; `contract!` makes each a test.
//!
//! Absent: speed, access rights, and what a pod looks like to Kubernetes.

pub(crate) mod archive;
pub(crate) mod leases;
pub(crate) mod pods;
pub(crate) mod races;
pub(crate) mod volumes;
pub(crate) mod workflows;

use async_trait::async_trait;
use futures::future::BoxFuture;
use operator_engine::{
    cluster::{Cluster, archive::Archive},
    plan::{
        action::{Write, WriteStep},
        cohort::Cohort,
        end::End,
        kind::Kind,
        pod::{PodSpec, Task},
        seen::{Owner, Uid, WorkflowSeen},
        transition,
    },
    workflow::{JobId, Record, Stage, State, digest::Sha256, record::Holder},
};
use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

/// A cluster, and the hands of all who act on it beside the engine. What they do has happened when the call returns.
#[async_trait]
pub(crate) trait Subject: Send + Sync {
    /// The cluster, as an engine uses it.
    fn cluster(&self) -> Arc<dyn Cluster>;

    /// The cluster, as expiry uses it.
    fn archive(&self) -> Arc<dyn Archive>;

    /// A person registers a workflow: a ConfigMap of this name, labelled `pending`.
    async fn submit(&self, name: &str, data: BTreeMap<String, Vec<u8>>);
    /// A person sets the state label.
    async fn label(&self, name: &str, state: State);
    /// A person takes the state label away.
    async fn unlabel(&self, name: &str);
    /// A person replaces the data.
    async fn edit(&self, name: &str, data: BTreeMap<String, Vec<u8>>);
    /// A person deletes a workflow.
    async fn delete_workflow(&self, name: &str);

    /// The kubelet starts a pod's container.
    async fn start_pod(&self, name: &str);
    /// A pod's container ends, or the platform ends the pod.
    async fn finish_pod(&self, name: &str, end: End);
    /// Whether the kubelet was told that the pod is to end.
    async fn asked_to_end(&self, name: &str) -> bool;

    /// One turn of whoever finishes deletions and collects garbage, where nobody does by himself.
    async fn tend(&self) {}

    /// How long "eventually" may take.
    fn patience(&self) -> Duration;
    /// How often a race is run.
    fn rounds(&self) -> usize;
}

/// A check: it panics where the contract is broken.
pub(crate) type Check = for<'a> fn(&'a dyn Subject) -> BoxFuture<'a, ()>;

/// Names every check once: `$then!` is given them all.
macro_rules! every_check {
    ($then:ident $(, $with:tt)*) => {
        $then! { [$($with)*]
            workflows::what_is_submitted_waits_for_attention
            workflows::a_document_is_read_as_it_stands_or_refused_with_a_reason
            workflows::a_write_sets_state_and_record_and_nothing_else
            workflows::a_write_of_an_older_version_changes_nothing
            workflows::a_write_to_another_object_of_that_name_changes_nothing
            workflows::what_people_change_in_between_is_not_overwritten
            workflows::a_record_that_is_too_long_is_refused
            workflows::each_list_holds_its_scope_and_no_other
            workflows::a_list_is_no_older_than_asked_and_no_older_than_its_objects
            workflows::versions_grow_over_all_workflows
            workflows::what_is_not_there_is_answered_so
            pods::a_new_pod_waits_under_its_name_and_owner
            pods::a_pod_is_created_once_whoever_asks
            pods::a_pod_is_followed_to_its_end
            pods::ended_pods_are_listed_by_cohort
            pods::each_end_is_reported_as_it_was
            pods::a_pod_that_is_asked_to_end_stays_to_be_seen
            pods::a_pod_that_never_started_ends_or_goes
            pods::another_pod_of_that_name_is_left_alone
            pods::all_pods_of_the_workflows_named_go_and_no_others
            pods::what_belongs_to_another_workflow_of_that_name_stays
            pods::the_pods_of_one_stage_go_and_those_of_others_stay
            pods::a_deletion_that_names_nobody_is_refused
            pods::what_a_deleted_workflow_owns_goes
            pods::a_pod_made_for_a_workflow_that_is_gone_goes
            volumes::a_volume_is_created_once_whoever_asks
            volumes::the_volumes_of_the_workflows_named_go_and_no_others
            volumes::the_volume_of_another_workflow_of_that_name_stays
            leases::a_lease_is_created_once_whoever_asks
            leases::a_renewal_always_shows
            leases::a_lease_that_changed_is_not_renewed_and_not_deleted
            leases::a_lease_that_is_gone_is_not_renewed
            archive::pages_hold_every_workflow_once_in_order
            archive::what_is_no_workflow_is_read_and_in_no_page
            archive::a_workflow_is_deleted_only_as_it_was_seen
            archive::the_archive_reads_and_writes_what_the_cluster_does
            archive::there_is_one_turn_whoever_asks
            archive::a_turn_that_changed_is_not_taken
            archive::the_clock_is_near_ours
            races::of_many_writers_one_wins
            races::no_increment_is_lost
            races::a_stop_is_never_overwritten
            races::of_many_creators_one_creates
            races::of_many_renewals_and_deletions_one_wins
            races::lists_among_writers_are_true_at_their_version
        }
    };
}

macro_rules! listed {
    ([] $($module:ident :: $check:ident)*) => {
        /// Every check with its name.
        pub(crate) fn checks() -> Vec<(&'static str, Check)> {
            vec![$((stringify!($check), |subject| Box::pin($module::$check(subject)))),*]
        }
    };
}
every_check!(listed);

#[allow(unused_macros, reason = "whoever runs the suite in another way needs no tests made of it")]
/// Makes each check a test on a subject that `$subject` makes: an expression without an `await`.
macro_rules! contract {
    ($subject:tt) => {
        every_check! { contract_tests, $subject }
    };
}

/// The tests of [`contract!`].
#[allow(unused_macros, reason = "see above")]
macro_rules! contract_tests {
    ([$subject:tt] $($module:ident :: $check:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $check() {
            let subject = $subject;
            $crate::suite::$module::$check(&subject).await;
        })*
    };
}

/// Waits until `look` finds what it looks for.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    subject: &dyn Subject,
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let deadline = tokio::time::Instant::now() + subject.patience();
    loop {
        subject.tend().await;
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "not within {:?}: {what}", subject.patience());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn job(name: &str) -> JobId {
    name.parse().unwrap()
}

/// The workflow of this name and UID, as an owner.
pub(crate) fn owner(name: &str, uid: &Uid) -> Owner {
    Owner { job: job(name), uid: uid.clone() }
}

/// A workflow's data with a document that says little.
pub(crate) fn data() -> BTreeMap<String, Vec<u8>> {
    BTreeMap::from([("workflow.json".to_owned(), b"{\"stages\": []}".to_vec())])
}

/// Submits a workflow and reads it.
pub(crate) async fn submitted(subject: &dyn Subject, name: &str) -> WorkflowSeen {
    subject.submit(name, data()).await;
    read(subject, name).await
}

/// The workflow as it is.
pub(crate) async fn read(subject: &dyn Subject, name: &str) -> WorkflowSeen {
    subject.cluster().read_workflow(name).await.unwrap().unwrap_or_else(|| panic!("{name} is not there"))
}

/// A record in which `failures` tells one writer from another.
pub(crate) fn record(failures: u32) -> Record {
    let holder = Holder { lease: "engine".to_owned(), identity: "engine-1".to_owned() };
    let mut record = transition::claimed(&holder, Sha256::of("document"), jiff::Timestamp::UNIX_EPOCH);
    record.failures = failures;
    record
}

/// A write to the workflow as it was seen.
pub(crate) fn write(seen: &WorkflowSeen, state: State, record: Record) -> Write {
    Write { step: WriteStep::Transition, uid: seen.uid.clone(), version: seen.version, state, record }
}

/// What the status annotation says.
pub(crate) fn status(seen: &WorkflowSeen) -> Option<Record> {
    seen.status.as_deref().map(|status| Record::parse(status).unwrap())
}

/// A pod that the owner wants.
pub(crate) fn spec(name: &str, owner: &Uid, stage: Stage, attempt: u32) -> PodSpec {
    PodSpec {
        job: job(name),
        owner: owner.clone(),
        kind: Kind::ConfigMap,
        round: 0,
        stage,
        attempt,
        cohort: Cohort(i64::from(attempt) + 1),
        task: Task::Configure {
            document: Sha256::of("document"),
            remote: false,
            buckets: Default::default(),
            earlier: Default::default(),
        },
        deadline: Duration::from_hours(1),
        grace: Duration::from_secs(30),
    }
}
