//! Workflows of several stages: each one's results have a name and a time of their own.

use super::world::{Calls, DAY, HOUR, World, manifest, results, sweep};
use crate::{
    sweep::decide::Reason,
    workflow::{ResultId, State},
};
use serde_json::{Value, json};
use std::sync::{Arc, atomic::Ordering::SeqCst};

/// A finished workflow with a stage for each of these times, all published.
fn published(world: &World, job: &str, expires: &[Option<i64>]) {
    let id = |stage: usize| ResultId::of(job.parse().unwrap(), u32::try_from(stage).unwrap()).to_string();
    let last = expires.len() - 1;
    let of = |stage: usize| results(&id(stage), "s3://outputs", expires[stage]);
    world.done(job, Some(of(last)));
    let status = world.sandbox.workflow(job).unwrap().status.unwrap();
    let mut record: Value = serde_json::from_str(&status).unwrap();
    record["stage"] = json!(last);
    record["earlier"] = (0..last).map(|stage| json!({"times": {}, "results": of(stage)})).collect();
    world.sandbox.annotate(job, Some(record.to_string()));
    world.sandbox.label(job, State::Done);
    for (stage, expires) in expires.iter().enumerate() {
        let mut manifest = manifest(job, *expires);
        if stage > 0 {
            manifest["stage"] = json!(stage);
        }
        world.outputs.put(&id(stage), None, Some(manifest));
    }
}

/// Which stages the record calls deleted.
fn marked(world: &World, job: &str) -> Vec<bool> {
    let record: Value = serde_json::from_str(&world.sandbox.workflow(job).unwrap().status.unwrap()).unwrap();
    let earlier = record["earlier"].as_array().cloned().unwrap_or_default();
    let all = earlier.iter().map(|round| &round["results"]).chain([&record["results"]]);
    all.map(|results| results.get("deletedAt").is_some()).collect()
}

#[tokio::test]
async fn each_stages_results_go_at_their_own_time_and_the_configmap_with_the_last() {
    let mut world = World::new();
    world.policy.keep_records = Some(std::time::Duration::from_secs(60));
    published(&world, "wf", &[Some(HOUR), None, Some(DAY)]);
    published(&world, "other", &[Some(HOUR), Some(HOUR)]);
    world.published("another", None);
    let mut sweeper = world.sweeper("one");
    world.pass(2 * HOUR);
    world.confirm(&mut sweeper).await;
    let report = sweep(&mut sweeper).await;
    assert_eq!((report.deleted, report.failed), (3, 0), "{report:?}");
    assert_eq!(marked(&world, "wf"), [true, false, false]);
    assert_eq!(marked(&world, "other"), [true, true]);
    for (name, there) in [("wf", false), ("wf_1", true), ("wf_2", true), ("other", false), ("other_1", false)] {
        assert_eq!(world.outputs.has(name), there, "{name}");
    }
    world.pass(DAY);
    world.confirm(&mut sweeper).await;
    sweep(&mut sweeper).await;
    assert_eq!(marked(&world, "wf"), [true, false, true]);
    world.confirm(&mut sweeper).await;
    sweep(&mut sweeper).await;
    assert!(world.sandbox.workflow("wf").is_some(), "the second stage's results stay for ever");
    assert!(world.sandbox.workflow("other").is_none());
}

#[tokio::test]
async fn one_stages_failure_holds_up_no_other() {
    let world = World::new();
    published(&world, "wf", &[Some(HOUR), Some(HOUR)]);
    world.published("another", None);
    // What is stored as the second stage's is not the one that the record speaks of.
    world.outputs.put("wf_1", None, Some(manifest("wf", Some(HOUR))));
    let mut sweeper = world.sweeper("one");
    world.pass(2 * HOUR);
    world.confirm(&mut sweeper).await;
    let report = sweep(&mut sweeper).await;
    assert_eq!((report.deleted, report.skipped[&Reason::ForeignManifest]), (1, 1), "{report:?}");
    assert_eq!(marked(&world, "wf"), [true, false]);
    assert!(world.outputs.has("wf_1"));
}

#[tokio::test]
async fn a_deleted_configmap_of_several_stages_leaks_nothing_and_takes_no_namesakes() {
    let world = World::new();
    published(&world, "wf", &[Some(HOUR), Some(DAY)]);
    // A workflow that is called nearly like a stage's results.
    world.published("wf.1", Some(DAY));
    world.sandbox.delete("wf");
    let mut sweeper = world.sweeper("one");
    world.pass(2 * HOUR);
    world.confirm(&mut sweeper).await;
    assert_eq!(sweep(&mut sweeper).await.deleted, 1);
    assert!(!world.outputs.has("wf") && world.outputs.has("wf_1") && world.outputs.has("wf.1"));
    world.pass(DAY);
    world.confirm(&mut sweeper).await;
    assert_eq!(sweep(&mut sweeper).await.deleted, 2);
    assert!(world.is_marked("wf.1"));
}

#[tokio::test]
async fn what_an_active_workflow_has_stored_stays_whatever_its_time() {
    let world = World::new();
    world.workflow("wf", State::Active, "algorithm", None);
    world.outputs.put("wf", None, Some(manifest("wf", Some(HOUR))));
    world.outputs.put("wf_1", None, None);
    let mut sweeper = world.sweeper("one");
    world.pass(30 * DAY);
    world.confirm(&mut sweeper).await;
    assert_eq!(sweep(&mut sweeper).await.deleted, 0);
    assert!(world.outputs.has("wf") && world.outputs.has("wf_1"));
}

/// Three stages whose time is up, as an earlier run has confirmed.
async fn expired() -> World {
    let world = World::new();
    published(&world, "wf", &[Some(HOUR), Some(HOUR), Some(HOUR)]);
    for shop in [&world.outputs, &world.admin] {
        shop.put("another", None, Some(manifest("another", None)));
    }
    world.pass(2 * HOUR);
    world.confirm(&mut world.sweeper("first")).await;
    world
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_step_the_next_run_finishes_all_stages() {
    let steps = {
        let (world, calls) = (expired().await, Arc::<Calls>::default());
        assert_eq!(sweep(&mut world.doomed("all", &calls)).await.deleted, 3);
        calls.count.load(SeqCst)
    };
    assert!(steps > 20, "{steps}");
    for step in 0..steps {
        for after in [false, true] {
            let (world, calls) = (expired().await, Arc::<Calls>::default());
            *calls.die.lock().unwrap() = Some((step, after));
            let mut doomed = world.doomed("doomed", &calls);
            tokio::select! {
                report = sweep(&mut doomed) => panic!("step {step} was not reached: {report:?}"),
                () = calls.dead.cancelled() => {}
            }
            drop(doomed);
            assert_eq!(sweep(&mut world.sweeper("next")).await.failed, 0, "{step} {after}");
            assert_eq!(marked(&world, "wf"), [true; 3], "killed at {step}, after it: {after}");
            let left: Vec<_> = world.outputs.content.lock().unwrap().keys().map(|left| left.job.to_string()).collect();
            assert_eq!(left, ["another"]);
        }
    }
}
