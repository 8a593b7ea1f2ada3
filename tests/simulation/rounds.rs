//! Documents of several stages: each is a round through the same four pods.

use crate::world::{Act, Life, SECOND, World, chain, essence, evicted, exits, leak, publish_fault, scripted_by};
use operator_engine::{
    plan::pod::PodSpec,
    sandbox::{faults::Fault, history::Event},
    workflow::{Outcome, Phase, Record, Stage, State, record::MAX_LEN},
};
use std::time::Duration;

/// The pods that were made: round, stage, attempt.
fn pods(world: &World) -> Vec<(u32, Stage, u32)> {
    let history = world.sandbox.history();
    let made = history.events().iter().filter_map(|(_, event)| match event {
        Event::PodCreated { round, stage, attempt, .. } => Some((*round, *stage, *attempt)),
        _ => None,
    });
    made.collect()
}

fn all_of(rounds: u32) -> Vec<(u32, Stage, u32)> {
    (0..rounds).flat_map(|round| Stage::ALL.map(|stage| (round, stage, 0))).collect()
}

/// A world with a workflow of `stages` stages, where one pod's first attempt does something else.
fn world(stages: usize, but: Option<(u32, Stage, Act)>) -> World {
    let world = scripted_by(move |spec: &PodSpec| match &but {
        Some((round, stage, act)) if (*round, *stage, 0) == (spec.round, spec.stage, spec.attempt) => act.clone(),
        _ => Act::Succeed(SECOND),
    });
    world.submit_document("wf", &chain(stages));
    world
}

fn record(world: &World) -> Record {
    world.record("wf").unwrap()
}

#[tokio::test(start_paused = true)]
async fn stages_run_one_after_another_and_each_has_results_of_its_own() {
    let world = world(3, None);
    world.run().await;
    assert_eq!(pods(&world), all_of(3));
    let record = record(&world);
    assert_eq!((record.outcome, record.round, record.ahead.len()), (Some(Outcome::Succeeded), 2, 0));
    let manifests: Vec<_> = record.all_results().map(|(round, results)| (round, results.manifest.as_str())).collect();
    assert_eq!(manifests, [(0, "wf/manifest.json"), (1, "wf_1/manifest.json"), (2, "wf_2/manifest.json")]);
    assert_eq!(world.kubelet.stored.lock().unwrap().len(), 3);
    for (before, after) in record
        .earlier
        .iter()
        .map(|round| &round.times)
        .zip(record.earlier.iter().skip(1).map(|round| &round.times).chain([&record.times]))
    {
        assert_eq!(before.len(), 4);
        assert_eq!(before[&Stage::Publish].ended, after[&Stage::Configure].started, "one act");
    }
    assert_eq!(record.started(), record.earlier[0].times[&Stage::Configure].started);
}

#[tokio::test(start_paused = true)]
async fn the_largest_record_of_eight_stages_is_read_again() {
    let world = world(8, None);
    world.run().await;
    let mut record = record(&world);
    assert_eq!(pods(&world), all_of(8));
    record.message = Some("é".repeat(512));
    record.image_id = Some("x".repeat(512));
    for round in &mut record.earlier {
        round.image_id = Some("x".repeat(255));
        round.exit_code = Some(255);
        let results = round.results.as_mut().unwrap();
        results.store = format!("s3://{}", "b".repeat(120));
        results.root = Some("b".repeat(59));
        results.adminlogs = Some(operator_engine::workflow::record::Place {
            store: results.store.clone(),
            prefix: "x".repeat(54),
            manifest: format!("{}/manifest.json", "x".repeat(54)),
            manifest_sha256: results.manifest_sha256,
            root: results.root.clone(),
        });
        results.expires_at = round.times[&Stage::Publish].ended;
        results.deleted_at = round.times[&Stage::Publish].ended;
    }
    let len = record.render().len();
    assert!(len < MAX_LEN * 9 / 10, "{len} bytes");
    assert_eq!(Record::parse(&record.render()).unwrap(), record);
}

