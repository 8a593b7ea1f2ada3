//! Whatever was seen and answered, in whatever order: the plan has a verdict for everything and breaks no rule.

use crate::evidence::{
    at, document, failure, lease, listed, me, pod, pod_look, policy, read_document, volume, wall, workflow,
    workflow_look,
};
use jiff::SignedDuration;
use operator_engine::{
    plan::{
        Action, Answer, Failure, Intent, Now, Plan, Policy, Target, View,
        action::{Write, WriteStep},
        cadence, kind,
        look::Look,
        plan,
        seen::{
            LeaseSeen, Leaving, Listed, Owner, PodSeen, Uid, Version, VolumeSeen, WorkflowSeen, is_pod_of, pod_name,
        },
        standing::Standing,
        view::{Ending, OwnLease, Tracked},
    },
    workflow::{Document, JobId, Phase, State, document::Fault, record::MAX_LEN},
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::Index,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// Something that happens to a view.
#[derive(Debug, Clone)]
enum Event {
    Workflows(Look, Listed<WorkflowSeen>),
    Workflow(WorkflowSeen),
    /// A workflow is seen as it is now, newer than anything before.
    Change(WorkflowSeen),
    Pods(Look, Listed<PodSeen>),
    Volumes(Listed<VolumeSeen>),
    Leases(Listed<LeaseSeen>),
    LookFailed(Look),
    /// Time passes; the wall clock may go anywhere.
    Time(Duration, i64),
    /// An action of the plan is begun and, unless it hangs, answered.
    Act(Index, Outcome),
    Forget,
}

#[derive(Debug, Clone)]
enum Outcome {
    /// As a cluster would, with what it would find.
    Fair(Box<Found>),
    /// With something else.
    Workflow(Option<WorkflowSeen>),
    Failed(Failure),
    Panicked,
    Hangs,
}

/// What a fair answer brings.
#[derive(Debug, Clone)]
struct Found {
    workflow: WorkflowSeen,
    document: Result<Arc<Document>, Vec<Fault>>,
    pod: PodSeen,
    gone: bool,
}

fn found() -> BoxedStrategy<Found> {
    (workflow(), read_document(), pod(), prop::bool::weighted(0.3))
        .prop_map(|(workflow, document, pod, gone)| Found { workflow, document, pod, gone })
        .boxed()
}

fn event() -> BoxedStrategy<Event> {
    let outcome = prop_oneof![
        10 => found().prop_map(|found| Outcome::Fair(Box::new(found))),
        1 => prop::option::of(workflow()).prop_map(Outcome::Workflow),
        2 => failure().prop_map(Outcome::Failed),
        1 => Just(Outcome::Panicked),
        1 => Just(Outcome::Hangs),
    ];
    prop_oneof![
        3 => (workflow_look(), listed(workflow())).prop_map(|(look, list)| Event::Workflows(look, list)),
        1 => workflow().prop_map(Event::Workflow),
        4 => workflow().prop_map(Event::Change),
        3 => workflow().prop_map(|seen| Event::Change(WorkflowSeen {
            state: Some(State::Pending),
            status: None,
            deleting: false,
            ..seen
        })),
        3 => (pod_look(), listed(pod())).prop_map(|(look, list)| Event::Pods(look, list)),
        1 => listed(volume()).prop_map(Event::Volumes),
        1 => listed(lease()).prop_map(Event::Leases),
        1 => workflow_look().prop_map(Event::LookFailed),
        3 => (0u64..20_000, -1000i64..1000).prop_map(|(ms, jump)| Event::Time(Duration::from_millis(ms), jump)),
        1 => (20u64..200).prop_map(|seconds| Event::Time(Duration::from_secs(seconds), 0)),
        14 => (any::<Index>(), outcome).prop_map(|(index, outcome)| Event::Act(index, outcome)),
        1 => Just(Event::Forget),
    ]
    .boxed()
}

/// A view, the time, and what was seen of writes.
struct World {
    view: View,
    now: Now,
    policy: Policy,
}

impl World {
    /// A process that holds its Lease and has seen everything once: nothing.
    fn audited(policy: Policy) -> Self {
        let mut view = View::new(me());
        let now = at(Duration::from_secs(100));
        view.own_lease = held(now.mono);
        for look in [Look::AuditWorkflows, Look::AuditPods, Look::AuditVolumes, Look::Leases] {
            view.look_begun(look, now);
        }
        view.workflows_listed(Look::AuditWorkflows, Listed { items: vec![], version: Version(0) }, now);
        view.pods_listed(Look::AuditPods, Listed { items: vec![], version: Version(0) }, now);
        view.volumes_listed(Listed { items: vec![], version: Version(0) });
        view.leases_listed(Listed { items: vec![], version: Version(0) }, now);
        Self { view, now, policy }
    }

    fn begin(&mut self, look: Look) {
        self.view.look_begun(look, self.now);
    }

    fn happen(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Workflows(look, list) => {
                self.begin(look);
                self.view.workflows_listed(look, list, now);
            }
            Event::Workflow(seen) => self.view.see_workflow(seen, now),
            Event::Change(seen) => {
                let old = self.view.workflows.get(&seen.name).and_then(|tracked| tracked.seen.as_ref());
                let version = Version(old.map_or(0, |old| old.version.0) + 1);
                self.view.see_workflow(WorkflowSeen { version, ..seen }, now);
            }
            Event::Pods(look, list) => {
                self.begin(look);
                self.view.pods_listed(look, list, now);
            }
            Event::Volumes(list) => {
                self.begin(Look::AuditVolumes);
                self.view.volumes_listed(list);
            }
            Event::Leases(list) => {
                self.begin(Look::Leases);
                self.view.leases_listed(list, now);
            }
            Event::LookFailed(look) => {
                self.begin(look);
                self.view.look_failed(look, None, &self.policy, now);
            }
            Event::Time(pass, jump) => {
                self.now.mono += pass;
                self.now.wall += SignedDuration::from_secs(jump);
            }
            Event::Act(index, outcome) => {
                let actions = plan(&self.view, &self.policy, now).actions;
                if actions.is_empty() {
                    return;
                }
                let action = index.get(&actions).clone();
                self.view.action_begun(&action);
                let result = match outcome {
                    Outcome::Hangs => return,
                    Outcome::Panicked => return self.view.action_panicked(&action, "panic".to_owned()),
                    Outcome::Failed(failure) => Err(failure),
                    Outcome::Workflow(workflow) => Ok(Answer::Workflow(workflow)),
                    Outcome::Fair(found) => Ok(fair(&action, *found, &self.view)),
                };
                self.view.action_ended(&action, result, now.mono, &self.policy, now);
            }
            Event::Forget => self.view.forget(),
        }
    }
}

