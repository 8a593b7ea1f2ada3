//! What was not looked at proves nothing: an engine that cannot see, or sees late, neither robs nor lets out nor waits for ever.

use crate::world::{Act, DOCUMENT, SECOND, World, evicted, scripted};
use operator_engine::{
    clock::Clock as _,
    plan::seen::WaitingCause,
    sandbox::{
        faults::Fault,
        history::{Event, History},
    },
    workflow::{Outcome, Phase, Stage, State},
};
use std::{collections::BTreeMap, time::Duration};

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
