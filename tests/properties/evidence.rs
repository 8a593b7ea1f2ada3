//! Evidence as it may come: a few names, owners and versions, so that it meets, and everything else anyhow.

use jiff::{SignedDuration, Timestamp};
use operator_engine::{
    plan::{
        Failure, Now, Policy,
        cohort::Cohort,
        end::End,
        look::Look,
        seen::{LeaseSeen, Listed, PodSeen, Progress, Uid, Version, VolumeSeen, Waiting, WaitingCause, WorkflowSeen},
        transition,
    },
    workflow::{
        Code, Document, Outcome, Phase, Record, Stage, State,
        digest::Sha256,
        document::Fault,
        record::{Ahead, Holder, Results, Times, Usage},
        report::{ConfigureFault, ConfigureReport, ExecReport, PublishFault, PublishReport, Published, render},
    },
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use std::{sync::Arc, time::Duration};

pub(crate) const DOCUMENT: &str = r#"{"stages":[{"input":[],"algorithm":{"rawcode":"print(1)",
    "container":{"image":"python","tag":"3.12","entrypoint":"python3 $ALGO"}},"output":{}}]}"#;

pub(crate) fn document() -> Arc<Document> {
    Arc::new(Document::parse(DOCUMENT).unwrap())
}

pub(crate) fn me() -> Holder {
    holder_of("engine", "engine-2")
}

pub(crate) fn holder_of(lease: &str, identity: &str) -> Holder {
    Holder { lease: lease.to_owned(), identity: identity.to_owned() }
}

