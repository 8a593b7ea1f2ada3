//! A process that dies, is stopped, or is not alone.

use super::world::{Calls, HOUR, World, manifest, register, results, sweep};
use crate::{
    clock::Schedule,
    sweep::{Occasion, SweepError, Swept, scheduled},
    workflow::State,
};
use serde_json::json;
use std::sync::{Arc, atomic::Ordering::SeqCst};
use tokio_util::sync::CancellationToken;

/// Two that are expired (one in both stores), one without a ConfigMap, one that stays.
async fn world() -> World {
    let mut world = World::new();
    world.policy.keep_records = Some(std::time::Duration::from_hours(1));
    world.published("one", Some(0));
    let mut two = results("two", "s3://outputs", Some(0));
    two["adminlogs"] = json!({"store": "s3://admin", "prefix": "two", "manifest": "two/manifest.json",
        "manifestSha256": two["manifestSha256"]});
    world.done("two", Some(two));
    world.outputs.put("two", None, Some(manifest("two", Some(0))));
    world.admin.put("two", None, Some(manifest("two", Some(0))));
    world.outputs.put("three", None, Some(manifest("three", Some(0))));
    world.published("stays", None);
    world.admin.put("stays", None, Some(manifest("stays", None)));
    world.workflow("refused", State::Done, "done", None);
    world.pass(2 * HOUR);
    let mut sweeper = world.sweeper("zero");
    world.confirm(&mut sweeper).await;
    world
}

