//! Engines that die, are paused, are replaced: who goes on, how soon, and that nobody collides.

use crate::world::{Act, Life, SECOND, World, happy, scripted};
use operator_engine::{
    sandbox::{faults::Fault, history::Event},
    supervisor::Ended,
    workflow::{Outcome, record::Holder},
};
use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

/// Time from `moment` to the first record that names `identity`.
fn first_record_after(world: &World, moment: Duration, identity: &str) -> Duration {
    let history = world.sandbox.history();
    let first = history.events().iter().find_map(|(at, event)| match event {
        Event::Recorded { record, .. } if record.holder.identity == identity => Some(*at),
        _ => None,
    });
    first.unwrap().saturating_sub(moment)
}

/// Kills an engine at `at` and starts the next life at once.
async fn killed_at(at: Duration, next: &Holder) -> (World, Duration) {
    let world = scripted(|_, _, _| Act::Succeed(Duration::from_secs(20)));
    for n in 0..5 {
        world.submit(&format!("wf-{n}"));
    }
    let first = world.live(world.life("pod-uid-1", "process-1", |_| Fault::None));
    assert!(tokio::time::timeout(at, first).await.is_err());
    let moment = world.clock_now();
    assert!(world.live(world.life(&next.lease, &next.identity, |_| Fault::None)).await);
    world.check();
    let delay = first_record_after(&world, moment, &next.identity);
    (world, delay)
}

fn holder(lease: &str, identity: &str) -> Holder {
    Holder { lease: lease.to_owned(), identity: identity.to_owned() }
}

