//! Storms: everything at once and at random, and then peace.

use crate::world::{Act, SECOND, World, evicted, exits, publish_fault, scripted};
use operator_engine::{
    plan::seen::WaitingCause,
    sandbox::faults::Fault,
    workflow::{Stage, State},
};
use std::time::Duration;

/// A small generator. Runs of one seed differ in what tokio picks among things that are ready at the same moment.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// Five minutes of two engines, faults at random and a person who meddles; then peace, in which everything must come to an
/// end and the judge must have nothing to say.
#[tokio::test(start_paused = true)]
async fn whatever_happens_everything_ends_and_no_rule_is_broken() {
    for seed in 0..40_u64 {
        let mut dice = Dice(seed * 77_777 + 1);
        let world = scripted(move |job, stage, attempt| {
            let mut dice = Dice(seed ^ job.len() as u64 ^ (u64::from(attempt) << 8) ^ ((stage as u64) << 16));
            dice.below(2);
            match dice.below(12) {
                0 => Act::End(SECOND, evicted()),
                1 => Act::End(SECOND, exits(3)),
                2 if stage == Stage::Publish => Act::End(SECOND, publish_fault("StorageUnavailable", "503", true)),
                // Not for a node: asked to end, such a pod goes, and a successor makes it again; it never ran.
                3 => Act::Wait(WaitingCause::Image, "not found"),
                4 => Act::Succeed(Duration::from_secs(20)),
                _ => Act::Succeed(SECOND),
            }
        });
        let stormy = tokio::time::timeout(Duration::from_mins(5), async {
            tokio::join!(storm(&world, "a", seed), storm(&world, "b", seed + 1_000), meddle(&world, &mut dice))
        });
        assert!(stormy.await.is_err());
        let calm = world.live(world.life("calm", "calm-1", |_| Fault::None)).await;
        assert!(calm, "seed {seed}");
        let broken = world.sandbox.history().violations();
        assert!(broken.is_empty(), "seed {seed}: {broken:#?}");
    }
}

/// An engine that is killed now and then, behind faults.
async fn storm(world: &World, name: &str, seed: u64) {
    for life in 0.. {
        let dice = std::sync::Mutex::new(Dice(seed * 31 + life));
        let life = world.life(&format!("engine-{name}-{}", life / 2), &format!("engine-{name}-{life}"), move |_| {
            match dice.lock().unwrap().below(120) {
                0..3 => Fault::NotSent,
                3..6 => Fault::AnswerLost,
                6..8 => Fault::Conflict,
                8 => Fault::KilledBefore,
                9 => Fault::KilledAfter,
                10 => Fault::Hangs,
                11 => Fault::Panics,
                _ => Fault::None,
            }
        });
        let killed = life.cluster.killed.clone();
        let engine = world.engine(life.me, life.cluster);
        let mut nothing = |_: &_, _: &_| {};
        let run = engine.run(tokio_util::sync::CancellationToken::new(), &mut nothing);
        tokio::select! { _ = run => {}, () = killed.cancelled() => {} }
    }
}

/// A person who registers, stops and deletes. No pods: of one deleted while nobody looks, no successor can know.
async fn meddle(world: &World, dice: &mut Dice) {
    for n in 0.. {
        tokio::time::sleep(Duration::from_millis(dice.below(6_000))).await;
        let name = format!("wf-{}", "x".repeat(usize::try_from(dice.below(8)).unwrap()) + "y");
        if n < 12 && world.sandbox.workflow(&name).is_none() {
            world.submit(&name);
        }
        match dice.below(10) {
            0 => drop(world.sandbox.delete(&name)),
            1 if world.sandbox.workflow(&name).is_some_and(|seen| seen.state != Some(State::Done)) => {
                world.sandbox.label(&name, State::Stopping);
            }
            2 => drop(world.sandbox.delete_lease_by_name("engine-a-0")),
            _ => {}
        }
    }
}