fn is_finished(world: &World) {
    let stores = [&world.outputs, &world.admin].map(|shop| shop.content.lock().unwrap().len());
    assert_eq!(stores, [1, 1]);
    assert!(world.is_marked("one") && world.is_marked("two") && !world.is_marked("stays"));
    assert_eq!(world.sandbox.inventory().workflows, ["one", "stays", "two"]);
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_step_the_next_run_finishes() {
    let steps = {
        let (world, calls) = (world().await, Arc::<Calls>::default());
        let report = sweep(&mut world.doomed("all", &calls)).await;
        assert_eq!((report.deleted, report.records_deleted, report.failed), (4, 1, 0), "{report:?}");
        is_finished(&world);
        calls.count.load(SeqCst)
    };
    assert!(steps > 20, "{steps}");
    for step in 0..steps {
        for after in [false, true] {
            let (world, calls) = (world().await, Arc::<Calls>::default());
            *calls.die.lock().unwrap() = Some((step, after));
            let mut doomed = world.doomed("doomed", &calls);
            tokio::select! {
                report = sweep(&mut doomed) => panic!("step {step} was not reached: {report:?}"),
                () = calls.dead.cancelled() => {}
            }
            drop(doomed);
            let report = sweep(&mut world.sweeper("next")).await;
            assert_eq!(report.failed, 0, "{step} {after}: {report:?}");
            is_finished(&world);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_at_once_one_reports_each_result() {
    let world = Arc::new(world().await);
    (0..200).for_each(|n| world.published(&format!("wf-{n}"), Some(0)));
    let (mut one, mut two) = (world.sweeper("one"), world.sweeper("two"));
    let stop = CancellationToken::new();
    let (mut mute, mut dumb) = (|_, _| {}, |_, _| {});
    let (one, two) =
        tokio::join!(one.run(Occasion::Request, &stop, &mut mute), two.run(Occasion::Request, &stop, &mut dumb),);
    let deleted = [one.unwrap(), two.unwrap()].map(|swept| match swept {
        Swept::Done(report) => report.deleted,
        Swept::Elsewhere { holder } => u64::from(holder.is_empty()),
        Swept::NotDue => panic!("it was asked for"),
    });
    assert_eq!(deleted.iter().sum::<u64>(), 204, "{deleted:?}");
    assert!((0..200).all(|n| world.is_marked(&format!("wf-{n}"))));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_lasts_keeps_its_turn_and_a_dead_ones_is_taken() {
    let world = world().await;
    // Its deletions hang, and it is alive: it renews.
    world.outputs.hangs.store(true, SeqCst);
    let (mut slow, mut other) = (world.sweeper("slow"), world.sweeper("other"));
    let stop = CancellationToken::new();
    let (mut mute, mut dumb) = (|_, _| {}, |_, _| {});
    {
        let hangs = slow.run(Occasion::Request, &stop, &mut mute);
        let late = async {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            other.run(Occasion::Request, &stop, &mut dumb).await
        };
        tokio::select! {
            swept = hangs => panic!("{swept:?}"),
            swept = late => assert_eq!(swept.unwrap(), Swept::Elsewhere { holder: "slow".to_owned() }),
        }
    }
    world.outputs.hangs.store(false, SeqCst);
    assert!(matches!(other.run(Occasion::Request, &stop, &mut |_, _| {}).await.unwrap(), Swept::Done(_)));
    is_finished(&world);
}

#[tokio::test]
async fn told_to_stop_it_begins_nothing_new_and_leaves_the_rest_for_the_next() {
    let world = world().await;
    (0..50).for_each(|n| world.published(&format!("wf-{n}"), Some(0)));
    let (stop, mut sweeper) = (CancellationToken::new(), world.sweeper("one"));
    let asked = stop.clone();
    let mut tell = move |done: usize, _| {
        if done == 10 {
            asked.cancel()
        }
    };
    let Swept::Done(report) = sweeper.run(Occasion::Request, &stop, &mut tell).await.unwrap() else { panic!() };
    assert!(!report.complete && report.deleted >= 5 && report.deleted < 20, "{report:?}");
    let marked = (0..50).filter(|n| world.is_marked(&format!("wf-{n}"))).count();
    let left =
        world.outputs.content.lock().unwrap().keys().filter(|stored| stored.job.as_str().starts_with("wf")).count();
    assert_eq!(marked + left, 50, "whatever was begun was finished");
    assert!(sweep(&mut world.sweeper("two")).await.complete);
    assert!((0..50).all(|n| world.is_marked(&format!("wf-{n}"))));
}

#[tokio::test]
async fn what_was_listed_is_looked_at_again_before_it_is_deleted() {
    // While the manifest of what was expired is read, somebody registers a workflow of its name anew.
    for had_workflow in [false, true] {
        let world = World::new();
        world.outputs.put("job", None, Some(manifest("job", Some(0))));
        if had_workflow {
            world.done("job", Some(results("job", "s3://outputs", Some(0))));
        }
        let mut sweeper = world.sweeper("one");
        world.pass(HOUR);
        world.confirm(&mut sweeper).await;
        let sandbox = world.sandbox.clone();
        *world.outputs.meanwhile.lock().unwrap() = Some(Box::new(move || {
            sandbox.delete("job");
            register(&sandbox, "job", State::Active, "publish", None);
        }));
        let report = sweep(&mut sweeper).await;
        assert_eq!((report.deleted, report.kept), (0, 1), "{report:?}");
        assert!(world.outputs.has("job") && world.outputs.meanwhile.lock().unwrap().is_none());
    }
}

#[tokio::test]
async fn a_mark_spares_what_others_wrote_and_is_not_made_on_a_namesake() {
    let world = World::new();
    world.published("one", Some(0));
    world.published("stays", None);
    let mut sweeper = world.sweeper("one");
    world.pass(HOUR);
    world.confirm(&mut sweeper).await;
    // Whoever tells of the end writes the record too.
    let sandbox = world.sandbox.clone();
    let status = sandbox.workflow("one").unwrap().status.unwrap();
    let changed = status.replace("\"attempt\":0", "\"attempt\":0,\"failures\":7");
    assert_ne!(status, changed);
    *world.outputs.while_removing.lock().unwrap() =
        Some(Box::new(move || assert!(sandbox.annotate("one", Some(changed)))));
    let report = sweep(&mut sweeper).await;
    assert_eq!((report.deleted, report.failed), (1, 0), "{report:?}");
    assert!(world.is_marked("one"));
    assert!(world.sandbox.workflow("one").unwrap().status.unwrap().contains("\"failures\":7"));

    world.published("two", Some(0));
    let sandbox = world.sandbox.clone();
    *world.outputs.while_removing.lock().unwrap() = Some(Box::new(move || {
        sandbox.delete("two");
        register(&sandbox, "two", State::Done, "done", Some(results("two", "s3://outputs", Some(0))));
    }));
    let report = sweep(&mut sweeper).await;
    assert_eq!((report.deleted, report.failed), (1, 0), "{report:?}");
    assert!(!world.is_marked("two"), "its results are another run's concern");
}

#[tokio::test]
async fn a_firing_that_nobody_was_there_for_is_made_up_for_once_and_the_end_is_awaited() {
    let world = world().await;
    let stop = CancellationToken::new();
    let mut told = Vec::new();
    // Fires once in four years: what runs now is what was missed.
    let schedule = "0 0 3 29 2 *".parse::<Schedule>().unwrap();
    {
        let (ends, told) = (stop.clone(), &mut told);
        let tell = move |swept: Result<Swept, SweepError>| {
            told.push(swept.unwrap());
            ends.cancel();
        };
        world.pass(5 * 365 * 24 * HOUR);
        scheduled::run(world.sweeper("engine"), schedule.clone(), stop.clone(), tell).await.unwrap();
    }
    let [Swept::Done(report)] = told.as_slice() else { panic!("{told:?}") };
    assert!(report.complete && report.deleted == 4, "{report:?}");
    is_finished(&world);
    // Another engine that starts now finds nothing missed.
    let again =
        world.sweeper("another").run(Occasion::Schedule(&schedule), &CancellationToken::new(), &mut |_, _| {}).await;
    assert_eq!(again.unwrap(), Swept::NotDue);
}
