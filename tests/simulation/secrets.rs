//! Secrets as workflows: the same life as a ConfigMap's, and of two of one name only one that starts.

use crate::world::{Act, SECOND, World, essence, happy, scripted};
use operator_engine::{
    plan::{Policy, kind},
    sandbox::{faults::Fault, history::Event},
    workflow::{Outcome, State},
};
use std::{collections::BTreeSet, time::Duration};
use tokio_util::sync::CancellationToken;

fn with_secrets(world: World) -> World {
    let policy = Policy { secrets: true, ..world.policy.clone() };
    World { sandbox: world.sandbox.clone().with_secrets(), policy, ..world }
}

/// What is recorded of a workflow's end.
fn end(world: &World, name: &str) -> (Option<Outcome>, Option<String>) {
    let record = world.record(name).unwrap_or_else(|| panic!("{name} has no record"));
    (record.outcome, record.reason)
}

fn taken() -> (Option<Outcome>, Option<String>) {
    (Some(Outcome::Refused), Some("NameTaken".to_owned()))
}

fn succeeded() -> (Option<Outcome>, Option<String>) {
    (Some(Outcome::Succeeded), None)
}

/// Of each job, one workflow at most ever had pods.
fn one_of_each_name_ran(world: &World, names: &[&str]) {
    let ran: BTreeSet<_> = world
        .sandbox
        .history()
        .events()
        .iter()
        .filter_map(|(_, event)| match event {
            Event::PodCreated { workflow, .. } => Some(workflow.clone()),
            _ => None,
        })
        .collect();
    for name in names {
        let of_job = [(*name).to_owned(), kind::namesake(name)].map(|name| world.sandbox.uid(&name));
        let both = of_job.iter().flatten().filter(|uid| ran.contains(*uid)).count();
        assert!(both <= 1, "both workflows of {name} had pods");
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_runs_as_a_config_map_does_whatever_single_thing_goes_wrong() {
    let as_config_map = with_secrets(happy());
    as_config_map.submit("wf-1");
    as_config_map.run().await;
    let expected = essence(&as_config_map.record("wf-1").unwrap());

    let run = async |at: usize, fault: Fault| {
        let world = with_secrets(happy());
        world.submit("secret/wf-1");
        let first = world.life("engine", "engine-1", move |call| if call.index == at { fault } else { Fault::None });
        let cluster = first.cluster.clone();
        if !world.live(first).await {
            assert!(world.live(world.life("other", "engine-2", |_| Fault::None)).await);
        }
        world.check();
        let found = world.record("secret/wf-1").unwrap();
        assert_eq!(essence(&found), expected, "{fault:?} at call {at}: {found:#?}");
        cluster.calls()
    };
    let calls = run(usize::MAX, Fault::None).await;
    for at in 0..calls {
        for fault in [Fault::NotSent, Fault::AnswerLost, Fault::Conflict, Fault::KilledBefore, Fault::KilledAfter] {
            run(at, fault).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_secrets_are_none_nobody_looks_at_them() {
    let world = happy();
    world.submit("wf-1");
    assert!(world.sandbox.submit("secret/wf-2", [("workflow.json".to_owned(), b"{}".to_vec())].into()));
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = asked.clone();
    let life = world.life("engine", "engine-1", move |call| {
        heard.lock().unwrap().push(format!("{} {}", call.method, call.object));
        Fault::None
    });
    let engine = world.engine(life.me, life.cluster);
    let stop = CancellationToken::new();
    let minute = async {
        tokio::time::sleep(Duration::from_mins(1)).await;
        stop.cancel();
    };
    let mut nothing = |_: &_, _: &_| {};
    let (ended, ()) = tokio::join!(engine.run(stop.clone(), &mut nothing), minute);
    assert_eq!(ended, Ok(()));
    assert_eq!((end(&world, "wf-1"), world.state("secret/wf-2")), (succeeded(), State::Pending));
    let asked = asked.lock().unwrap();
    assert!(asked.len() > 20 && !asked.iter().any(|call| call.contains("secret") || call.contains("namesake")));
}

#[tokio::test(start_paused = true)]
async fn of_two_that_wait_the_older_one_is_the_job_and_of_one_second_the_config_map() {
    for (first, second, pause) in [("wf", "secret/wf", 5), ("secret/wf", "wf", 5), ("wf", "secret/wf", 0)] {
        let world = with_secrets(happy());
        world.submit(first);
        tokio::time::sleep(SECOND * pause).await;
        world.submit(second);
        world.run().await;
        assert_eq!((end(&world, first), end(&world, second)), (succeeded(), taken()), "{first} before {second}");
        one_of_each_name_ran(&world, &["wf"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_running_workflow_is_not_disturbed_by_another_of_its_name() {
    for (running, other) in [("wf", "secret/wf"), ("secret/wf", "wf")] {
        for after in [0, 1, 2, 3, 5, 8, 12, 30] {
            for state in [State::Pending, State::Stopping, State::Active, State::Done] {
                let world = with_secrets(scripted(|_, _, _| Act::Succeed(SECOND * 3)));
                world.submit(running);
                let hostile = async {
                    tokio::time::sleep(SECOND * after + Duration::from_millis(500)).await;
                    world.submit(other);
                    world.sandbox.label(other, state);
                };
                // Whether it has ended by then or not.
                let (_, ()) = tokio::join!(world.live(world.life("engine", "engine-1", |_| Fault::None)), hostile);
                let calm = world.live(world.life("engine", "engine-2", |_| Fault::None)).await;
                assert!(calm);
                assert_eq!(end(&world, running), succeeded(), "{other} came as {state:?} after {after} s");
                assert!(world.record(other).is_none_or(|record| record.outcome != Some(Outcome::Succeeded)));
                one_of_each_name_ran(&world, &["wf"]);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_a_stranger_wrote_takes_no_name_from_one_that_runs() {
    let world = with_secrets(scripted(|_, _, _| Act::Succeed(SECOND * 20)));
    world.submit("wf");
    let hostile = async {
        tokio::time::sleep(SECOND * 30).await;
        let record = world.record("wf").unwrap();
        world.submit("secret/wf");
        // As if it were as far, and somebody's who is gone.
        let forged = operator_engine::workflow::Record {
            holder: operator_engine::workflow::record::Holder { lease: "gone".to_owned(), identity: "gone".to_owned() },
            ..record
        };
        world.sandbox.annotate("secret/wf", Some(forged.render()));
        world.sandbox.label("secret/wf", State::Active);
    };
    let (_, ()) = tokio::join!(world.live(world.life("engine", "engine-1", |_| Fault::None)), hostile);
    assert_eq!((end(&world, "wf"), end(&world, "secret/wf")), (succeeded(), taken()));
    one_of_each_name_ran(&world, &["wf"]);
    world.check();
}

#[tokio::test(start_paused = true)]
async fn a_name_whose_job_is_over_is_taken_until_its_record_is_gone() {
    let world = with_secrets(happy());
    world.submit("wf");
    world.run().await;
    let stored = world.kubelet.stored.lock().unwrap().clone();
    world.submit("secret/wf");
    // An engine that never saw the first one.
    assert!(world.live(world.life("other", "other-1", |_| Fault::None)).await);
    assert_eq!((end(&world, "secret/wf"), &*world.kubelet.stored.lock().unwrap()), (taken(), &stored));
    assert!(world.sandbox.delete("secret/wf") && world.sandbox.delete("wf"));
    world.submit("secret/wf");
    assert!(world.live(world.life("other", "other-2", |_| Fault::None)).await);
    assert_eq!(end(&world, "secret/wf"), succeeded());
    world.check();
}

#[tokio::test(start_paused = true)]
async fn engines_that_race_for_two_of_one_name_never_start_both() {
    for seed in 0..200_u64 {
        let world = with_secrets(happy());
        // Behind calls of different length, so that claims and looks come in every order.
        let slow = |world: &World, name: &str, salt: u64| {
            let n = std::sync::atomic::AtomicU64::new(seed.wrapping_mul(7919) + salt);
            world.life(name, name, move |_| {
                let at = n.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 60 < 3 { Fault::NotSent } else { Fault::None }
            })
        };
        let people = async {
            for job in 0..4_u64 {
                let names = [format!("wf-{job}"), format!("secret/wf-{job}")];
                let first = usize::try_from((seed + job) % 2).unwrap();
                world.submit(&names[first]);
                tokio::time::sleep(Duration::from_millis(seed * 37 % 1500)).await;
                world.submit(&names[1 - first]);
            }
        };
        let both = tokio::time::timeout(Duration::from_mins(2), async {
            let (a, b) = (slow(&world, "a", 1), slow(&world, "b", 2));
            tokio::join!(live_on(&world, a), live_on(&world, b), people)
        });
        assert!(both.await.is_err());
        assert!(world.live(world.life("calm", "calm-1", |_| Fault::None)).await);
        one_of_each_name_ran(&world, &["wf-0", "wf-1", "wf-2", "wf-3"]);
        world.check();
    }
}

/// Goes on when everything is at its end.
async fn live_on(world: &World, life: crate::world::Life) {
    let engine = world.engine(life.me, life.cluster);
    let mut nothing = |_: &_, _: &_| {};
    let _ = engine.run(CancellationToken::new(), &mut nothing).await;
}

#[tokio::test(start_paused = true)]
async fn a_name_is_free_the_moment_its_last_workflow_is_deleted() {
    for (first, second) in [("wf", "secret/wf"), ("secret/wf", "wf")] {
        for after in 0..60 {
            let world = with_secrets(happy());
            world.submit(first);
            let person = async {
                // While it waits, runs, is over, is cleaned up.
                tokio::time::sleep(Duration::from_millis(250 * after + 10)).await;
                assert!(world.sandbox.delete(first));
                world.submit(second);
            };
            let (_, ()) = tokio::join!(live_a_while(&world), person);
            assert_eq!(end(&world, second), succeeded(), "{first} was deleted after {after} quarters of a second");
            world.check();
        }
    }
}

async fn live_a_while(world: &World) {
    let life = world.life("engine", "engine-1", |_| Fault::None);
    let _ = tokio::time::timeout(Duration::from_mins(3), live_on(world, life)).await;
}
