//! Properties of the decision core, whatever is thrown at it: evidence in any order, people who meddle, faults at random.

use crate::world::{Act, DOCUMENT, SECOND, World, evicted, exits, publish_fault, scripted};
use jiff::Timestamp;
use operator_engine::{
    plan::{
        Now, Policy, Target, Verdict, View,
        end::End,
        look::Look,
        plan,
        seen::{Listed, PodSeen, Progress, Uid, Version, VolumeSeen, Waiting, WaitingCause, WorkflowSeen},
        transition::claimed,
        view::OwnLease,
    },
    sandbox::faults::Fault,
    workflow::{Document, Outcome, Record, Stage, State, record::Holder},
};
use proptest::prelude::*;
use std::{collections::BTreeSet, time::Duration};

fn me() -> Holder {
    Holder { lease: "engine".to_owned(), identity: "engine-1".to_owned() }
}

fn at(seconds: u64) -> Now {
    Now { mono: Duration::from_secs(seconds), wall: Timestamp::from_second(seconds.try_into().unwrap()).unwrap() }
}

/// A record somewhere on its way, of this engine or another.
fn record() -> impl Strategy<Value = Record> {
    let digest = Document::parse(DOCUMENT).unwrap().sha256;
    (0..5_usize, 0..3_u32, any::<bool>(), 0..3_u8).prop_map(move |(phase, attempt, mine, stopreq)| {
        let mut holder = me();
        if !mine {
            holder.lease = "other".to_owned();
        }
        let mut record = claimed(&holder, digest, Timestamp::UNIX_EPOCH);
        record.phase = Stage::ALL.get(phase).map_or(operator_engine::workflow::Phase::Done, |stage| (*stage).into());
        (record.attempt, record.stopreq) = (attempt, stopreq);
        if phase == Stage::ALL.len() {
            record.outcome = Some(Outcome::Failed);
        }
        record
    })
}

fn status() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        Just(None),
        "\\PC{0,40}".prop_map(Some),
        record().prop_map(|record| Some(record.render())),
        record().prop_map(|record| Some(record.render())),
    ]
}

fn workflow() -> impl Strategy<Value = WorkflowSeen> {
    let state = prop_oneof![
        Just(None),
        Just(Some(State::Pending)),
        Just(Some(State::Active)),
        Just(Some(State::Stopping)),
        Just(Some(State::Done)),
    ];
    (0..3_u8, 0..2_u8, 1..40_u64, state, status(), any::<bool>()).prop_map(
        |(name, uid, version, state, status, deleting)| WorkflowSeen {
            name: format!("wf-{name}"),
            uid: Uid(format!("uid-{name}-{uid}")),
            version: Version(version),
            created: Timestamp::UNIX_EPOCH,
            state,
            status,
            deleting,
        },
    )
}

fn progress() -> impl Strategy<Value = Progress> {
    let cause = prop_oneof![
        Just(WaitingCause::Starting),
        Just(WaitingCause::Unschedulable),
        Just(WaitingCause::Image),
        Just(WaitingCause::Volume)
    ];
    prop_oneof![
        cause.prop_map(|cause| Progress::Waiting(Waiting { cause, message: "x".to_owned() })),
        Just(Progress::Running),
        (prop::option::of(-1..300_i32), prop::option::of("\\PC{0,9}"), any::<bool>(), "\\PC{0,30}").prop_map(
            |(exit_code, reason, disrupted, message)| Progress::Ended(End { exit_code, reason, disrupted, message })
        ),
    ]
}

fn pod() -> impl Strategy<Value = PodSeen> {
    (0..4_u8, 0..2_u8, 0..4_usize, 0..3_u32, 1..40_u64, any::<bool>(), progress()).prop_map(
        |(name, uid, stage, attempt, version, deleting, progress)| PodSeen {
            name: format!("wf-{name}-{}-{attempt}", Stage::ALL[stage]),
            uid: Uid(format!("pod-{stage}-{attempt}-{uid}")),
            version: Version(version),
            workflow: format!("wf-{name}"),
            owner: Some(Uid(format!("uid-{name}-{uid}"))),
            deleting,
            progress,
        },
    )
}

/// A piece of evidence.
#[derive(Debug, Clone)]
enum Evidence {
    Workflows(Look, Listed<WorkflowSeen>),
    Pods(Look, Listed<PodSeen>),
    Volumes(Listed<VolumeSeen>),
    PodRead(String, String, Option<PodSeen>),
}