#[tokio::test(start_paused = true)]
async fn a_restarted_container_goes_on_within_a_second() {
    for at in [1, 5, 15, 30, 47, 61] {
        let (world, delay) = killed_at(Duration::from_secs(at), &holder("pod-uid-1", "process-2")).await;
        assert!(delay <= SECOND, "after {at} s: {delay:?}");
        for n in 0..5 {
            assert_eq!(world.record(&format!("wf-{n}")).unwrap().outcome, Some(Outcome::Succeeded));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_engine_goes_on_within_a_lease_duration_and_two_ticks() {
    for at in [1, 5, 15, 30, 47, 61] {
        let (world, delay) = killed_at(Duration::from_secs(at), &holder("pod-uid-2", "process-2")).await;
        let limit = world.policy.lease.duration + 2 * world.policy.lease.retry_period;
        assert!(delay <= limit, "after {at} s: {delay:?}");
        assert!(
            delay >= Duration::from_secs(10),
            "after {at} s: nobody may act before the lease has run out: {delay:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_watches_already_takes_over_as_soon() {
    for at in [2_000, 6_300, 17_100, 33_800] {
        let world = scripted(|_, _, _| Act::Succeed(Duration::from_secs(20)));
        world.submit("wf-1");
        let first = world.live(world.life("pod-uid-1", "process-1", |_| Fault::None));
        let first = tokio::time::timeout(Duration::from_millis(at), first);
        let second = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            world.live(world.life("pod-uid-2", "process-2", |_| Fault::None)).await
        };
        let (first, second) = tokio::join!(first, second);
        assert!(first.is_err() && second);
        world.check();
        let delay = first_record_after(&world, Duration::from_millis(at), "process-2");
        let limit = world.policy.lease.duration + 2 * world.policy.lease.retry_period;
        assert!(delay <= limit, "{delay:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_told_to_stop_lets_others_go_on_at_once() {
    let world = scripted(|_, _, _| Act::Succeed(Duration::from_secs(20)));
    world.submit("wf-1");
    let life = world.life("pod-uid-1", "process-1", |_| Fault::None);
    let engine = world.engine(life.me, life.cluster);
    let stop = CancellationToken::new();
    let sigterm = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        stop.cancel();
    };
    let mut nothing = |_: &_, _: &_| {};
    let (ended, ()) = tokio::join!(engine.run(stop.clone(), &mut nothing), sigterm);
    assert_eq!(ended, Ok(()));
    let moment = world.clock_now();
    assert!(world.live(world.life("pod-uid-2", "process-2", |_| Fault::None)).await);
    world.check();
    assert!(first_record_after(&world, moment, "process-2") <= SECOND);
}

/// A future that is not polled for a while: what SIGSTOP and SIGCONT do to a process, at whatever await it is.
pub(crate) struct Paused<F> {
    inner: Pin<Box<F>>,
    from: Instant,
    until: Instant,
    timer: Pin<Box<Sleep>>,
}

impl<F: Future> Future for Paused<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let now = Instant::now();
        if now >= self.from && now < self.until {
            let until = self.until;
            self.timer.as_mut().reset(until);
            if self.timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
        self.inner.as_mut().poll(context)
    }
}

pub(crate) fn paused<F: Future>(inner: F, from: Duration, length: Duration) -> Paused<F> {
    let from = Instant::now() + from;
    let until = from + length;
    Paused { inner: Box::pin(inner), from, until, timer: Box::pin(tokio::time::sleep_until(until)) }
}

#[tokio::test(start_paused = true)]
async fn an_engine_paused_past_its_lease_does_no_harm_when_it_goes_on() {
    for moment in (0..7_000).step_by(70) {
        for length in [14, 60, 1_000] {
            let world = happy();
            world.submit("wf-1");
            world.submit("wf-2");
            let zombie = world.live(world.life("pod-uid-1", "process-1", |_| Fault::None));
            let zombie = paused(zombie, Duration::from_millis(moment), Duration::from_secs(length));
            let other = async {
                tokio::time::sleep(Duration::from_millis(moment)).await;
                world.live(world.life("pod-uid-2", "process-2", |_| Fault::None)).await
            };
            let (zombie, other) = tokio::join!(zombie, other);
            assert!(zombie && other);
            world.check();
            for name in ["wf-1", "wf-2"] {
                let outcome = world.record(name).unwrap().outcome;
                assert_eq!(outcome, Some(Outcome::Succeeded), "paused at {moment} ms for {length} s");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_whose_lease_a_successor_took_ends_itself() {
    let world = scripted(|_, _, _| Act::Succeed(Duration::from_secs(60)));
    world.submit("wf-1");
    let life = world.life("pod-uid-1", "process-1", |_| Fault::None);
    let zombie = world.engine(life.me, life.cluster);
    let forever = CancellationToken::new();
    let mut nothing = |_: &_, _: &_| {};
    let zombie = pin!(zombie.run(forever, &mut nothing));
    let zombie = paused(zombie, Duration::from_secs(5), Duration::from_secs(10));
    let successor = async {
        tokio::time::sleep(Duration::from_secs(6)).await;
        world.live(world.life("pod-uid-1", "process-2", |_| Fault::None)).await
    };
    let (zombie, successor) = tokio::join!(zombie, successor);
    assert_eq!(zombie, Err(Ended::Replaced { by: "process-2".to_owned() }));
    assert!(successor);
    world.check();
}

#[tokio::test(start_paused = true)]
async fn a_lease_deleted_by_hand_is_made_anew() {
    let world = scripted(|_, _, _| Act::Succeed(Duration::from_secs(30)));
    world.submit("wf-1");
    let hand = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert!(world.sandbox.delete_lease_by_name("engine"));
    };
    tokio::join!(world.run(), hand);
    assert_eq!(world.record("wf-1").unwrap().outcome, Some(Outcome::Succeeded));
}

#[tokio::test(start_paused = true)]
async fn after_a_takeover_pods_stay_as_tombstones_until_no_request_can_be_under_way() {
    let world = happy();
    world.submit("wf-1");
    let first = world.life("pod-uid-1", "process-1", |_| Fault::None);
    assert!(tokio::time::timeout(Duration::from_millis(2_500), world.live(first)).await.is_err());
    assert!(world.live(world.life("pod-uid-1", "process-2", |_| Fault::None)).await);
    world.check();
    let history = world.sandbox.history();
    let done = history.events().iter().rev().find(|(_, event)| matches!(event, Event::Recorded { .. })).unwrap().0;
    let gone = history.events().iter().find(|(_, event)| matches!(event, Event::PodDeleted { .. })).unwrap().0;
    assert!(gone >= done + world.policy.lease.duration + world.policy.request_timeout, "{done:?} {gone:?}");
}

#[tokio::test(start_paused = true)]
async fn leases_of_dead_engines_do_not_pile_up() {
    let world = scripted(|_, _, _| Act::Succeed(Duration::from_secs(90)));
    world.submit("wf-1");
    for n in 0..6 {
        let life = world.life(&format!("pod-{n}"), &format!("process-{n}"), |_| Fault::None);
        let _ = tokio::time::timeout(Duration::from_secs(30), world.live(life)).await;
    }
    let life: Life = world.life("pod-last", "process-last", |_| Fault::None);
    assert!(world.live(life).await);
    world.submit("wf-2");
    world.submit("wf-3");
    assert!(world.live(world.life("pod-last", "process-last-2", |_| Fault::None)).await);
    world.check();
    assert_eq!(world.sandbox.inventory().leases, ["pod-last"]);
}
