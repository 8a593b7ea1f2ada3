//! Fail at every step: each call of a four-stage run, each kind of fault, one at a time.

use crate::world::{Life, World, essence, happy};
use operator_engine::{
    sandbox::faults::{Fault, Faulty},
    workflow::record::Holder,
};
use std::sync::Arc;

/// The lives after the first: without faults. Under the same lease, as a container restarted in its pod, or another.
fn next_life(world: &World, same_pod: bool) -> Life {
    world.life(if same_pod { "engine" } else { "engine-b" }, "engine-2", |_| Fault::None)
}

async fn with_fault(at: usize, fault: Fault, same_pod: bool) -> (World, usize) {
    let world = happy();
    world.submit("wf-1");
    let first = world.life("engine", "engine-1", move |call| if call.index == at { fault } else { Fault::None });
    let cluster = first.cluster.clone();
    if !world.live(first).await {
        assert!(world.live(next_life(&world, same_pod)).await);
    }
    let calls = cluster.calls();
    (world, calls)
}

#[tokio::test(start_paused = true)]
async fn every_single_fault_ends_in_the_same_record_and_the_same_bytes() {
    let (clean, calls) = with_fault(usize::MAX, Fault::None, true).await;
    clean.check();
    let (record, stored) = (clean.record("wf-1").unwrap(), clean.kubelet.stored.lock().unwrap().clone());
    assert!(calls > 30, "a run of {calls} calls is no four-stage run");
    let faults =
        [Fault::NotSent, Fault::AnswerLost, Fault::Conflict, Fault::Hangs, Fault::KilledBefore, Fault::KilledAfter];
    for at in 0..calls {
        for fault in faults {
            for same_pod in [true, false] {
                let dies = matches!(fault, Fault::KilledBefore | Fault::KilledAfter);
                if !dies && !same_pod {
                    continue; // Nobody takes over: both are the same run.
                }
                let (world, _) = with_fault(at, fault, same_pod).await;
                world.check();
                let found = world.record("wf-1").unwrap();
                assert_eq!(essence(&found), essence(&record), "{fault:?} at call {at}: {found:#?}");
                assert_eq!(*world.kubelet.stored.lock().unwrap(), stored, "{fault:?} at call {at}");
            }
        }
    }
}

/// Two faults: the first life ends at one call, the second at another.
#[tokio::test(start_paused = true)]
async fn two_deaths_at_any_two_calls_lose_nothing() {
    let (clean, calls) = with_fault(usize::MAX, Fault::None, true).await;
    let record = clean.record("wf-1").unwrap();
    for first in (0..calls).step_by(2) {
        for second in (0..calls - first).step_by(3) {
            let world = happy();
            world.submit("wf-1");
            let dies_at = |at: usize, fault| {
                move |call: operator_engine::sandbox::faults::Call<'_>| {
                    if call.index == at { fault } else { Fault::None }
                }
            };
            let settled = world.live(world.life("engine", "engine-1", dies_at(first, Fault::KilledAfter))).await
                || world.live(world.life("engine", "engine-2", dies_at(second, Fault::KilledBefore))).await
                || world.live(world.life("engine-b", "engine-3", |_| Fault::None)).await;
            assert!(settled);
            world.check();
            assert_eq!(essence(&world.record("wf-1").unwrap()), essence(&record), "deaths at {first} and {second}");
        }
    }
}

/// The same with another engine beside: whichever of the two acts, the end is the same.
#[tokio::test(start_paused = true)]
async fn every_single_fault_of_one_of_two_engines_ends_in_the_same_record_and_the_same_bytes() {
    let (clean, calls) = with_fault(usize::MAX, Fault::None, true).await;
    let (record, stored) = (clean.record("wf-1").unwrap(), clean.kubelet.stored.lock().unwrap().clone());
    for at in 0..calls {
        for fault in [Fault::NotSent, Fault::AnswerLost, Fault::Conflict, Fault::KilledBefore, Fault::KilledAfter] {
            let world = happy();
            world.submit("wf-1");
            let first =
                world.life("engine", "engine-1", move |call| if call.index == at { fault } else { Fault::None });
            let (_, settled) = tokio::join!(world.live(first), world.live(next_life(&world, false)));
            assert!(settled);
            world.check();
            let found = world.record("wf-1").unwrap();
            assert_eq!(essence(&found), essence(&record), "{fault:?} at call {at}: {found:#?}");
            assert_eq!(*world.kubelet.stored.lock().unwrap(), stored, "{fault:?} at call {at}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_engines_at_once_share_the_work_and_never_collide() {
    for lag in 0..12u64 {
        let world = happy();
        for n in 0..12 {
            world.submit(&format!("wf-{n}"));
        }
        let cluster = || Arc::new(Faulty::new(Arc::new(world.sandbox.clone()), |_| Fault::None));
        let me = |n: u32| Holder { lease: format!("engine-{n}"), identity: format!("engine-{n}-x") };
        let late = async {
            tokio::time::sleep(std::time::Duration::from_millis(lag * 97)).await;
            world.live(Life { me: me(2), cluster: cluster() }).await
        };
        let (one, two) = tokio::join!(world.live(Life { me: me(1), cluster: cluster() }), late);
        assert!(one && two);
        world.check();
        for n in 0..12 {
            let outcome = world.record(&format!("wf-{n}")).unwrap().outcome.unwrap();
            assert_eq!(outcome.as_str(), "succeeded");
        }
    }
}