fn held(since: Duration) -> OwnLease {
    let (name, holder) = (me().lease, me().identity);
    let duration = Duration::from_secs(15);
    OwnLease::Held {
        seen: LeaseSeen { name, uid: Uid("lease".to_owned()), version: Version(1), holder, duration },
        since,
    }
}

/// What a cluster would answer.
fn fair(action: &Action, found: Found, view: &View) -> Answer {
    let name = if let Target::Workflow(name) = &action.target { name.as_str() } else { "" };
    let workflow = WorkflowSeen { name: name.to_owned(), ..found.workflow };
    match &action.intent {
        Intent::TakeLease { .. } | Intent::RenewLease(_) => {
            let OwnLease::Held { seen, .. } = held(Duration::ZERO) else { unreachable!() };
            let version = if let OwnLease::Held { seen, .. } = &view.own_lease { seen.version.0 } else { 0 };
            Answer::Lease(LeaseSeen { version: Version(version + 1), ..seen })
        }
        Intent::ReadWorkflow => Answer::Workflow((!found.gone).then_some(workflow)),
        Intent::ReadDocument if found.gone => Answer::Document(None),
        Intent::ReadDocument => {
            let seen = view.workflows.get(name).and_then(|tracked| tracked.seen.clone());
            Answer::Document(Some((seen.unwrap_or(workflow), found.document)))
        }
        Intent::FindNamesake => {
            let name = kind::namesake(name);
            Answer::Namesake((!found.gone).then_some(WorkflowSeen { name, ..workflow }))
        }
        Intent::Write(write) => {
            let seen = view.workflows[name].seen.clone().unwrap();
            let status = Some(write.record.render());
            Answer::Workflow(Some(WorkflowSeen {
                version: Version(write.version.0 + 1),
                state: Some(write.state),
                status,
                ..seen
            }))
        }
        Intent::CreateVolume { job, owner, .. } => Answer::Volume(VolumeSeen {
            workflow: job.to_string(),
            uid: Uid("volume".to_owned()),
            version: Version(1),
            owner: Some(owner.clone()),
        }),
        Intent::CreatePod(spec) => {
            let owner = if found.gone { found.pod.owner } else { Some(spec.owner.clone()) };
            Answer::Pod(PodSeen { name: spec.name(), workflow: spec.job.to_string(), owner, ..found.pod })
        }
        Intent::ReadPod { name: pod } => {
            let pod = PodSeen { name: pod.clone(), workflow: name.to_owned(), ..found.pod };
            Answer::PodRead((!found.gone).then_some(pod))
        }
        Intent::EndPod { .. } => Answer::Leaving(if found.gone { Leaving::Deleted } else { Leaving::Asked }),
        Intent::DeletePods { .. } | Intent::DeleteVolumes(_) | Intent::DeleteLease(_) => Answer::Done,
    }
}

