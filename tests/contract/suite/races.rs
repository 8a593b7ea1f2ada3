//! Many at once: what holds one after the other must hold side by side.

use super::{Subject, job, read, record, spec, status, submitted, write};
use operator_engine::{
    cluster::{Cluster, Freshness},
    plan::{
        Failure,
        cohort::Cohorts,
        kind::Kind,
        look::Look,
        seen::{Version, WorkflowSeen},
    },
    workflow::{Stage, State},
};
use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};
use tokio::{sync::Barrier, task::JoinSet};

/// As many as there would be engines on a bad day, twice over.
pub(super) const MANY: u32 = 24;

/// Runs `deed` for each of `n` numbers at once, each in a task of its own, begun together.
pub(super) async fn at_once<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    n: u32,
    deed: impl Fn(u32) -> F,
) -> Vec<(u32, T)> {
    let barrier = Arc::new(Barrier::new(n as usize));
    let mut tasks = JoinSet::new();
    for number in 0..n {
        let (barrier, deed) = (barrier.clone(), deed(number));
        tasks.spawn(async move {
            barrier.wait().await;
            (number, deed.await)
        });
    }
    tasks.join_all().await
}

/// The one that succeeded. All others met a conflict.
pub(super) fn only_winner<T: std::fmt::Debug>(answers: Vec<(u32, Result<T, Failure>)>) -> (u32, T) {
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(_, answer)| answer.is_ok());
    assert_eq!(won.len(), 1, "winners: {won:?}");
    for (number, answer) in &lost {
        assert!(matches!(answer, Err(Failure::Conflict)), "{number}: {answer:?}");
    }
    won.into_iter().map(|(number, answer)| (number, answer.unwrap())).next().unwrap()
}

pub(crate) async fn of_many_writers_one_wins(subject: &dyn Subject) {
    let mut seen = submitted(subject, "race").await;
    for round in 0..subject.rounds() {
        // Nobody writes what is there already: that changes nothing, so it may succeed beside the winner.
        let text = |number| u32::try_from(round).unwrap() * MANY + number;
        let answers = at_once(MANY, |number| {
            let (cluster, write) = (subject.cluster(), write(&seen, State::Active, record(text(number))));
            async move { cluster.write_workflow("race", &write).await }
        })
        .await;
        let (winner, answer) = only_winner(answers);
        seen = read(subject, "race").await;
        assert_eq!(answer, seen);
        assert_eq!(status(&seen).unwrap().failures, text(winner), "what is there is what the winner wrote");
    }
}

/// Reads and writes until a write succeeds.
async fn change(cluster: &dyn Cluster, name: &str, state: Option<State>) -> Result<(), Failure> {
    loop {
        let seen = cluster.read_workflow(name).await?.ok_or(Failure::NotFound)?;
        let mut next = status(&seen).unwrap_or_else(|| record(0));
        next.failures += 1;
        let state = state.or(seen.state).unwrap_or(State::Active);
        match cluster.write_workflow(name, &write(&seen, state, next)).await {
            Err(Failure::Conflict) => tokio::task::yield_now().await,
            answer => return answer.map(drop),
        }
    }
}

pub(crate) async fn no_increment_is_lost(subject: &dyn Subject) {
    submitted(subject, "counter").await;
    let (writers, each) = (16, 4);
    let answers = at_once(writers, |_| {
        let cluster = subject.cluster();
        async move {
            for _ in 0..each {
                change(&*cluster, "counter", None).await?;
            }
            Ok::<_, Failure>(())
        }
    })
    .await;
    assert!(answers.iter().all(|(_, answer)| answer.is_ok()), "{answers:?}");
    assert_eq!(status(&read(subject, "counter").await).unwrap().failures, writers * each);
}

pub(crate) async fn a_stop_is_never_overwritten(subject: &dyn Subject) {
    for round in 0..subject.rounds() {
        let name = format!("stop-{round}");
        let seen = submitted(subject, &name).await;
        // An engine claims while a person asks for the end: whoever comes second must not undo the first.
        let writing = at_once(2, |number| {
            let (cluster, name, write) = (subject.cluster(), name.clone(), write(&seen, State::Active, record(number)));
            async move { cluster.write_workflow(&name, &write).await }
        });
        let (answers, ()) = tokio::join!(writing, subject.label(&name, State::Stopping));
        let written = answers.iter().filter(|(_, answer)| answer.is_ok()).count();
        let after = read(subject, &name).await;
        assert_eq!(after.state, Some(State::Stopping), "{written} writes: {after:?}");
        assert_eq!(after.status.is_some(), written == 1, "{answers:?}");
    }
}