fn evidence() -> impl Strategy<Value = Evidence> {
    let version = || (40..80_u64).prop_map(Version);
    let looks = prop_oneof![Just(Look::Attention), Just(Look::Stopping), Just(Look::AuditWorkflows)];
    let pod_looks = prop_oneof![Just(Look::Finished), Just(Look::AuditPods)];
    let volume = (0..4_u8, 0..2_u8).prop_map(|(name, uid)| VolumeSeen {
        workflow: format!("wf-{name}"),
        uid: Uid(format!("volume-{name}")),
        version: Version(1),
        owner: Some(Uid(format!("uid-{name}-{uid}"))),
    });
    prop_oneof![
        (looks, prop::collection::vec(workflow(), 0..4), version())
            .prop_map(|(look, items, version)| Evidence::Workflows(look, Listed { items, version })),
        (pod_looks, prop::collection::vec(pod(), 0..6), version())
            .prop_map(|(look, items, version)| Evidence::Pods(look, Listed { items, version })),
        (prop::collection::vec(volume, 0..3), version())
            .prop_map(|(items, version)| Evidence::Volumes(Listed { items, version })),
        (pod(), any::<bool>()).prop_map(|(pod, there)| Evidence::PodRead(
            pod.workflow.clone(),
            pod.name.clone(),
            there.then_some(pod)
        )),
    ]
}

fn add(view: &mut View, evidence: Evidence, now: Now) {
    match evidence {
        Evidence::Workflows(look, list) => view.workflows_listed(look, list, now),
        Evidence::Pods(look, list) => view.pods_listed(look, list, now),
        Evidence::Volumes(list) => view.volumes_listed(list),
        Evidence::PodRead(workflow, name, pod) => view.pod_read(&workflow, &name, pod, now),
    }
}

/// A view that may write and has been told `all`.
fn view_of(all: Vec<Evidence>) -> View {
    let mut view = View::new(me());
    let lease = operator_engine::plan::seen::LeaseSeen {
        name: "engine".to_owned(),
        uid: Uid("lease".to_owned()),
        version: Version(1),
        holder: "engine-1".to_owned(),
        duration: Duration::from_secs(15),
    };
    view.own_lease = OwnLease::Held { seen: lease, since: Duration::from_secs(100) };
    for look in [Look::AuditWorkflows, Look::AuditPods, Look::AuditVolumes, Look::Leases] {
        view.looks.answered.insert(look, Duration::ZERO);
    }
    for (second, evidence) in (0..).zip(all) {
        add(&mut view, evidence, at(second));
    }
    view
}

/// What the view says, without when it heard of it.
fn said(view: &View) -> String {
    let tell = |(name, tracked): (&String, &operator_engine::plan::view::Tracked)| {
        format!(
            "{name} {:?} {:?} {:?}",
            tracked.seen,
            tracked.record,
            tracked.pods.values().map(|pod| &pod.seen).collect::<Vec<_>>()
        )
    };
    view.workflows.iter().map(tell).collect::<Vec<_>>().join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Every workflow in view has a verdict; nothing is done twice at once; and without a Lease nothing is written.
    #[test]
    fn any_evidence_gives_a_plan(all in prop::collection::vec(evidence(), 0..12), held in any::<bool>(), max_jobs in 0..3_u32) {
        let mut view = view_of(all);
        if !held {
            view.own_lease = OwnLease::Absent;
        }
        let policy = Policy { max_jobs, filter_image: Some("filter".to_owned()), ..Policy::default() };
        let plan = plan(&view, &policy, at(101));
        prop_assert!(view.workflows.keys().eq(plan.verdicts.keys()));
        let targets: BTreeSet<_> = plan.actions.iter().map(|action| action.target.clone()).collect();
        prop_assert_eq!(targets.len(), plan.actions.len());
        prop_assert!(!plan.verdicts.values().any(|verdict| matches!(verdict, Verdict::Quarantined(_))));
        for action in &plan.actions {
            let reads = action.intent.name().starts_with("read-");
            prop_assert!(held || reads || action.target == Target::OwnLease, "{action:?}");
        }
    }

    /// The same evidence once more changes nothing, nor does what is older than what was seen.
    #[test]
    fn what_was_seen_before_changes_nothing(seen in prop::collection::vec(workflow(), 1..10), pods in prop::collection::vec(pod(), 0..10)) {
        let mut view = view_of(Vec::new());
        let mut newest = std::collections::BTreeMap::<String, Version>::new();
        for seen in &seen {
            let known = newest.entry(seen.name.clone()).or_default();
            // Two versions of one object are never the same.
            if seen.version > *known {
                *known = seen.version;
                view.see_workflow(seen.clone(), at(1));
            }
        }
        for pod in &pods {
            view.see_pod(pod.clone(), at(2));
        }
        let before = said(&view);
        for seen in &seen {
            if seen.version < newest[&seen.name] {
                view.see_workflow(seen.clone(), at(3));
            }
        }
        prop_assert_eq!(said(&view), before);
    }

    /// Of one object the newest version counts, in whatever order its versions come.
    #[test]
    fn evidence_may_come_in_any_order(progresses in prop::collection::vec(progress(), 1..8).prop_flat_map(|all| {
        let numbered: Vec<_> = all.into_iter().zip(1_u64..).collect();
        (Just(numbered.clone()), Just(numbered).prop_shuffle())
    })) {
        let (in_order, shuffled) = progresses;
        let owner = WorkflowSeen {
            name: "wf-0".to_owned(), uid: Uid("uid".to_owned()), version: Version(1), created: Timestamp::UNIX_EPOCH,
            state: Some(State::Active), status: None, deleting: false,
        };
        let told = |order: &[(Progress, u64)]| {
            let mut view = view_of(Vec::new());
            view.see_workflow(owner.clone(), at(0));
            for (progress, version) in order {
                view.see_pod(PodSeen {
                    name: "wf-0-configure-0".to_owned(), uid: Uid("pod".to_owned()), version: Version(*version),
                    workflow: "wf-0".to_owned(), owner: Some(Uid("uid".to_owned())), deleting: false,
                    progress: progress.clone(),
                }, at(1));
            }
            said(&view)
        };
        prop_assert_eq!(told(&in_order), told(&shuffled));
    }
}