/// The rules of every plan.
fn check(view: &View, policy: &Policy, now: Now, plan: &Plan) -> Result<(), TestCaseError> {
    let named: BTreeSet<_> = view.workflows.keys().collect();
    prop_assert_eq!(named, plan.verdicts.keys().collect(), "a verdict for every workflow in view, and no other");
    let mut targets = BTreeSet::new();
    let may_write = view.may_write(policy, now);
    let mut claims = 0;
    for action in &plan.actions {
        prop_assert!(targets.insert(&action.target), "two actions on {:?}", action.target);
        let reads = matches!(
            action.intent,
            Intent::ReadWorkflow
                | Intent::ReadDocument
                | Intent::ReadPod { .. }
                | Intent::TakeLease { .. }
                | Intent::RenewLease(_)
        );
        prop_assert!(reads || may_write, "{:?} without a safe lease", action);
        match &action.target {
            Target::OwnLease => prop_assert!(!view.own_lease_busy),
            Target::Pods => prop_assert!(!view.cleaning.pods),
            Target::Volumes => prop_assert!(!view.cleaning.volumes),
            Target::DeadLeases => prop_assert!(!view.cleaning.leases),
            Target::Workflow(name) => {
                let tracked = &view.workflows[name];
                prop_assert!(tracked.busy.is_none(), "{:?} while {:?} is under way", action, tracked.busy);
                let trouble = tracked.trouble.as_ref().is_some_and(|trouble| trouble.until > now.mono);
                prop_assert!(!trouble, "{:?} before the pause is over", action);
                check_step(view, name, tracked, &action.intent)?;
                claims += usize::from(matches!(&action.intent, Intent::Write(write) if write.step == WriteStep::Claim));
            }
        }
        check_batch(view, now, &action.intent)?;
        if let Intent::DeleteLease(lease) = &action.intent {
            let used = view.workflows.values().filter_map(|tracked| running(tracked.standing()));
            prop_assert!(used.into_iter().all(|record| record.holder.lease != lease.name));
            prop_assert!(lease.name != view.me.lease);
        }
    }
    let claiming = view.workflows.values().filter(|tracked| tracked.busy == Some("claim") && pending(tracked)).count();
    let max = policy.max_jobs as usize;
    prop_assert!(
        claims == 0 || view.running() + claiming + claims <= max,
        "{} + {claiming} + {claims}",
        view.running()
    );
    Ok(())
}

fn pending(tracked: &Tracked) -> bool {
    matches!(tracked.standing(), Standing::Pending)
}

fn running(standing: Standing<'_>) -> Option<&operator_engine::workflow::Record> {
    if let Standing::Running(record) = standing { Some(record) } else { None }
}

