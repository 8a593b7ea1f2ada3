//! Who goes on when an engine ends, pauses or is joined by another, and how soon. With the default Leases: 15 s, 2 s.

use crate::{
    audit::{self, Request},
    cluster::{Cluster, eventually},
    engine::{Engine, Setup},
    kubelet::{Act, Kubelet},
    namespace::{Namespace, PATIENCE},
    runner::figure,
};
use jiff::{SignedDuration, Timestamp};
use nix::sys::signal::Signal;
use operator_engine::{
    cluster::kube::announce,
    workflow::{Outcome, Stage, State},
};
use std::time::Duration;

const LEASE: SignedDuration = SignedDuration::from_secs(15);
/// A tick of the Lease: other engines' Leases are looked at this often.
const TICK: SignedDuration = SignedDuration::from_secs(2);

/// An engine of this name. What it does about notifications is no sign of who has which workflow.
fn named(name: &str) -> Setup {
    Setup::named(name).without_notifications()
}

/// A namespace with workflows whose algorithms run this long, all of them in work.
async fn at_work(cluster: &'static Cluster, name: &str, first: &str, seconds: u64) -> (Namespace, Kubelet, Engine) {
    let namespace = Namespace::new(cluster, name).await;
    let kubelet = namespace.kubelet(move |job| {
        let long = job.stage == Stage::Algorithm && job.name.starts_with("wf-");
        Act::Succeed(Duration::from_millis(if long { seconds * 1000 } else { 300 }))
    });
    for n in 0..3 {
        namespace.submit(&format!("wf-{n}")).await;
    }
    let engine = Engine::start(cluster, &namespace, &named(first));
    for n in 0..3 {
        namespace.pod_in(&format!("wf-{n}-algorithm-0"), "Running").await;
    }
    (namespace, kubelet, engine)
}

/// Everything went well, whoever did it.
async fn all_is_well(namespace: &Namespace, kubelet: &Kubelet) {
    for n in 0..3 {
        let record = namespace.finished(&format!("wf-{n}")).await;
        assert_eq!((record.outcome, record.failures), (Some(Outcome::Succeeded), 0), "{record:?}");
    }
    namespace.no_pod_twice();
    assert_eq!(audit::pods_created(namespace.cluster, &namespace.name).len(), 12);
    kubelet.saw(|saw| assert!(saw.ran.values().all(|uids| uids.len() == 1), "{:?}", saw.ran));
}

/// From a moment to the first act on a workflow or a pod that was asked for after it.
/// Whether it does something about a workflow. The environment is announced by each engine as it starts.
fn is_act(request: &Request) -> bool {
    matches!(request.what().as_str(), "patch configmaps" | "create pods") && request.name != announce::NAME
}

fn first_act_after(namespace: &Namespace, moment: Timestamp) -> (SignedDuration, Request) {
    let requests = audit::in_namespace(namespace.cluster, &namespace.name);
    let first = requests.into_iter().find(|request| request.at > moment && is_act(request) && request.succeeded());
    let first = first.expect("somebody went on");
    (first.at.duration_since(moment), first)
}

async fn somebody_holds(namespace: &Namespace, lease: &str) {
    eventually(format!("{lease} goes on in {}", namespace.name), PATIENCE, async || {
        let record = namespace.record("wf-0").await?;
        (record.holder.lease == format!("operator-engine-{lease}")).then_some(())
    })
    .await;
}

