//! Engines killed at random moments, again and again, and what became of the work.

use crate::{
    audit,
    cluster::{Cluster, eventually},
    engine::{Engine, Setup},
    kubelet::{Act, Kubelet},
    namespace::Namespace,
    runner::figure,
};
use operator_engine::workflow::Outcome;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

const WORKFLOWS: usize = 24;
const KILLS: usize = 56;

/// Numbers that look random and are the same in every run (splitmix64; prng.di.unimi.it/splitmix64.c).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// Short leases, so that also engines under new names get to take over within a life.
fn setup(instance: String) -> Setup {
    Setup::named(instance)
        .eager()
        .with("LIMITS__MAX_JOBS", "8")
        .with("LOOP__REQUEST_TIMEOUT", "1s")
        .with("LEASE__DURATION", "2s")
        .with("LEASE__RETRY_PERIOD", "300ms")
}

/// Two engines share the work. One restarts under its own name, as a container does, the other under new ones, as a pod of a
/// deployment does. Both are killed, whatever they are doing, until there were enough kills and no work is left.
pub(crate) async fn killed_engines_lose_nothing_and_do_nothing_twice(cluster: &'static Cluster) {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_124);
    let namespace = Namespace::new(cluster, "kills").await;
    let kubelet = namespace.kubelet(|job| {
        let mut dice = Dice(job.name.bytes().map(u64::from).sum::<u64>() + 31 * job.stage as u64);
        Act::Succeed(Duration::from_millis(100 + dice.below(1500)))
    });
    let kills = AtomicUsize::new(0);
    let began = Instant::now();
    let submit = async {
        // Some come while engines die, so that claims are hit too.
        for n in 0..WORKFLOWS {
            namespace.submit(&format!("wf-{n}")).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let same = die(&namespace, &kubelet, &kills, Dice(seed), |_| "same".to_owned());
    let other = die(&namespace, &kubelet, &kills, Dice(!seed), |life| format!("other-{life}"));
    tokio::join!(submit, same, other);
    let kills = kills.into_inner();

    // Whoever comes last cleans up, and waits for the tombstones of those who died.
    let last = Engine::start(cluster, &namespace, &setup("last".to_owned()));
    for n in 0..WORKFLOWS {
        let record = namespace.finished(&format!("wf-{n}")).await;
        assert_eq!(record.outcome, Some(Outcome::Succeeded), "seed {seed}: {record:?}");
        assert_eq!(record.failures, 0, "seed {seed}: nothing failed but engines: {record:?}");
    }
    namespace.clean(Duration::from_secs(60)).await;
    eventually("leases of dead engines are gone", Duration::from_secs(60), async || {
        let leases = namespace.leases.list_metadata(&Default::default()).await.unwrap().items.len();
        (leases == 1).then_some(())
    })
    .await;
    assert!(last.terminate().await.success());

    namespace.no_pod_twice();
    let created = audit::pods_created(cluster, &namespace.name);
    let wanted = 4 * WORKFLOWS;
    assert_eq!(created.len(), wanted, "seed {seed}: four pods a workflow, no second attempts");
    kubelet.saw(|saw| {
        let twice: Vec<_> = saw.ran.iter().filter(|(_, uids)| uids.len() != 1).collect();
        assert!(twice.is_empty(), "seed {seed}: ran more than once: {twice:?}");
        assert_eq!(saw.ran.len(), wanted, "seed {seed}");
    });
    let unheard = created.values().filter(|times| **times == 0).count();
    assert!(kills >= 50, "{kills}");
    figure(
        "kill -9 at random moments",
        format!("{kills} kills over {WORKFLOWS} workflows: all done, {} pods, none twice, nothing left", created.len()),
    );
    figure("  killed between a pod's creation and the answer", unheard.to_string());
    figure("  from the first start until nothing was left", format!("{:.1} s", began.elapsed().as_secs_f64()));
}

/// One engine's lives, each ended by SIGKILL.
async fn die(
    namespace: &Namespace,
    kubelet: &Kubelet,
    kills: &AtomicUsize,
    mut dice: Dice,
    name: impl Fn(usize) -> String,
) {
    for life in 0.. {
        if kills.load(Ordering::Relaxed) >= KILLS {
            break;
        }
        let engine = Engine::start(namespace.cluster, namespace, &setup(name(life)));
        // Some die before they have done anything, some live long enough to take over from a dead one.
        let long = dice.below(4) == 0;
        let life = Duration::from_millis(150 + dice.below(if long { 3500 } else { 900 }));
        if dice.below(3) == 0 {
            // And some while they wait for the answer about a pod that is there already.
            let _ = tokio::time::timeout(life * 2, kubelet.next_pod()).await;
        } else {
            tokio::time::sleep(life).await;
        }
        engine.kill().await;
        kills.fetch_add(1, Ordering::Relaxed);
    }
}