/// The rules of an action on one workflow.
fn check_step(view: &View, name: &str, tracked: &Tracked, intent: &Intent) -> Result<(), TestCaseError> {
    let job = || name.parse::<JobId>().unwrap();
    let mine = running(tracked.standing()).filter(|record| view.is_mine(record));
    let deleting = tracked.seen.as_ref().is_some_and(|seen| seen.deleting);
    match intent {
        Intent::Write(write) => check_write(view, tracked, write)?,
        Intent::CreatePod(spec) => {
            let record = mine.expect("a pod is made for a running workflow of this engine's");
            prop_assert_eq!((record.phase, record.attempt), (Phase::from(spec.stage), spec.attempt));
            prop_assert_eq!((spec.job.clone(), Some(&spec.owner)), (job(), tracked.uid()));
            prop_assert!(tracked.intended_pod(&job(), record).is_none_or(|pod| pod.seen.is_none()));
            let read = tracked.document.as_ref().and_then(|read| read.as_ref().ok());
            // What is published is decided already: of an edited document it needs no more than the image's name.
            let claimed = read.map(|document| document.sha256) == Some(record.document);
            prop_assert!(claimed || record.phase == Phase::Publish, "{:?} of another document", record.phase);
        }
        Intent::CreateVolume { job: of, owner, .. } => {
            prop_assert!(mine.is_some());
            prop_assert_eq!((of, Some(owner)), (&job(), tracked.uid()));
        }
        Intent::EndPod { name: pod, uid, .. } => {
            let record = mine.expect("a pod is ended by its workflow's holder");
            let intended = pod_name(&job(), record.round, record.phase.stage().unwrap(), record.attempt);
            prop_assert_eq!(pod, &intended);
            let seen = tracked.pods[pod].seen.as_ref();
            prop_assert_eq!(seen.map(|seen| &seen.uid), Some(uid));
            prop_assert!(
                record.phase != Phase::Publish
                    || !matches!(seen.unwrap().progress, operator_engine::plan::seen::Progress::Running)
            );
        }
        Intent::ReadPod { name: pod } => {
            // One that was seen, or the intended one before the stage ends without it.
            let record = mine.expect("a pod is read for its workflow's holder");
            let intended = record.phase.stage().map(|stage| pod_name(&job(), record.round, stage, record.attempt));
            prop_assert!(tracked.pods.contains_key(pod) || Some(pod) == intended.as_ref());
        }
        Intent::ReadWorkflow | Intent::ReadDocument => {}
        other => prop_assert!(false, "{:?} is not about one workflow", other),
    }
    let reads = matches!(intent, Intent::ReadWorkflow | Intent::ReadDocument | Intent::ReadPod { .. });
    prop_assert!(reads || !deleting, "{:?} for a workflow that is being deleted", intent);
    Ok(())
}

fn check_write(view: &View, tracked: &Tracked, write: &Write) -> Result<(), TestCaseError> {
    let seen = tracked.seen.as_ref().expect("what is written was seen");
    prop_assert!(!tracked.stale, "nothing is written on what may be outdated");
    prop_assert_eq!((&write.uid, write.version), (&seen.uid, seen.version));
    prop_assert!(write.record.render().len() <= MAX_LEN, "{} bytes", write.record.render().len());
    prop_assert_eq!(write.state == State::Done, write.record.phase == Phase::Done, "the label follows the record");
    // A takeover leaves a label that nobody has acted upon.
    let kept =
        write.step == WriteStep::Takeover && tracked.is_labelled(State::Stopping) && write.state == State::Stopping;
    prop_assert!(kept || write.state == State::Done || write.state == State::Active);
    prop_assert!(write.record.phase != Phase::Done || write.record.outcome.is_some() || done(tracked));
    if let Standing::Done(record) = tracked.standing() {
        prop_assert_eq!(&write.record, record, "the end is final");
        return Ok(());
    }
    prop_assert_eq!(&write.record.holder, &view.me);
    match (tracked.standing(), write.step) {
        (Standing::Pending, WriteStep::Claim) => {
            prop_assert_eq!((write.record.phase, write.record.attempt), (Phase::Configure, 0));
        }
        (Standing::Pending | Standing::StoppedUnclaimed | Standing::Broken(_), WriteStep::Finish) => {}
        (Standing::Running(record), WriteStep::Takeover) => {
            prop_assert!(!view.is_mine(record));
            prop_assert_eq!((write.record.phase, write.record.attempt), (record.phase, record.attempt));
        }
        (Standing::Running(record), WriteStep::Retry) => {
            prop_assert!(view.is_mine(record));
            prop_assert_eq!((write.record.phase, write.record.attempt), (record.phase, record.attempt + 1));
        }
        (Standing::Running(record), WriteStep::Transition) => {
            prop_assert!(view.is_mine(record));
            prop_assert!(write.record.phase > record.phase && write.record.attempt == 0);
        }
        // One that is given up because it does not fit may be anybody's whose engine is dead.
        (Standing::Running(_), WriteStep::Finish) => prop_assert_eq!(write.record.phase, Phase::Done),
        (standing, step) => prop_assert!(false, "{:?} of {:?}", step, standing),
    }
    prop_assert!(!tracked.stop_requested() || write.record.stopreq == 1 || write.record.phase == Phase::Done);
    if let (Some(record), Ok(job)) = (running(tracked.standing()), seen.name.parse()) {
        let pod = tracked.intended_pod(&job, record);
        let ended_for_stop = pod.is_some_and(|pod| pod.ending == Some(Ending::Stop));
        let forgotten = ended_for_stop && write.step != WriteStep::Takeover && write.record.stopreq != 1;
        prop_assert!(!forgotten || write.record.phase == Phase::Done, "{:?}", write.record);
    }
    Ok(())
}