fn seconds(duration: SignedDuration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

const RESTARTS: usize = 5;

/// As the kubelet restarts a container: the same pod, another process.
pub(crate) async fn a_restarted_container_goes_on_within_a_second(cluster: &'static Cluster) {
    let (namespace, kubelet, mut engine) = at_work(cluster, "restarted", "pod-uid-1", 8).await;
    let mut delays = Vec::new();
    for _ in 0..RESTARTS {
        engine.kill().await;
        let moment = Timestamp::now();
        engine = Engine::start(cluster, &namespace, &named("pod-uid-1"));
        eventually("the new process acts", PATIENCE, async || {
            let requests = audit::in_namespace(cluster, &namespace.name);
            requests.iter().any(|request| request.at > moment && is_act(request)).then_some(())
        })
        .await;
        delays.push(first_act_after(&namespace, moment).0);
    }
    all_is_well(&namespace, &kubelet).await;
    delays.sort();
    let (median, worst) = (delays[RESTARTS / 2], delays[RESTARTS - 1]);
    // The median: a machine that does something else for a moment is not the engine's doing.
    assert!(median <= SignedDuration::from_secs(1), "{delays:?}");
    let value = format!("{} median of {RESTARTS}, {} at most", seconds(median), seconds(worst));
    figure("restart under the same identity to the first act (≤ 1 s)", value);
    drop(engine);
}

pub(crate) async fn a_new_engine_takes_over_within_a_lease_and_two_ticks(cluster: &'static Cluster) {
    let (namespace, kubelet, engine) = at_work(cluster, "replaced", "pod-uid-1", 25).await;
    engine.kill().await;
    let moment = Timestamp::now();
    let _engine = Engine::start(cluster, &namespace, &named("pod-uid-2"));
    somebody_holds(&namespace, "pod-uid-2").await;
    let (delay, _) = first_act_after(&namespace, moment);
    assert!(delay <= LEASE + TICK * 2, "{delay}");
    assert!(delay >= SignedDuration::from_secs(10), "nobody may act before the lease has run out: {delay}");
    all_is_well(&namespace, &kubelet).await;
    figure("kill -9, a new engine is started at once (≤ 15 s + 2 ticks)", seconds(delay));
}

pub(crate) async fn an_engine_that_runs_already_takes_over_within_a_lease_and_two_ticks(cluster: &'static Cluster) {
    let (namespace, kubelet, engine) = at_work(cluster, "watched", "pod-uid-1", 25).await;
    let other = Engine::start(cluster, &namespace, &named("pod-uid-2"));
    tokio::time::sleep(Duration::from_secs(3)).await;
    engine.kill().await;
    let moment = Timestamp::now();
    somebody_holds(&namespace, "pod-uid-2").await;
    let (delay, _) = first_act_after(&namespace, moment);
    assert!(delay <= LEASE + TICK * 2, "{delay}");
    all_is_well(&namespace, &kubelet).await;
    figure("kill -9 beside an engine that runs (≤ 15 s + 2 ticks)", seconds(delay));
    drop(other);
}

pub(crate) async fn an_engine_that_is_told_to_stop_hands_over_at_once(cluster: &'static Cluster) {
    let (namespace, kubelet, engine) = at_work(cluster, "released", "pod-uid-1", 20).await;
    // To one that is started then,
    assert!(engine.terminate().await.success());
    let moment = Timestamp::now();
    let second = Engine::start(cluster, &namespace, &named("pod-uid-2"));
    somebody_holds(&namespace, "pod-uid-2").await;
    let (started, _) = first_act_after(&namespace, moment);
    assert!(started <= SignedDuration::from_secs(1), "{started}");
    // and to one that runs already: it looks at the other's Lease at every tick.
    let third = Engine::start(cluster, &namespace, &named("pod-uid-3"));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(second.terminate().await.success());
    let moment = Timestamp::now();
    somebody_holds(&namespace, "pod-uid-3").await;
    let (running, _) = first_act_after(&namespace, moment);
    assert!(running <= TICK + SignedDuration::from_secs(1), "{running}");
    all_is_well(&namespace, &kubelet).await;
    figure("SIGTERM, a new engine is started then (≤ 1 s)", seconds(started));
    figure("SIGTERM beside an engine that runs (≤ a tick and 1 s)", seconds(running));
    drop(third);
}

/// A paused process goes on as if nothing had been: what it had planned before meets what was done meanwhile.
pub(crate) async fn an_engine_that_was_paused_past_its_lease_does_no_harm(cluster: &'static Cluster) {
    let (namespace, kubelet, engine) = at_work(cluster, "paused", "pod-uid-1", 22).await;
    let other = Engine::start(cluster, &namespace, &named("pod-uid-2"));
    tokio::time::sleep(Duration::from_secs(3)).await;
    engine.signal(Signal::SIGSTOP);
    let moment = Timestamp::now();
    somebody_holds(&namespace, "pod-uid-2").await;
    let (delay, _) = first_act_after(&namespace, moment);
    assert!(delay <= LEASE + TICK * 2, "{delay}");
    engine.signal(Signal::SIGCONT);
    let resumed = Timestamp::now();
    all_is_well(&namespace, &kubelet).await;
    for n in 0..3 {
        let record = namespace.record(&format!("wf-{n}")).await.unwrap();
        assert_eq!(record.holder.lease, "operator-engine-pod-uid-2", "what was taken stays with whoever took it");
    }
    // It is an engine like any other again.
    assert!(other.terminate().await.success());
    namespace.submit("later").await;
    let record = namespace.finished("later").await;
    assert_eq!(record.holder.lease, "operator-engine-pod-uid-1");
    assert_eq!(record.outcome, Some(Outcome::Succeeded));
    namespace.no_pod_twice();
    let requests = audit::in_namespace(cluster, &namespace.name);
    let vain = requests.iter().filter(|request| request.at > resumed && request.code == 409).count();
    figure("SIGSTOP past the lease: taken over (≤ 15 s + 2 ticks)", seconds(delay));
    figure("  conflicts after SIGCONT, harm", format!("{vain}, none"));
}

pub(crate) async fn two_engines_share_the_work_and_never_meet(cluster: &'static Cluster) {
    const WORKFLOWS: usize = 16;
    let namespace = Namespace::new(cluster, "shared").await;
    let kubelet = namespace.kubelet(|_| Act::Succeed(Duration::from_millis(400)));
    let setup = |name| named(name).eager();
    let engines = ["pod-uid-1", "pod-uid-2"].map(|name| Engine::start(cluster, &namespace, &setup(name)));
    for n in 0..WORKFLOWS {
        namespace.submit(&format!("wf-{n}")).await;
    }
    namespace.submit("stopped").await;
    namespace.label("stopped", State::Stopping).await;
    let mut holders = Vec::new();
    for n in 0..WORKFLOWS {
        let record = namespace.finished(&format!("wf-{n}")).await;
        assert_eq!((record.outcome, record.failures), (Some(Outcome::Succeeded), 0), "{record:?}");
        holders.push(record.holder.lease);
    }
    assert_eq!(namespace.outcome("stopped").await.0, Outcome::Stopped);
    namespace.clean(PATIENCE).await;
    for engine in engines {
        assert!(engine.terminate().await.success());
    }
    namespace.no_pod_twice();
    kubelet.saw(|saw| assert!(saw.ran.values().all(|uids| uids.len() == 1), "{:?}", saw.ran));
    let first = holders.iter().filter(|lease| lease.ends_with("-1")).count();
    let conflicts = audit::in_namespace(cluster, &namespace.name).iter().filter(|request| request.code == 409).count();
    figure(
        "two engines at once",
        format!("{first} and {} workflows each, {conflicts} conflicts, no pod twice", WORKFLOWS - first),
    );
}