/// A small generator. Runs of one seed differ in what tokio picks among things that are ready at the same moment.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// Five minutes of two engines, faults at random and a person who meddles; then peace, in which everything must come to an
/// end and the judge must have nothing to say.
#[tokio::test(start_paused = true)]
async fn whatever_happens_everything_ends_and_no_rule_is_broken() {
    for seed in 0..60_u64 {
        let mut dice = Dice(seed * 77_777 + 1);
        let world = scripted(move |job, stage, attempt| {
            let mut dice = Dice(seed ^ job.len() as u64 ^ (u64::from(attempt) << 8) ^ ((stage as u64) << 16));
            dice.below(2);
            match dice.below(12) {
                0 => Act::End(SECOND, evicted()),
                1 => Act::End(SECOND, exits(3)),
                2 if stage == Stage::Publish => Act::End(SECOND, publish_fault(true)),
                // Not for a node: asked to end, such a pod goes, and a successor makes it again; it never ran.
                3 => Act::Wait(WaitingCause::Image, "not found"),
                4 => Act::Succeed(Duration::from_secs(20)),
                _ => Act::Succeed(SECOND),
            }
        });
        let stormy = tokio::time::timeout(Duration::from_mins(5), async {
            tokio::join!(storm(&world, "a", seed), storm(&world, "b", seed + 1_000), meddle(&world, &mut dice))
        });
        assert!(stormy.await.is_err());
        let calm = world.live(world.life("calm", "calm-1", |_| Fault::None)).await;
        assert!(calm, "seed {seed}");
        let broken = world.sandbox.history().violations();
        assert!(broken.is_empty(), "seed {seed}: {broken:#?}");
    }
}

/// An engine that is killed now and then, behind faults.
async fn storm(world: &World, name: &str, seed: u64) {
    for life in 0.. {
        let dice = std::sync::Mutex::new(Dice(seed * 31 + life));
        let life = world.life(&format!("engine-{name}-{}", life / 2), &format!("engine-{name}-{life}"), move |_| {
            match dice.lock().unwrap().below(120) {
                0..3 => Fault::NotSent,
                3..6 => Fault::AnswerLost,
                6..8 => Fault::Conflict,
                8 => Fault::KilledBefore,
                9 => Fault::KilledAfter,
                10 => Fault::Hangs,
                11 => Fault::Panics,
                _ => Fault::None,
            }
        });
        let killed = life.cluster.killed.clone();
        let engine = world.engine(life.me, life.cluster);
        let mut nothing = |_: &_, _: &_| {};
        let run = engine.run(tokio_util::sync::CancellationToken::new(), &mut nothing);
        tokio::select! { _ = run => {}, () = killed.cancelled() => {} }
    }
}

/// A person who registers, stops and deletes. No pods: of one deleted while nobody looks, no successor can know.
async fn meddle(world: &World, dice: &mut Dice) {
    for n in 0.. {
        tokio::time::sleep(Duration::from_millis(dice.below(6_000))).await;
        let name = format!("wf-{}", "x".repeat(usize::try_from(dice.below(8)).unwrap()) + "y");
        if n < 12 && world.sandbox.workflow(&name).is_none() {
            world.submit(&name);
        }
        match dice.below(10) {
            0 => drop(world.sandbox.delete(&name)),
            1 => {
                if world.sandbox.workflow(&name).is_some_and(|seen| seen.state != Some(State::Done)) {
                    world.sandbox.label(&name, State::Stopping);
                }
            }
            2 => drop(world.sandbox.delete_lease_by_name("engine-a-0")),
            _ => {}
        }
    }
}