fn done(tracked: &Tracked) -> bool {
    matches!(tracked.standing(), Standing::Done(_))
}

fn check_batch(view: &View, now: Now, intent: &Intent) -> Result<(), TestCaseError> {
    let (stage, owners) = match intent {
        Intent::DeletePods { stage, owners } => (*stage, owners),
        Intent::DeleteVolumes(owners) => (None, owners),
        _ => return Ok(()),
    };
    prop_assert!(!owners.is_empty());
    prop_assert_eq!(owners.iter().collect::<BTreeSet<_>>().len(), owners.len());
    let mut objects = 0;
    for Owner { job, uid } in owners {
        let tracked = &view.workflows[job.as_str()];
        prop_assert_eq!(tracked.uid(), Some(uid));
        prop_assert!(!tracked.stale, "what is deleted is known: {:?}", tracked);
        let trouble = tracked.trouble.as_ref().is_some_and(|trouble| trouble.until > now.mono);
        prop_assert!(!trouble, "{:?} before the pause is over", intent);
        let Some(stage) = stage else {
            prop_assert!(done(tracked) && tracked.busy.is_none(), "{}: {:?}", job, tracked);
            prop_assert!(matches!(intent, Intent::DeletePods { .. }) || tracked.pods.is_empty(), "pods go first");
            objects += tracked.pods.len();
            continue;
        };
        let record = running(tracked.standing()).expect("a stage goes early only of what runs");
        prop_assert!(view.is_mine(record) && record.phase > Phase::from(stage), "{:?} in {:?}", stage, record.phase);
        for (name, pod) in tracked.pods.iter().filter(|(name, _)| is_pod_of(name, job, stage)) {
            prop_assert!(pod.intended && !pod.uncertain && pod.is_over(), "{} may be asked for, or runs", name);
            objects += 1;
        }
    }
    prop_assert!(owners.len() == 1 || objects <= 50, "{objects} objects in one deletion");
    Ok(())
}

/// What holds between one view and a later one.
fn check_memory(before: &BTreeMap<String, Tracked>, after: &View) -> Result<(), TestCaseError> {
    for (name, old) in before {
        let Some(new) = after.workflows.get(name) else { continue };
        let (Some(old), Some(new)) = (&old.seen, &new.seen) else { continue };
        prop_assert!(new.version >= old.version, "{name} went back from {:?} to {:?}", old.version, new.version);
    }
    for tracked in after.workflows.values() {
        let held_by_another = running(tracked.standing()).is_some_and(|record| !after.is_mine(record));
        let intended = tracked.pods.values().any(|pod| pod.intended);
        prop_assert!(!(held_by_another && intended), "the break in holding {:?} is forgotten", tracked.seen);
        let owner = |pod: &operator_engine::plan::view::PodTrack| {
            pod.seen.as_ref().is_none_or(|pod| tracked.uid().is_none_or(|uid| pod.owner.as_ref() == Some(uid)))
        };
        prop_assert!(tracked.pods.values().all(|pod| owner(pod)), "another workflow's pod: {:?}", tracked);
    }
    Ok(())
}