/// Names of workflows: two that begin alike, one that is no job id, one that is too long for one.
pub(crate) const NAMES: [&str; 5] =
    ["wf", "wf-2", "a.b", "Not A Job", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"];

pub(crate) fn wall(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

pub(crate) fn at(mono: Duration) -> Now {
    Now { mono, wall: wall(0) + SignedDuration::try_from(mono).unwrap() }
}

pub(crate) fn policy() -> impl Strategy<Value = Policy> {
    (0u32..4, any::<bool>(), any::<bool>(), 0u32..3).prop_map(|(max_jobs, filter, cleaning, platform)| {
        let mut policy = Policy { max_jobs, cleaning, ..Policy::default() };
        policy.filter_image = filter.then(|| "filter:1".to_owned());
        policy.retries.platform = platform;
        policy
    })
}

fn name() -> impl Strategy<Value = String> {
    // Mostly the ordinary ones.
    prop_oneof![4 => select(NAMES[..2].to_vec()), 1 => select(NAMES.to_vec())].prop_map(str::to_owned)
}

pub(crate) fn uid() -> impl Strategy<Value = Uid> {
    prop_oneof![5 => Just("uid-1"), 1 => Just("uid-2")].prop_map(|uid| Uid(uid.to_owned()))
}

pub(crate) fn version() -> impl Strategy<Value = Version> {
    (0u64..40).prop_map(Version)
}

fn holder() -> impl Strategy<Value = Holder> {
    let known = [("engine", "engine-2"), ("engine", "engine-1"), ("other", "other-1"), ("gone", "gone-1"), ("", "")];
    prop_oneof![3 => Just(me()), 2 => select(known.to_vec()).prop_map(|(lease, identity)| holder_of(lease, identity))]
}

/// Texts that do not fit into what they are meant for.
fn text() -> BoxedStrategy<String> {
    prop_oneof![
        6 => "[ -~]{0,12}",
        1 => any::<String>(),
        1 => (0usize..20_000).prop_map(|n| "x".repeat(n)),
        1 => (0usize..5_000).prop_map(|n| "\u{1}\"é".repeat(n)),
    ]
    .boxed()
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        5 => (-100i64..100).prop_map(wall),
        1 => select([Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH].to_vec())
    ]
}

pub(crate) fn code() -> impl Strategy<Value = Code> {
    select([1u16, 20, 30, 31, 32, 40, 50, 60, 70].to_vec()).prop_map(|number| Code::try_from(number).unwrap())
}

pub(crate) fn outcome() -> impl Strategy<Value = Outcome> {
    use Outcome::{Failed, Refused, Stopped, Succeeded, TimedOut, Withheld};
    select([Succeeded, Failed, Stopped, TimedOut, Withheld, Refused].to_vec())
}

pub(crate) fn phase() -> impl Strategy<Value = Phase> {
    select([Phase::Configure, Phase::Algorithm, Phase::Filter, Phase::Publish, Phase::Done].to_vec())
}

fn digest() -> impl Strategy<Value = Sha256> {
    prop_oneof![4 => Just(document().sha256), 1 => Just(Sha256::of("another"))]
}

fn results() -> BoxedStrategy<Results> {
    (text(), text(), option::of(timestamp()), any::<u64>())
        .prop_map(|(store, manifest, expires_at, files)| Results {
            store,
            prefix: manifest.clone(),
            manifest,
            manifest_sha256: Sha256::of("manifest"),
            files,
            root: None,
            adminlogs: None,
            bytes: files,
            expires_at,
            deleted_at: None,
        })
        .boxed()
}

/// A record that can be read, whoever wrote it.
pub(crate) fn record() -> BoxedStrategy<Record> {
    let attempt = prop_oneof![8 => 0u32..3, 1 => Just(u32::MAX)];
    let times = option::of((phase(), option::of(timestamp()), option::of(timestamp())));
    let first = (code(), phase(), attempt, digest(), holder(), 0u8..4, prop_oneof![0u32..4, Just(u32::MAX)]);
    let second = (
        option::of(timestamp()),
        option::of(outcome()),
        any::<bool>(),
        option::weighted(0.2, text()),
        option::weighted(0.2, text()),
        option::of(any::<i32>()),
        times,
        option::weighted(0.1, results()),
    );
    let round = prop_oneof![12 => Just(0u32), 3 => 1u32..8, 1 => Just(u32::MAX)];
    let ahead = option::of(any::<u64>()).prop_map(|storage_expiry_secs| Ahead { storage_expiry_secs });
    let rounds = (round, prop_oneof![3 => Just(Vec::new()), 1 => vec(ahead, 1..4)]);
    (first, second, rounds)
        .prop_map(|((code, phase, attempt, document, holder, stopreq, failures), second, rounds)| {
            let (not_before, outcome, withheld, reason, message, exit_code, times, results) = second;
            let mut record = transition::claimed(&holder, document, wall(0));
            record.set_code(code);
            (record.phase, record.attempt, record.stopreq, record.failures) = (phase, attempt, stopreq, failures);
            (record.not_before, record.outcome, record.withheld) = (not_before, outcome, withheld);
            (record.reason, record.message, record.exit_code, record.results) = (reason, message, exit_code, results);
            (record.round, record.ahead) = rounds;
            record.usage = exit_code.map(|_| Usage { wall_ms: u64::MAX, cpu_ms: 0, peak_memory_bytes: 1 });
            if let Some((phase, started, ended)) = times
                && let Some(stage) = phase.stage()
            {
                record.times.insert(stage, Times { started, ended });
            }
            record
        })
        .boxed()
}

fn status() -> BoxedStrategy<Option<String>> {
    // Exactly as long as is still read: whatever is added to it is too much.
    let full = record().prop_map(|mut record| {
        record.message = None;
        let room = operator_engine::workflow::record::MAX_LEN.saturating_sub(record.render().len() + 12);
        record.message = Some("x".repeat(room));
        record.render()
    });
    prop_oneof![
        3 => Just(None),
        8 => record().prop_map(|record| Some(record.render())),
        1 => full.prop_map(Some),
        1 => text().prop_map(Some),
        1 => record().prop_map(|record| Some(record.render().chars().skip(1).collect())),
    ]
    .boxed()
}

fn state() -> impl Strategy<Value = Option<State>> {
    let states = [State::Pending, State::Active, State::Stopping, State::Done];
    prop_oneof![8 => select(states.to_vec()).prop_map(Some), 1 => Just(None)]
}

pub(crate) fn workflow_named(name: impl Strategy<Value = String>) -> impl Strategy<Value = WorkflowSeen> {
    let deleting = prop::bool::weighted(0.1);
    (name, uid(), version(), timestamp(), state(), status(), deleting).prop_map(
        |(name, uid, version, created, state, status, deleting)| WorkflowSeen {
            name,
            uid,
            version,
            created,
            state,
            status,
            deleting,
            order: Default::default(),
        },
    )
}

pub(crate) fn workflow() -> BoxedStrategy<WorkflowSeen> {
    workflow_named(name()).boxed()
}

fn configure_report() -> impl Strategy<Value = ConfigureReport> {
    let fault = (code(), text(), text()).prop_map(|(code, reason, message)| ConfigureFault { code, reason, message });
    (option::of(fault), any::<u64>()).prop_map(|(fault, files)| ConfigureReport { fault, files, bytes: files })
}

fn exec_report() -> impl Strategy<Value = ExecReport> {
    (option::of(0i32..200), any::<bool>(), any::<bool>(), option::of(text()), any::<u64>()).prop_map(
        |(exit_code, timed_out, stopped, error, wall_ms)| ExecReport {
            exit_code,
            timed_out,
            stopped,
            error,
            wall_ms,
            ..ExecReport::default()
        },
    )
}

fn publish_report() -> impl Strategy<Value = PublishReport> {
    let published = (text(), text()).prop_map(|(store, manifest)| Published {
        store,
        manifest,
        manifest_sha256: Sha256::of("manifest"),
        files: 1,
        root: None,
        adminlogs: None,
        bytes: 1,
        refused: 0,
    });
    let fault = (text(), text(), any::<bool>(), any::<bool>())
        .prop_map(|(reason, message, retry, withheld)| PublishFault { reason, message, retry, withheld });
    (option::of(published), option::of(fault)).prop_map(|(published, fault)| PublishReport { published, fault })
}

pub(crate) fn end() -> BoxedStrategy<End> {
    let message = prop_oneof![
        2 => configure_report().prop_map(|report| render(&report)),
        2 => exec_report().prop_map(|report| render(&report)),
        2 => publish_report().prop_map(|report| render(&report)),
        1 => text(),
    ];
    let reasons = ["Completed", "Error", "OOMKilled", "Evicted", "DeadlineExceeded", "NodeLost", "OutOfcpu"];
    let reason = prop_oneof![6 => select(reasons.to_vec()).prop_map(str::to_owned), 1 => text()];
    let code = prop_oneof![2 => Just(0i32), 1 => select([1, 137, 143, -1].to_vec())];
    (option::weighted(0.8, code), option::of(reason), prop::bool::weighted(0.2), message)
        .prop_map(|(exit_code, reason, disrupted, message)| End {
            exit_code,
            reason,
            disrupted,
            message,
            image_id: None,
        })
        .boxed()
}

pub(crate) fn cause() -> impl Strategy<Value = WaitingCause> {
    use WaitingCause::{Image, Quota, Starting, Unschedulable, Volume};
    select([Starting, Unschedulable, Image, Volume, Quota].to_vec())
}

fn progress() -> BoxedStrategy<Progress> {
    prop_oneof![
        (cause(), text()).prop_map(|(cause, message)| Progress::Waiting(Waiting { cause, message })),
        Just(Progress::Running),
        end().prop_map(Progress::Ended),
    ]
    .boxed()
}

pub(crate) fn pod() -> BoxedStrategy<PodSeen> {
    let ours = (name(), select(Stage::ALL.to_vec()), 0u32..3)
        .prop_map(|(workflow, stage, attempt)| (format!("{workflow}-{stage}-{attempt}"), workflow));
    let named = prop_oneof![8 => ours, 1 => (text(), name())];
    let cohort = option::weighted(0.9, (0i64..3).prop_map(Cohort));
    (named, uid(), version(), option::weighted(0.9, uid()), cohort, prop::bool::weighted(0.1), progress())
        .prop_map(|((name, workflow), uid, version, owner, cohort, deleting, progress)| PodSeen {
            name,
            uid,
            version,
            workflow,
            owner,
            cohort,
            deleting,
            progress,
        })
        .boxed()
}

pub(crate) fn volume() -> impl Strategy<Value = VolumeSeen> {
    (name(), uid(), version(), option::weighted(0.9, uid())).prop_map(|(workflow, uid, version, owner)| VolumeSeen {
        workflow,
        uid,
        version,
        owner,
    })
}

pub(crate) fn lease() -> impl Strategy<Value = LeaseSeen> {
    let names = ["engine", "other", "gone", "stranger"];
    let holders = ["engine-2", "engine-1", "other-1", "gone-1", ""];
    let durations = [Duration::ZERO, Duration::from_secs(15), Duration::MAX];
    (select(names.to_vec()), uid(), version(), select(holders.to_vec()), select(durations.to_vec())).prop_map(
        |(name, uid, version, holder, duration)| LeaseSeen {
            name: name.to_owned(),
            uid,
            version,
            holder: holder.to_owned(),
            duration,
        },
    )
}

/// A list, not necessarily one that a server would give: objects out of scope, twice, or newer than the list.
pub(crate) fn listed<T: std::fmt::Debug>(item: impl Strategy<Value = T>) -> impl Strategy<Value = Listed<T>> {
    (vec(item, 0..4), version()).prop_map(|(items, version)| Listed { items, version })
}

pub(crate) fn workflow_look() -> impl Strategy<Value = Look> {
    select([Look::Attention, Look::Stopping, Look::AuditWorkflows].to_vec())
}

pub(crate) fn pod_look() -> impl Strategy<Value = Look> {
    select([Look::Finished, Look::AuditPods].to_vec())
}

pub(crate) fn failure() -> impl Strategy<Value = Failure> {
    prop_oneof![
        Just(Failure::Conflict),
        Just(Failure::NotFound),
        option::of(select([Duration::ZERO, Duration::from_secs(30)].to_vec()))
            .prop_map(|after| Failure::NotDone { error: "busy".to_owned(), after }),
        Just(Failure::Unknown { error: "reset".to_owned() }),
        (text(), text()).prop_map(|(reason, message)| Failure::Refused { reason, message }),
        Just(Failure::Quota { message: "exceeded quota".to_owned() }),
        Just(Failure::NotYet { message: "error looking up service account".to_owned() }),
        Just(Failure::Denied { message: "forbidden".to_owned() }),
    ]
}

pub(crate) fn read_document() -> impl Strategy<Value = Result<Arc<Document>, Vec<Fault>>> {
    let fault = text().prop_map(|message| Fault { path: "stages[0]".to_owned(), message });
    prop_oneof![4 => Just(Ok(document())), 1 => vec(fault, 0..3).prop_map(Err)]
}
