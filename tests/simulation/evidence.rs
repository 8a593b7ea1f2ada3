//! What was not looked at proves nothing: an engine that cannot see, or sees late, neither robs nor lets out nor waits for ever.

use crate::world::{Act, DOCUMENT, SECOND, World, evicted, scripted};
use jiff::Timestamp;
use operator_engine::{
    clock::Clock as _,
    plan::{
        Action, Answer, Intent, Now, Policy, Target, View,
        cohort::Cohort,
        look::Look,
        plan,
        pod::Task,
        seen::{LeaseSeen, PodSeen, Progress, Uid, Version, VolumeSeen, WaitingCause, WorkflowSeen},
        transition::claimed,
        view::{DocumentSeen, OwnLease, VolumeTrack},
    },
    sandbox::{
        faults::Fault,
        history::{Event, History},
    },
    workflow::{Document, Outcome, Phase, Stage, State, record::Holder},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// A script in which every attempt of one stage does something else.
fn but(stage: Stage, act: Act) -> World {
    scripted(move |_, at, _| if at == stage { act.clone() } else { Act::Succeed(SECOND) })
}

fn ran(history: &History, stage: Stage) -> bool {
    history.count(|event| matches!(event, Event::PodCreated { stage: of, .. } if *of == stage)) > 0
}

/// Everybody who ever held a workflow.
fn holders(world: &World) -> Vec<String> {
    let mut holders: Vec<String> = Vec::new();
    for (_, event) in world.sandbox.history().events() {
        if let Event::Recorded { record, .. } = event
            && !holders.contains(&record.holder.identity)
        {
            holders.push(record.holder.identity.clone());
        }
    }
    holders
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_was_paused_robs_no_living_one() {
    for moment in (1_000..12_000).step_by(170) {
        let world = scripted(|_, _, _| Act::Succeed(Duration::from_secs(30)));
        world.submit("wf-1");
        let late = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let sleeper = world.live(world.life("pod-uid-2", "process-2", |_| Fault::None));
            crate::takeover::paused(sleeper, Duration::from_millis(moment), Duration::from_secs(40)).await
        };
        let (one, two) = tokio::join!(world.live(world.life("pod-uid-1", "process-1", |_| Fault::None)), late);
        assert!(one && two);
        world.check();
        assert_eq!(holders(&world), ["process-1"], "paused after {moment} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_cannot_list_leases_takes_nobody_for_dead() {
    let world = scripted(|_, _, _| Act::Succeed(Duration::from_secs(30)));
    world.submit("wf-1");
    let late = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let since = world.clock_now();
        let clock = world.clock.clone();
        let blind = world.life("pod-uid-2", "process-2", move |call| {
            let outage = clock.now().mono > since + Duration::from_secs(10)
                && clock.now().mono < since + Duration::from_secs(60);
            if call.method == "list_leases" && outage { Fault::NotSent } else { Fault::None }
        });
        world.live(blind).await
    };
    let (one, two) = tokio::join!(world.live(world.life("pod-uid-1", "process-1", |_| Fault::None)), late);
    assert!(one && two);
    assert_eq!(holders(&world), ["process-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_and_a_deletion_together_are_no_way_past_the_filter() {
    let world = but(Stage::Algorithm, Act::Deaf);
    world.submit("wf-1");
    let hand = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        world.sandbox.label("wf-1", State::Stopping);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(world.sandbox.delete_pod("wf-1-algorithm-0"), "as draining its node does");
    };
    tokio::join!(world.run(), hand);
    let record = world.record("wf-1").unwrap();
    assert_eq!(record.outcome, Some(Outcome::Stopped));
    assert!(record.withheld || ran(&world.sandbox.history(), Stage::Filter), "it ran and may have written: {record:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_never_ends_does_not_hold_its_workflow_for_ever() {
    for stop in [false, true] {
        let world = but(Stage::Algorithm, Act::Deaf);
        world.submit_document("wf-1", &DOCUMENT.replace("3600", "60"));
        let hand = async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            // Nobody can know whether it still runs, so what runs beside it is no second one.
            let events = world.sandbox.history();
            let pod = events.events().iter().find_map(|(_, event)| match event {
                Event::PodCreated { stage: Stage::Algorithm, pod, .. } => Some(pod.clone()),
                _ => None,
            });
            world.sandbox.note(Event::PodLost { pod: pod.unwrap() });
            if stop {
                world.sandbox.label("wf-1", State::Stopping);
            }
        };
        tokio::join!(world.run(), hand);
        let record = world.record("wf-1").unwrap();
        let (outcome, reason) = if stop { (Outcome::Stopped, "Stopped") } else { (Outcome::Failed, "NodeLost") };
        assert_eq!((record.outcome, record.reason.as_deref()), (Some(outcome), Some(reason)));
        assert!(record.withheld || ran(&world.sandbox.history(), Stage::Filter));
        let took = record.times[&Stage::Algorithm].ended.unwrap().as_second() - 1_700_000_000;
        assert!(took < 30 + 60 + 2 * (30 + 600) + 30, "{took}");
    }
}

#[tokio::test(start_paused = true)]
async fn publishing_waits_for_its_image_too() {
    for cause in [WaitingCause::Image, WaitingCause::Unschedulable, WaitingCause::Starting] {
        let world = scripted(move |_, stage, attempt| {
            if stage == Stage::Publish && attempt < 2 { Act::Wait(cause, "busy") } else { Act::Succeed(SECOND) }
        });
        world.submit("wf-1");
        world.run().await;
        let record = world.record("wf-1").unwrap();
        assert_eq!(record.outcome, Some(Outcome::Succeeded), "results were thrown away: {record:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_over_a_list_does_not_end_the_engine() {
    for method in ["list_workflows", "list_pods", "list_volumes", "list_leases"] {
        let world = scripted(|_, _, _| Act::Succeed(SECOND));
        world.submit("wf-1");
        let seen = std::sync::atomic::AtomicUsize::new(0);
        let life = world.life("engine", "engine-1", move |call| {
            let first = call.method == method && seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
            if first { Fault::Panics } else { Fault::None }
        });
        assert!(world.live(life).await);
        world.check();
        assert_eq!(world.record("wf-1").unwrap().outcome, Some(Outcome::Succeeded));
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_set_back_delays_a_retry_by_no_more_than_the_longest_pause() {
    let mut world = scripted(|_, stage, attempt| {
        if stage == Stage::Configure && attempt == 0 { Act::End(SECOND, evicted()) } else { Act::Succeed(SECOND) }
    });
    world.policy.retries.backoff_first = Duration::from_secs(60);
    world.submit("wf-1");
    let hand = async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        let mut record = world.record("wf-1").unwrap();
        let due = record.not_before.unwrap();
        record.not_before = Some(due.checked_add(jiff::SignedDuration::from_hours(24)).unwrap());
        world.sandbox.annotate("wf-1", Some(record.render()));
    };
    tokio::join!(world.run(), hand);
    assert_eq!(world.record("wf-1").unwrap().outcome, Some(Outcome::Succeeded));
    assert!(world.clock_now() < Duration::from_mins(3), "{:?}", world.clock_now());
}

/// The most workflows that were in work at once.
fn most_at_once(history: &History) -> usize {
    let (mut now, mut most) = (BTreeMap::new(), 0);
    for (_, event) in history.events() {
        if let Event::Recorded { workflow, record } = event {
            if record.phase == Phase::Done {
                now.remove(workflow);
            } else {
                now.insert(workflow.clone(), ());
            }
            most = most.max(now.len());
        }
    }
    most
}

#[tokio::test(start_paused = true)]
async fn several_engines_together_keep_to_max_jobs() {
    for lag in 0..10u64 {
        let mut world = scripted(|_, _, _| Act::Succeed(Duration::from_secs(5)));
        world.policy.max_jobs = 4;
        let waves = async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            for wave in 0..4 {
                for n in 0..4 {
                    world.submit(&format!("wf-{wave}-{n}"));
                }
                tokio::time::sleep(Duration::from_millis(1_300)).await;
            }
        };
        world.submit("wf-first");
        let late = async {
            tokio::time::sleep(Duration::from_millis(300 + 100 * lag)).await;
            forever(&world, "engine-2").await
        };
        let _ = tokio::time::timeout(Duration::from_mins(5), async {
            tokio::join!(waves, late, forever(&world, "engine-1"))
        })
        .await;
        world.check();
        let most = most_at_once(&world.sandbox.history());
        assert!(most <= 4, "{most} at once, with a lag of {lag}");
    }
}

async fn forever(world: &World, name: &str) {
    let life = world.life(name, &format!("{name}-x"), |_| Fault::None);
    let engine = world.engine(life.me, life.cluster);
    let _ = engine.run(tokio_util::sync::CancellationToken::new(), &mut |_, _| {}).await;
}

/// The view of an engine that holds one workflow, whose record intends `stage`, and knows nothing of its pod.
fn taken_over(stage: Stage, document: DocumentSeen) -> View {
    let me = Holder { lease: "engine".to_owned(), identity: "engine-1".to_owned() };
    let digest = Document::parse(DOCUMENT).unwrap().sha256;
    let mut record = claimed(&me, digest, Timestamp::UNIX_EPOCH);
    record.phase = stage.into();
    let mut view = View::new(me);
    let seen = LeaseSeen {
        name: "engine".to_owned(),
        uid: Uid("lease".to_owned()),
        version: Version(1),
        holder: "engine-1".to_owned(),
        duration: Duration::from_secs(15),
    };
    view.own_lease = OwnLease::Held { seen, since: Duration::ZERO };
    for look in [Look::AuditWorkflows, Look::AuditPods, Look::AuditVolumes, Look::Leases] {
        view.looks.answered.insert(look, Duration::ZERO);
    }
    let seen = WorkflowSeen {
        name: "wf-1".to_owned(),
        uid: Uid("wf-1".to_owned()),
        version: Version(2),
        created: Timestamp::UNIX_EPOCH,
        state: Some(State::Active),
        status: Some(record.render()),
        deleting: false,
        order: Default::default(),
    };
    view.see_workflow(seen, at(0));
    view.workflows.get_mut("wf-1").unwrap().document = Some(document);
    view
}

fn at(seconds: u64) -> Now {
    Now { mono: Duration::from_secs(seconds), wall: Timestamp::from_second(seconds.try_into().unwrap()).unwrap() }
}

/// What is to be done about the workflow.
fn next(view: &View, now: Now) -> Option<Action> {
    let mut view = view.clone();
    if let OwnLease::Held { since, .. } = &mut view.own_lease {
        *since = now.mono; // Renewed all the time.
    }
    let about = |action: &Action| matches!(action.target, Target::Workflow(_));
    plan(&view, &Policy { filter_image: Some("filter:1".to_owned()), ..Policy::default() }, now)
        .actions
        .into_iter()
        .find(about)
}

/// The phase that an action writes.
fn written(action: Option<Action>) -> Option<Phase> {
    match action.map(|action| action.intent) {
        Some(Intent::Write(write)) => Some(write.record.phase),
        _ => None,
    }
}

#[test]
fn a_stage_ends_without_its_pod_only_once_a_consistent_read_found_none() {
    let mut view = taken_over(Stage::Algorithm, Err(Vec::new()));
    let read = Intent::ReadPod { name: "wf-1-algorithm-0".to_owned() };
    assert_eq!(next(&view, at(1)).map(|action| action.intent), Some(read), "its predecessor may have asked for it");
    let mut there = view.clone();
    view.pod_read("wf-1", "wf-1-algorithm-0", None, at(1));
    assert_eq!(written(next(&view, at(1))), Some(Phase::Publish), "nothing ran, so there is nothing to filter");
    let pod = PodSeen {
        name: "wf-1-algorithm-0".to_owned(),
        uid: Uid("pod".to_owned()),
        version: Version(3),
        workflow: "wf-1".to_owned(),
        owner: Some(Uid("wf-1".to_owned())),
        cohort: Some(Cohort(1)),
        deleting: false,
        progress: Progress::Running,
    };
    there.pod_read("wf-1", "wf-1-algorithm-0", Some(pod), at(1));
    assert_eq!(next(&there, at(1)), None, "it is waited for");
}

#[test]
fn an_edited_document_keeps_no_logs_from_coming_out() {
    let view = taken_over(Stage::Publish, Err(Vec::new()));
    let mut view = view.clone();
    view.workflows.get_mut("wf-1").unwrap().volume = VolumeTrack::Present;
    let Some(Intent::CreatePod(spec)) = next(&view, at(1)).map(|action| action.intent) else {
        panic!("nothing is published")
    };
    assert!(matches!(spec.task, Task::Publish { facts } if facts.image.is_empty()));
}

#[test]
fn an_earlier_workflows_volume_that_never_goes_is_not_waited_for_for_ever() {
    let document = Arc::new(Document::parse(DOCUMENT).unwrap());
    let mut view = taken_over(Stage::Configure, Ok(document));
    let policy = Policy::default();
    let mut seconds = 1;
    loop {
        match next(&view, at(seconds)) {
            Some(action) if matches!(action.intent, Intent::CreateVolume { .. }) => {
                let (workflow, uid) = ("wf-1".to_owned(), Uid("volume".to_owned()));
                let owner = Some(Uid("the earlier one".to_owned()));
                let volume = VolumeSeen { workflow, uid, version: Version(1), owner };
                view.action_ended(&action, Ok(Answer::Volume(volume)), Duration::ZERO, &policy, at(seconds));
            }
            Some(action) if matches!(action.intent, Intent::ReadPod { .. }) => {
                view.action_ended(&action, Ok(Answer::PodRead(None)), Duration::ZERO, &policy, at(seconds));
            }
            None => {}
            end => {
                let Some(Intent::Write(write)) = end.map(|action| action.intent) else { panic!("something else") };
                assert_eq!(write.record.reason.as_deref(), Some("VolumeNotAvailable"));
                break;
            }
        }
        seconds += 1;
        assert!(seconds < 700, "still waiting");
    }
}

#[test]
fn nothing_is_begun_for_what_is_being_deleted() {
    let document = Arc::new(Document::parse(DOCUMENT).unwrap());
    let mut view = taken_over(Stage::Configure, Ok(document));
    assert!(next(&view, at(1)).is_some());
    view.workflows.get_mut("wf-1").unwrap().seen.as_mut().unwrap().deleting = true;
    assert_eq!(next(&view, at(1)), None);
}