pub(crate) async fn of_many_creators_one_creates(subject: &dyn Subject) {
    for round in 0..subject.rounds() {
        let name = format!("made-{round}");
        // One owner: what names another UID under this name is garbage, and may be collected before it is compared.
        let owner = submitted(subject, &name).await.uid;
        let answers = at_once(MANY, |number| {
            let (cluster, name, owner) = (subject.cluster(), name.clone(), owner.clone());
            async move {
                let pod = cluster.create_pod(&spec(&name, &owner, Stage::Configure, 0)).await?;
                let volume = cluster.create_volume(&job(&name), &owner, Kind::ConfigMap).await?;
                let lease = cluster.create_lease(&name, &format!("holder-{number}"), Duration::from_secs(15)).await?;
                Ok::<_, Failure>(((pod.uid, pod.owner), (volume.uid, volume.owner), lease))
            }
        })
        .await;
        let first = answers[0].1.clone().unwrap();
        for (number, answer) in answers {
            assert_eq!(answer.as_ref(), Ok(&first), "{number} was told of another object");
        }
        let pods =
            subject.cluster().list_pods(Look::AuditPods, &Cohorts::All, Freshness::Consistent).await.unwrap().items;
        let pods: Vec<_> = pods.into_iter().filter(|pod| pod.workflow == name).map(|pod| pod.uid).collect();
        assert_eq!(pods, [first.0.0], "one object");
    }
}

pub(crate) async fn of_many_renewals_and_deletions_one_wins(subject: &dyn Subject) {
    for round in 0..subject.rounds() {
        let seen = subject.cluster().create_lease("race-lease", "nobody", Duration::from_secs(15)).await.unwrap();
        let answers = at_once(MANY, |number| {
            let (cluster, seen) = (subject.cluster(), seen.clone());
            async move {
                if (number as usize + round).is_multiple_of(2) {
                    cluster.delete_lease(&seen).await.map(|()| None)
                } else {
                    cluster.renew_lease(&seen, &format!("holder-{number}")).await.map(Some)
                }
            }
        })
        .await;
        let won: Vec<_> = answers.iter().filter_map(|(_, answer)| answer.as_ref().ok()).collect();
        assert_eq!(won.len(), 1, "{won:?}");
        let left = subject.cluster().list_leases().await.unwrap().items;
        let left = left.into_iter().find(|lease| lease.name == "race-lease");
        assert_eq!(*won[0], left, "what is there is what the winner left");
        for (_, answer) in &answers {
            assert!(matches!(answer, Ok(_) | Err(Failure::Conflict | Failure::NotFound)), "{answer:?}");
        }
    }
}

pub(crate) async fn lists_among_writers_are_true_at_their_version(subject: &dyn Subject) {
    let names: Vec<String> = (0..8).map(|n| format!("among-{n}")).collect();
    for name in &names {
        submitted(subject, name).await;
    }
    let lists = subject.rounds();
    let lists = at_once(16, |number| {
        let (cluster, name) = (subject.cluster(), names[number as usize / 2].clone());
        async move {
            let mut seen: Vec<(Version, Vec<WorkflowSeen>)> = Vec::new();
            for n in 0..lists {
                if number % 2 == 0 {
                    let state = if n % 2 == 0 { State::Active } else { State::Pending };
                    change(&*cluster, &name, Some(state)).await?;
                } else {
                    let newest = seen.iter().map(|(version, _)| *version).max().unwrap_or_default();
                    let list = cluster.list_workflows(Look::AuditWorkflows, Freshness::NotOlderThan(newest)).await?;
                    seen.push((list.version, list.items));
                }
            }
            Ok::<_, Failure>(seen)
        }
    })
    .await;
    let mut by_version: BTreeMap<Version, Vec<WorkflowSeen>> = BTreeMap::new();
    for (_, seen) in lists {
        let seen = seen.unwrap();
        assert!(seen.is_sorted_by_key(|(version, _)| *version), "a list was older than asked for");
        for (version, mut items) in seen {
            items.retain(|item| names.contains(&item.name));
            assert!(items.iter().all(|item| item.version <= version), "newer than its list: {items:?}");
            assert!(items.iter().all(|item| item.state == Some(State::Active)), "{items:?}");
            items.sort_by(|a, b| a.name.cmp(&b.name));
            let known = by_version.entry(version).or_insert_with(|| items.clone());
            assert_eq!(*known, items, "two lists at one version differ");
        }
    }
    // What was shown at one version and again at a later one was not older there.
    let mut newest: BTreeMap<String, Version> = BTreeMap::new();
    for items in by_version.values() {
        for item in items {
            let known = newest.entry(item.name.clone()).or_default();
            assert!(item.version >= *known, "{item:?} after {known:?}");
            *known = item.version;
        }
    }
}