/// The longest name of a bucket and the longest prefix that the configuration takes, twice for each of eight stages.
#[tokio::test(start_paused = true)]
async fn a_record_that_long_names_make_too_long_says_less_and_still_where_everything_is() {
    let world = world(8, None);
    world.run().await;
    let mut whole = record(&world);
    whole.message = Some("é".repeat(512));
    whole.image_id = Some("x".repeat(512));
    let usage = whole.usage.clone();
    let last = whole.results.as_mut().into_iter();
    for results in whole.earlier.iter_mut().flat_map(|round| round.results.as_mut()).chain(last) {
        results.store = format!("s3://{}/{}", "b".repeat(255), "p".repeat(256));
        results.expires_at = Some(jiff::Timestamp::UNIX_EPOCH);
        results.adminlogs = Some(operator_engine::workflow::record::Place {
            store: results.store.clone(),
            prefix: "x".repeat(54),
            manifest: format!("{}/manifest.json", "x".repeat(54)),
            manifest_sha256: results.manifest_sha256,
            root: None,
        });
    }
    for round in &mut whole.earlier {
        (round.image_id, round.usage) = (Some("x".repeat(255)), usage.clone());
    }
    assert!(whole.render().len() > MAX_LEN);
    let mut short = whole.clone();
    short.shorten();
    let len = short.render().len();
    assert!(len <= MAX_LEN - 1024, "{len}: there is room for when they are deleted");
    assert_eq!(short.all_results().collect::<Vec<_>>(), whole.all_results().collect::<Vec<_>>());
    assert_eq!((short.started(), &short.image_id), (whole.started(), &whole.image_id));
    let mut usual = record(&world);
    usual.shorten();
    assert_eq!(usual, record(&world), "others stay as they are");
}

#[tokio::test(start_paused = true)]
async fn a_stage_that_fails_is_published_and_the_last() {
    for (stage, act, outcome) in [
        (Stage::Configure, Act::End(SECOND, exits(1)), Outcome::Failed),
        (Stage::Algorithm, Act::End(SECOND, exits(3)), Outcome::Failed),
        (Stage::Filter, Act::End(SECOND, exits(1)), Outcome::Withheld),
        (Stage::Publish, Act::End(SECOND, publish_fault("UnfitForStorage", "no", false)), Outcome::Failed),
    ] {
        let world = world(3, Some((1, stage, act)));
        world.run().await;
        let record = record(&world);
        assert_eq!((record.outcome, record.round, record.ahead.len()), (Some(outcome), 1, 1), "{stage}");
        assert!(record.message.as_deref().unwrap().starts_with("stages[1]: "), "{:?}", record.message);
        assert_eq!(pods(&world).last(), Some(&(1, Stage::Publish, 0)), "{stage}");
        assert!(record.earlier[0].results.is_some(), "what the first stage has stored stays");
        assert_eq!(record.results.is_some(), stage != Stage::Publish);
    }
}

#[tokio::test(start_paused = true)]
async fn failures_of_the_platform_are_forgiven_in_each_stage_anew() {
    let world = scripted_by(|spec: &PodSpec| match (spec.stage, spec.attempt) {
        (Stage::Algorithm, 0..3) => Act::End(SECOND, evicted()),
        _ => Act::Succeed(SECOND),
    });
    world.submit_document("wf", &chain(2));
    world.run().await;
    let record = record(&world);
    assert_eq!((record.outcome, record.failures), (Some(Outcome::Succeeded), 3), "{record:#?}");
    assert_eq!(pods(&world).len(), 2 * (4 + 3));
}

/// Stops the workflow at every moment: no later stage begins after that, and what was stored is named.
#[tokio::test(start_paused = true)]
async fn a_stop_at_any_moment_ends_the_stage_in_hand_and_begins_no_other() {
    let mut ended_in = std::collections::BTreeSet::new();
    for moment in 0..80u64 {
        let world = world(2, None);
        let stop = async {
            tokio::time::sleep(Duration::from_millis(moment * 150)).await;
            let before = world.record("wf").map_or((0, Phase::Configure), |record| (record.round, record.phase));
            if before.1 != Phase::Done {
                world.sandbox.label("wf", State::Stopping);
            }
            before
        };
        let ((), (round, phase)) = tokio::join!(world.run(), stop);
        let Some(record) = world.record("wf") else { continue };
        if phase == Phase::Done {
            continue;
        }
        // In the last stage a wish may come when all that is left is done already.
        if round == 0 {
            assert_eq!(
                record.outcome,
                Some(Outcome::Stopped),
                "asked for at {moment} in {round}/{phase:?}: {record:#?}"
            );
        }
        assert!(record.round == round, "a stage began after {round}/{phase:?}: {record:#?}");
        assert_eq!(record.all_results().count(), world.kubelet.stored.lock().unwrap().len());
        ended_in.insert((round, phase));
    }
    assert_eq!(ended_in.len(), 8, "{ended_in:?}");
}