proptest! {
    #![proptest_config(Config { cases: 300, failure_persistence: None, ..Config::default() })]

    #[test]
    fn no_evidence_makes_a_plan_break_a_rule(
        policy in policy(),
        from_nothing in prop::bool::weighted(0.1),
        events in vec(event(), 1..40),
    ) {
        let mut world = World::audited(policy);
        if from_nothing {
            world.view = View::new(me());
        }
        for event in events {
            let before = world.view.workflows.clone();
            world.happen(event);
            check_memory(&before, &world.view)?;
            let World { view, now, policy } = &world;
            let planned = plan(view, policy, *now);
            check(view, policy, *now, &planned)?;
            for (name, verdict) in &planned.verdicts {
                if let operator_engine::plan::Verdict::Quarantined(panic) = verdict {
                    prop_assert_eq!(panic.as_str(), "panic", "the decision about {} panicked", name);
                }
            }
            let again = plan(view, policy, *now);
            prop_assert_eq!((&planned.actions, &planned.verdicts, planned.wake), (&again.actions, &again.verdicts, again.wake));
            let (_, next) = cadence::due(&cadence::wanted(view, policy, *now), &view.looks, *now);
            prop_assert!(next.is_none_or(|next| next > now.mono));
            // The lease is kept, so that there is something to plan. Renewals are checked above.
            if let OwnLease::Held { since, .. } = &mut world.view.own_lease {
                *since = world.now.mono;
            }
        }
    }

    #[test]
    fn a_lease_that_may_run_out_stops_every_write(events in vec(event(), 1..30), policy in policy(), late in 0u64..30) {
        let mut world = World::audited(policy);
        for event in events {
            world.happen(event);
        }
        world.view.own_lease = held(world.now.mono);
        world.now.mono += Duration::from_secs(late);
        let World { view, now, policy } = &world;
        let safe = Duration::from_secs(late) + policy.request_timeout < policy.lease.duration;
        prop_assert_eq!(view.may_write(policy, *now), safe);
        check(view, policy, *now, &plan(view, policy, *now))?;
    }
}

#[test]
fn the_evidence_leads_to_every_kind_of_action() {
    let mut runner = TestRunner::deterministic();
    let mut reached = BTreeSet::new();
    for _ in 0..900 {
        let (policy, events) = (policy(), vec(event(), 40)).new_tree(&mut runner).unwrap().current();
        let mut world = World::audited(policy);
        for event in events {
            world.happen(event);
            reached
                .extend(plan(&world.view, &world.policy, world.now).actions.iter().map(|action| action.intent.name()));
        }
    }
    let all = "claim takeover transition retry finish create-volume create-pod read-pod end-pod read-workflow \
               read-document delete-pods delete-volumes delete-lease renew-lease";
    let missing: Vec<_> = all.split_whitespace().filter(|name| !reached.contains(name)).collect();
    assert!(missing.is_empty(), "never planned: {missing:?}");
}

#[test]
fn a_retry_waits_for_no_clock_that_was_set_back() {
    let mut world = World::audited(Policy { max_jobs: 1, ..Policy::default() });
    let mut record = operator_engine::plan::transition::claimed(&me(), document().sha256, wall(0));
    // Written an hour ahead of now, as the clock says now.
    record.not_before = Some(wall(3600));
    let seen = WorkflowSeen {
        name: "wf".to_owned(),
        uid: Uid("uid-1".to_owned()),
        version: Version(1),
        created: wall(0),
        state: Some(State::Active),
        status: Some(record.render()),
        deleting: false,
        order: Default::default(),
    };
    world.view.see_workflow(seen, world.now);
    world.view.workflows.get_mut("wf").unwrap().document = Some(Ok(document()));
    let planned = plan(&world.view, &world.policy, world.now);
    let started = planned.actions.iter().any(|action| matches!(action.intent, Intent::CreateVolume { .. }));
    assert!(started, "no pause is longer than five minutes: {:?}", planned.verdicts);
}
