//! The rules of the contract, one scenario each, through the whole engine.

use crate::world::{Act, DOCUMENT, SECOND, configure_fault, evicted, exits, happy, leak, publish_fault, scripted};
use operator_engine::{
    plan::{Verdict, seen::WaitingCause},
    sandbox::{
        faults::Fault,
        history::{Event, History},
    },
    workflow::{Code, Facts, Outcome, Phase, Stage, State},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

fn pods(history: &History) -> Vec<(Stage, u32)> {
    let made = history.events().iter().filter_map(|(_, event)| match event {
        Event::PodCreated { stage, attempt, .. } => Some((*stage, *attempt)),
        _ => None,
    });
    made.collect()
}

const ALL: [(Stage, u32); 4] = [(Stage::Configure, 0), (Stage::Algorithm, 0), (Stage::Filter, 0), (Stage::Publish, 0)];

/// A script in which one stage does something else at its first attempt, or at every attempt.
fn but(stage: Stage, every_attempt: bool, act: Act) -> crate::world::World {
    scripted(
        move |_, at, attempt| {
            if at == stage && (every_attempt || attempt == 0) { act.clone() } else { Act::Succeed(SECOND) }
        },
    )
}

#[tokio::test(start_paused = true)]
async fn a_four_stage_workflow_costs_eleven_requests() {
    let world = happy();
    world.submit("wf-1");
    let calls = Arc::new(Mutex::new(BTreeMap::<&str, usize>::new()));
    let count = calls.clone();
    let life = world.life("engine", "engine-1", move |call| {
        *count.lock().unwrap().entry(call.method).or_default() += 1;
        Fault::None
    });
    assert!(world.live(life).await);
    let calls = calls.lock().unwrap();
    let of = |method: &str| calls.get(method).copied().unwrap_or_default();
    assert_eq!(of("read_document"), 1, "{calls:?}");
    assert_eq!(of("write_workflow"), 5, "claim, three transitions, end: {calls:?}");
    assert_eq!(of("create_volume"), 1, "{calls:?}");
    assert_eq!(of("create_pod"), 4, "{calls:?}");
    assert_eq!((of("read_workflow"), of("read_pod"), of("end_pod")), (0, 0, 0), "{calls:?}");
    assert_eq!((of("delete_pods"), of("delete_volumes")), (1, 1), "{calls:?}");
    assert_eq!(pods(&world.sandbox.history()), ALL);
    let record = world.record("wf-1").unwrap();
    assert_eq!((record.code, record.text.as_str()), (Code::JobFinished, "Job finished"));
    assert_eq!((record.outcome, record.stopreq, record.exit_code), (Some(Outcome::Succeeded), 0, Some(0)));
    assert_eq!(world.state("wf-1"), State::Done);
    assert!(record.times.values().all(|times| times.started < times.ended), "{record:?}");
}

#[tokio::test(start_paused = true)]
async fn the_codes_pass_in_the_old_order_with_their_old_texts() {
    let world = happy();
    world.submit("wf-1");
    world.run().await;
    let mut texts = Vec::new();
    for (_, event) in world.sandbox.history().events() {
        if let Event::Recorded { record, .. } = event {
            texts.push((record.code.number(), record.text.clone()));
        }
    }
    let texts: Vec<_> = texts.iter().map(|(code, text)| (*code, text.as_str())).collect();
    assert_eq!(
        texts,
        [
            (20, "Configuring volumes"),
            (40, "Running algorithm "),
            (50, "Filtering results"),
            (60, "Publishing results"),
            (70, "Job finished")
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_configure_publishes_its_log_and_its_code_stays() {
    for code in [Code::DataProvisioningFailed, Code::AlgorithmProvisioningFailed] {
        let world = but(Stage::Configure, true, Act::End(SECOND, configure_fault(code)));
        world.submit("wf-1");
        world.run().await;
        let record = world.record("wf-1").unwrap();
        assert_eq!((record.code, record.outcome), (code, Some(Outcome::Failed)));
        assert_eq!(record.reason.as_deref(), Some("NotFound"));
        assert_eq!(pods(&world.sandbox.history()), [(Stage::Configure, 0), (Stage::Publish, 0)]);
        assert!(record.results.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_configure_that_says_nothing_has_failed() {
    let silent = operator_engine::plan::end::End { exit_code: Some(0), ..Default::default() };
    let world = but(Stage::Configure, true, Act::End(SECOND, silent));
    world.submit("wf-1");
    world.run().await;
    let record = world.record("wf-1").unwrap();
    assert_eq!((record.code.number(), record.reason.as_deref()), (31, Some("ConfigureFailed")));
}

#[tokio::test(start_paused = true)]
async fn a_failed_algorithm_is_told_apart_from_success() {
    let world = but(Stage::Algorithm, true, Act::End(SECOND, exits(3)));
    world.submit("wf-1");
    world.run().await;
    let record = world.record("wf-1").unwrap();
    assert_eq!((record.outcome, record.exit_code, record.code.number()), (Some(Outcome::Failed), Some(3), 70));
    assert_eq!(record.reason.as_deref(), Some("AlgorithmFailed"));
    assert_eq!(pods(&world.sandbox.history()), ALL, "what it wrote passes the filter, and its log is published");
}

#[tokio::test(start_paused = true)]
async fn over_time_is_an_outcome_of_its_own_and_partial_results_are_published() {
    let world = but(Stage::Algorithm, true, Act::Hang);
    world.submit_document("wf-1", &DOCUMENT.replace("3600", "7"));
    world.run().await;
    let record = world.record("wf-1").unwrap();
    assert_eq!((record.outcome, record.stopreq), (Some(Outcome::TimedOut), 2));
    assert_eq!(record.reason.as_deref(), Some("MaxTimeExceeded"));
    assert!(record.results.is_some());
}

fn stored_facts(world: &crate::world::World) -> Facts {
    serde_json::from_str(world.kubelet.stored.lock().unwrap().values().next().unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_filter_is_a_gate() {
    let refusals = [
        Act::End(SECOND, exits(1)),
        Act::End(SECOND, exits(137)),
        Act::Hang,
        Act::Wait(WaitingCause::Image, "not found"),
    ];
    for act in refusals {
        let world = but(Stage::Filter, true, act.clone());
        world.submit("wf-1");
        world.run().await;
        let record = world.record("wf-1").unwrap();
        assert_eq!(record.outcome, Some(Outcome::Withheld), "{act:?}");
        assert!(record.withheld && !stored_facts(&world).release, "{act:?}");
    }
    let world = happy();
    world.submit("wf-1");
    world.run().await;
    assert!(stored_facts(&world).release);
}

#[tokio::test(start_paused = true)]
async fn what_publish_finds_to_be_a_leak_stays_inside_and_the_admin_s_logs_are_stored() {
    let world = but(Stage::Publish, false, Act::End(SECOND, leak()));
    world.submit("wf-1");
    world.run().await;
    let record = world.record("wf-1").unwrap();
    assert_eq!((record.outcome, record.reason.as_deref()), (Some(Outcome::Withheld), Some("InputCopied")));
    assert_eq!((record.withheld, record.failures), (true, 0), "it is nobody's failure");
    let facts = stored_facts(&world);
    assert_eq!((facts.release, facts.outcome), (false, Outcome::Withheld), "the record was written before it was told");
    assert_eq!(facts.message.as_deref(), Some("file 1 of 1 has it"));
    assert_eq!(pods(&world.sandbox.history()), [&ALL[..], &[(Stage::Publish, 1)]].concat());
}

#[tokio::test(start_paused = true)]
async fn a_leak_in_what_a_failed_algorithm_left_stays_inside_and_the_first_outcome_too() {
    let world = scripted(|_, stage, attempt| match (stage, attempt) {
        (Stage::Algorithm, _) => Act::Hang,
        (Stage::Publish, 0) => Act::End(SECOND, leak()),
        _ => Act::Succeed(SECOND),
    });
    world.submit("wf-1");
    world.run().await;
    let record = world.record("wf-1").unwrap();
    assert_eq!((record.outcome, record.withheld), (Some(Outcome::TimedOut), true));
    assert!(record.message.unwrap().contains("publish: file 1 of 1 has it"));
    assert!(!stored_facts(&world).release);
}

#[tokio::test(start_paused = true)]
async fn a_publish_stage_that_never_stops_finding_leaks_ends_all_the_same() {
    let world = but(Stage::Publish, true, Act::End(SECOND, leak()));
    world.submit("wf-1");
    world.run().await;
    let record = world.record("wf-1").unwrap();
    assert_eq!((record.outcome, record.withheld), (Some(Outcome::Withheld), true));
    assert!(record.results.is_none() && record.message.unwrap().contains("publish: InputCopied"));
}

/// Whenever the wish comes: with the leak, before its pod or after, the admin learns what it was.
#[tokio::test(start_paused = true)]
async fn a_stop_at_any_moment_of_a_leak_keeps_it_inside_and_the_admin_s_logs_are_stored() {
    let mut honoured = 0;
    for moment in 0..160u64 {
        let world = but(Stage::Publish, false, Act::End(SECOND, leak()));
        world.submit("wf-1");
        let stop = async {
            tokio::time::sleep(Duration::from_millis(50 * moment)).await;
            let record = world.record("wf-1").filter(|record| record.phase == Phase::Publish);
            if record.is_some() {
                world.sandbox.label("wf-1", State::Stopping);
            }
            record.is_some()
        };
        let ((), asked) = tokio::join!(world.run(), stop);
        let record = world.record("wf-1").unwrap();
        assert_eq!((record.outcome, record.withheld), (Some(Outcome::Withheld), true), "{moment}: {record:#?}");
        assert_eq!(record.reason.as_deref(), Some("InputCopied"), "{moment}");
        assert!(record.results.is_some(), "{moment}: {record:#?}");
        assert!(!stored_facts(&world).release, "{moment}");
        honoured += u32::from(asked);
    }
    assert!(honoured > 30, "{honoured}");
}

#[tokio::test(start_paused = true)]
async fn a_filter_that_the_platform_keeps_killing_lets_nothing_out() {
    let world = but(Stage::Filter, true, Act::End(SECOND, evicted()));
    world.submit("wf-1");
    world.run().await;
    let record = world.record("wf-1").unwrap();
    assert_eq!((record.outcome, record.withheld), (Some(Outcome::Failed), true));
    assert!(!stored_facts(&world).release);
}

#[tokio::test(start_paused = true)]
async fn failures_of_the_platform_are_retried_and_not_charged_to_the_user() {
    for stage in Stage::ALL {
        let world = but(stage, false, Act::End(SECOND, evicted()));
        world.submit("wf-1");
        world.run().await;
        let record = world.record("wf-1").unwrap();
        assert_eq!((record.outcome, record.failures), (Some(Outcome::Succeeded), 1), "{stage}");
        assert_eq!(record.reason, None, "{stage}");
        assert!(pods(&world.sandbox.history()).contains(&(stage, 1)));
    }
}

#[tokio::test(start_paused = true)]
async fn the_platforms_budget_ends() {
    let world = but(Stage::Algorithm, true, Act::End(SECOND, evicted()));
    world.submit("wf-1");
    world.run().await;
    let record = world.record("wf-1").unwrap();
    assert_eq!((record.outcome, record.reason.as_deref()), (Some(Outcome::Failed), Some("Evicted")));
    assert_eq!(pods(&world.sandbox.history()).iter().filter(|(stage, _)| *stage == Stage::Algorithm).count(), 4);
}

#[tokio::test(start_paused = true)]
async fn publishing_waits_for_a_store_that_is_down_and_gives_up_in_time() {
    let down = publish_fault("StorageUnavailable", "503", true);
    let world = but(Stage::Publish, true, Act::End(SECOND, down));
    world.submit("wf-1");
    world.run().await;
    let record = world.record("wf-1").unwrap();
    assert_eq!((record.outcome, record.reason.as_deref()), (Some(Outcome::Failed), Some("PublishFailed")));
    let times = &record.times[&Stage::Publish];
    let waited = times.ended.unwrap().duration_since(times.started.unwrap());
    let limit = world.policy.retries.publish_for;
    assert!(waited.unsigned_abs() >= limit && waited.unsigned_abs() < limit + Duration::from_mins(6), "{waited:?}");

    let unfit = publish_fault("UnfitForStorage", "s3://b can never write x", false);
    let world = but(Stage::Publish, true, Act::End(SECOND, unfit));
    world.submit("wf-1");
    world.run().await;
    assert_eq!(pods(&world.sandbox.history()), ALL, "what no store can hold is not tried again");
}

#[tokio::test(start_paused = true)]
async fn each_waiting_state_has_its_deadline_and_its_reason() {
    let table = [
        (WaitingCause::Image, "ImageNotAvailable"),
        (WaitingCause::Unschedulable, "Unschedulable"),
        (WaitingCause::Volume, "VolumeNotAvailable"),
        (WaitingCause::Starting, "StartTimeout"),
    ];
    for (cause, reason) in table {
        for stage in [Stage::Configure, Stage::Algorithm] {
            let world = but(stage, true, Act::Wait(cause, "manifest unknown"));
            world.submit("wf-1");
            world.run().await;
            let record = world.record("wf-1").unwrap();
            assert_eq!((record.outcome, record.reason.as_deref()), (Some(Outcome::Failed), Some(reason)));
            assert!(record.message.unwrap().contains("manifest unknown"));
            let times = &record.times[&stage];
            let waited = times.ended.unwrap().duration_since(times.started.unwrap()).unsigned_abs();
            assert!(waited < world.policy.waiting.image + Duration::from_secs(30), "{waited:?}");
        }
    }
}

/// A stop is honoured at whatever moment it comes, and never lost.
#[tokio::test(start_paused = true)]
async fn a_stop_is_honoured_at_any_moment() {
    let mut outcomes = BTreeMap::<&str, u32>::new();
    for moment in 0..160u64 {
        let world = happy();
        world.submit("wf-1");
        let stop = async {
            tokio::time::sleep(Duration::from_millis(50 * moment)).await;
            if world.sandbox.workflow("wf-1").is_some_and(|seen| seen.state != Some(State::Done)) {
                world.sandbox.label("wf-1", State::Stopping);
            }
        };
        tokio::join!(world.run(), stop);
        let record = world.record("wf-1").unwrap();
        let outcome = record.outcome.unwrap();
        *outcomes.entry(outcome.as_str()).or_default() += 1;
        let ran: Vec<_> = pods(&world.sandbox.history()).into_iter().map(|(stage, _)| stage).collect();
        if outcome == Outcome::Stopped {
            assert_eq!(record.stopreq, 1);
            assert!(ran.is_empty() || ran.last() == Some(&Stage::Publish), "{moment}: logs come out: {ran:?}");
            let filtered = !ran.contains(&Stage::Algorithm) || ran.contains(&Stage::Filter) || record.withheld;
            assert!(filtered, "{moment}: a stop is no way past the filter");
        }
    }
    assert!(outcomes["stopped"] >= 50 && outcomes["succeeded"] > 10, "{outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hanging_algorithm_is_stopped_within_its_grace() {
    let world = but(Stage::Algorithm, true, Act::Hang);
    world.submit("wf-1");
    let stop = async {
        tokio::time::sleep(Duration::from_secs(100)).await;
        world.sandbox.label("wf-1", State::Stopping);
    };
    tokio::join!(world.run(), stop);
    let record = world.record("wf-1").unwrap();
    assert_eq!((record.outcome, record.exit_code), (Some(Outcome::Stopped), Some(143)));
    let times = &record.times[&Stage::Algorithm];
    assert!(times.ended.unwrap().duration_since(times.started.unwrap()).as_secs() < 100 + 5);
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_wait_for_a_store_that_is_down() {
    let down = publish_fault("StorageUnavailable", "503", true);
    let world = but(Stage::Publish, true, Act::End(SECOND, down));
    world.submit("wf-1");
    let stop = async {
        tokio::time::sleep(Duration::from_secs(300)).await;
        world.sandbox.label("wf-1", State::Stopping);
    };
    tokio::join!(world.run(), stop);
    let record = world.record("wf-1").unwrap();
    assert_eq!(record.outcome, Some(Outcome::Stopped));
    assert!(record.times[&Stage::Publish].ended.unwrap().as_second() < 1_700_000_000 + 620);
}

#[tokio::test(start_paused = true)]
async fn a_pod_deleted_by_hand_is_made_again_under_another_name() {
    for stage in [Stage::Configure, Stage::Algorithm, Stage::Filter, Stage::Publish] {
        let world = but(stage, false, Act::Succeed(Duration::from_secs(50)));
        world.submit("wf-1");
        let hand = async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            assert!(world.sandbox.delete_pod(&format!("wf-1-{stage}-0")), "{stage}");
        };
        tokio::join!(world.run(), hand);
        let record = world.record("wf-1").unwrap();
        assert_eq!((record.outcome, record.failures), (Some(Outcome::Succeeded), 1), "{stage}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_exit_status_of_a_pod_that_is_being_deleted_is_nobodys_result() {
    for stage in [Stage::Configure, Stage::Algorithm, Stage::Filter, Stage::Publish] {
        // It gets its signal, and its end is still to be seen when the engine looks.
        let world = but(stage, false, Act::End(Duration::from_secs(25), exits(143)));
        world.submit("wf-1");
        let hand = async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            assert!(world.sandbox.lose_pod(&format!("wf-1-{stage}-0")), "{stage}");
        };
        tokio::join!(world.run(), hand);
        let record = world.record("wf-1").unwrap();
        assert_eq!((record.outcome, record.failures), (Some(Outcome::Succeeded), 1), "{stage}: {record:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_node_ends_the_stage_after_a_bounded_wait_and_the_filter_still_guards() {
    let world = but(Stage::Algorithm, true, Act::Hang);
    world.submit("wf-1");
    let node = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert!(world.sandbox.lose_pod("wf-1-algorithm-0"));
    };
    tokio::join!(world.run(), node);
    let record = world.record("wf-1").unwrap();
    assert_eq!((record.outcome, record.reason.as_deref()), (Some(Outcome::Failed), Some("NodeLost")));
    assert_eq!(pods(&world.sandbox.history()), ALL, "no second attempt beside one that may still run");
    let took = record.times[&Stage::Algorithm].ended.unwrap().as_second() - 1_700_000_000;
    assert!(took < 20 + 10 + 30 + 600 + 20, "{took}");
}

#[tokio::test(start_paused = true)]
async fn a_workflow_deleted_midway_leaves_nothing() {
    for moment in 0..50u64 {
        let world = happy();
        world.submit("wf-1");
        world.submit("wf-2");
        let hand = async {
            tokio::time::sleep(Duration::from_millis(120 * moment)).await;
            world.sandbox.delete("wf-1");
        };
        tokio::join!(world.run(), hand);
        assert_eq!(world.sandbox.inventory().workflows, ["wf-2"]);
        assert_eq!(world.record("wf-2").unwrap().outcome, Some(Outcome::Succeeded));
    }
}

#[tokio::test(start_paused = true)]
async fn a_workflow_made_anew_under_the_same_name_starts_anew() {
    for moment in 0..32u64 {
        let world = happy();
        world.submit("wf-1");
        let hand = async {
            tokio::time::sleep(Duration::from_millis(150 * moment)).await;
            world.sandbox.delete("wf-1");
            world.submit("wf-1");
        };
        tokio::join!(world.run(), hand);
        assert_eq!(world.record("wf-1").unwrap().outcome, Some(Outcome::Succeeded), "{moment}");
    }
}

#[tokio::test(start_paused = true)]
async fn at_most_max_jobs_run_and_the_oldest_come_first() {
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let mut world = happy();
    world.policy.max_jobs = 3;
    // Names in the opposite order of ages: lists come in order of names.
    for n in (0..9).rev() {
        world.submit(&format!("wf-{n}"));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (seen, top) = (now.clone(), most.clone());
    let mut watch = move |view: &operator_engine::plan::View, _: &operator_engine::plan::Plan| {
        seen.store(u32::try_from(view.running()).unwrap(), Ordering::Relaxed);
        top.fetch_max(seen.load(Ordering::Relaxed), Ordering::Relaxed);
    };
    let life = world.life("engine", "engine-1", |_| Fault::None);
    assert!(world.live_watching(life, &mut watch).await);
    world.check();
    assert_eq!(most.load(Ordering::Relaxed), 3);
    let mut order = Vec::new();
    for (_, event) in world.sandbox.history().events() {
        if let Event::Recorded { workflow, record } = event
            && record.phase == Phase::Configure
        {
            order.push(workflow.clone());
        }
    }
    let by_age: Vec<_> = (0..9).rev().map(|n| world.sandbox.uid(&format!("wf-{n}")).unwrap()).collect();
    assert_eq!(order, by_age);
}

#[tokio::test(start_paused = true)]
async fn every_workflow_in_view_has_a_verdict_on_every_turn() {
    let mut world = happy();
    world.policy.max_jobs = 1;
    for n in 0..3 {
        world.submit(&format!("wf-{n}"));
    }
    let mut waited = false;
    let mut watch = |view: &operator_engine::plan::View, plan: &operator_engine::plan::Plan| {
        assert!(view.workflows.keys().eq(plan.verdicts.keys()));
        waited |= plan.verdicts.values().any(|verdict| verdict.to_string() == "waiting for a slot, 1 ahead");
    };
    let life = world.life("engine", "engine-1", |_| Fault::None);
    assert!(world.live_watching(life, &mut watch).await);
    assert!(waited, "the second in the queue is told its place");
}

#[tokio::test(start_paused = true)]
async fn nothing_to_do_costs_little() {
    let world = happy();
    let calls = Arc::new(Mutex::new(BTreeMap::<&str, usize>::new()));
    let count = calls.clone();
    let life = world.life("engine", "engine-1", move |call| {
        *count.lock().unwrap().entry(call.method).or_default() += 1;
        Fault::None
    });
    let engine = world.engine(life.me, life.cluster);
    let stop = tokio_util::sync::CancellationToken::new();
    let mut quarantined = |_: &operator_engine::plan::View, plan: &operator_engine::plan::Plan| {
        assert!(!plan.verdicts.values().any(|verdict| matches!(verdict, Verdict::Quarantined(_))));
    };
    let hour = async {
        tokio::time::sleep(Duration::from_mins(10)).await;
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(engine.run(stop.clone(), &mut quarantined), hour);
    assert_eq!(ended, Ok(()));
    let calls = calls.lock().unwrap();
    // A second: one list of what wants attention. Two: one renewal. Ten: the audit's four lists. Lists come sooner by chance,
    // by a twentieth on average.
    assert!(calls["list_workflows"] <= 640 + 66, "{calls:?}");
    assert!(calls["renew_lease"] <= 302, "{calls:?}");
    assert!(calls["list_pods"] <= 66 && calls["list_leases"] <= 66, "{calls:?}");
}