async fn with_fault(but: Option<(u32, Stage, Act)>, at: usize, fault: Fault, same_pod: bool) -> (World, usize) {
    let world = world(2, but);
    let first = world.life("engine", "engine-1", move |call| if call.index == at { fault } else { Fault::None });
    let cluster = first.cluster.clone();
    if !world.live(first).await {
        let lease = if same_pod { "engine" } else { "engine-b" };
        let next: Life = world.life(lease, "engine-2", |_| Fault::None);
        assert!(world.live(next).await);
    }
    let calls = cluster.calls();
    (world, calls)
}

#[tokio::test(start_paused = true)]
async fn every_single_fault_of_two_stages_ends_in_the_same_record_and_the_same_bytes() {
    let (clean, calls) = with_fault(None, usize::MAX, Fault::None, true).await;
    clean.check();
    let (expected, stored) = (record(&clean), clean.kubelet.stored.lock().unwrap().clone());
    assert!(calls > 60, "a run of {calls} calls is no run of two stages");
    let results = |record: &Record| {
        let of = record.all_results().map(|(_, results)| (results.manifest.clone(), results.manifest_sha256));
        of.collect::<Vec<_>>()
    };
    let faults =
        [Fault::NotSent, Fault::AnswerLost, Fault::Conflict, Fault::Hangs, Fault::KilledBefore, Fault::KilledAfter];
    for at in 0..calls {
        for fault in faults {
            for same_pod in [true, false] {
                let dies = matches!(fault, Fault::KilledBefore | Fault::KilledAfter);
                if !dies && !same_pod {
                    continue; // Nobody takes over: both are the same run.
                }
                let (world, _) = with_fault(None, at, fault, same_pod).await;
                world.check();
                let found = record(&world);
                assert_eq!(essence(&found), essence(&expected), "{fault:?} at call {at}: {found:#?}");
                assert_eq!((found.round, results(&found)), (1, results(&expected)), "{fault:?} at call {at}");
                assert_eq!(*world.kubelet.stored.lock().unwrap(), stored, "{fault:?} at call {at}");
            }
        }
    }
}

/// A crash or a lost answer at whatever moment around a leak, in either stage: nothing of it leaves, and no stage begins after it.
#[tokio::test(start_paused = true)]
async fn a_leak_stays_inside_whatever_single_fault_there_is() {
    for round in [0, 1] {
        let but = || Some((round, Stage::Publish, Act::End(SECOND, leak())));
        let (clean, calls) = with_fault(but(), usize::MAX, Fault::None, true).await;
        let expected = clean.kubelet.stored.lock().unwrap().clone();
        for at in 0..calls {
            for fault in [Fault::NotSent, Fault::AnswerLost, Fault::Conflict, Fault::KilledBefore, Fault::KilledAfter] {
                let (world, _) = with_fault(but(), at, fault, at % 2 == 0).await;
                world.check();
                let found = record(&world);
                assert_eq!((found.outcome, found.withheld), (Some(Outcome::Withheld), true), "{fault:?} at call {at}");
                assert_eq!((found.round, found.results.is_some()), (round, true), "{fault:?} at call {at}: {found:#?}");
                assert_eq!(*world.kubelet.stored.lock().unwrap(), expected, "{fault:?} at call {at}");
            }
        }
        let last = if round == 0 { "wf/manifest.json" } else { "wf_1/manifest.json" };
        assert!(expected[last].contains("\"release\":false"), "{expected:?}");
    }
}
