//! What expiry needs: pages, deletion as seen, the turn, the clock.

use super::{
    Subject, data, eventually,
    races::{MANY, at_once, only_winner},
    read, record, status, submitted, write,
};
use operator_engine::{
    cluster::archive::{MAX_MEMORY_LEN, Turn},
    plan::{
        Failure,
        kind::Kind,
        seen::{Uid, Version, WorkflowSeen},
    },
    workflow::State,
};
use std::collections::BTreeMap;

/// All pages of this size.
async fn pages(subject: &dyn Subject, limit: u32) -> Vec<WorkflowSeen> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = subject.archive().page(limit, after.as_deref()).await.unwrap();
        assert!(page.workflows.len() <= usize::try_from(limit).unwrap());
        all.extend(page.workflows);
        match page.next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

pub(crate) async fn pages_hold_every_workflow_once_in_order(subject: &dyn Subject) {
    let states = [State::Pending, State::Active, State::Stopping, State::Done];
    for n in 0..11 {
        let name = format!("page-{n}");
        let seen = submitted(subject, &name).await;
        let state = states[n % states.len()];
        if n % 3 == 0 {
            let n = u32::try_from(n).unwrap();
            subject.cluster().write_workflow(&name, &write(&seen, state, record(n))).await.unwrap();
        } else {
            subject.label(&name, state).await;
        }
    }
    for limit in [1, 2, 3, 5, 500] {
        let all = pages(subject, limit).await;
        assert!(all.is_sorted_by(|a, b| a.name < b.name), "{all:?}");
        // Others come and go meanwhile, but these are there all the while.
        let ours: Vec<_> = all.into_iter().filter(|seen| seen.name.starts_with("page-")).collect();
        assert_eq!(ours.len(), 11, "{ours:?}");
        for seen in ours {
            assert_eq!(read(subject, &seen.name).await, seen);
        }
    }
}

pub(crate) async fn what_is_no_workflow_is_read_and_in_no_page(subject: &dyn Subject) {
    submitted(subject, "page-unlabelled").await;
    subject.unlabel("page-unlabelled").await;
    let seen = subject.archive().read("page-unlabelled").await.unwrap().unwrap();
    assert_eq!(seen.state, None);
    assert!(pages(subject, 500).await.iter().all(|seen| seen.name != "page-unlabelled"));
    assert_eq!(subject.archive().read("page-nothing").await.unwrap(), None);
}

pub(crate) async fn a_workflow_is_deleted_only_as_it_was_seen(subject: &dyn Subject) {
    let archive = subject.archive();
    let old = submitted(subject, "expired").await;
    let now = archive.write("expired", &write(&old, State::Done, record(1))).await.unwrap();
    let another = WorkflowSeen { uid: Uid("00000000-0000-4000-8000-000000000000".to_owned()), ..now.clone() };
    let ahead = WorkflowSeen { version: Version(now.version.0 + 1), ..now.clone() };
    for impostor in [&old, &another, &ahead] {
        assert_eq!(archive.delete(impostor).await, Err(Failure::Conflict), "{impostor:?}");
        assert_eq!(read(subject, "expired").await, now);
    }
    subject.cluster().create_volume(&"expired".parse().unwrap(), &now.uid, Kind::ConfigMap).await.unwrap();
    archive.delete(&now).await.unwrap();
    assert_eq!(archive.read("expired").await.unwrap(), None);
    assert_eq!(archive.delete(&now).await, Err(Failure::NotFound));
    eventually(subject, "what it owned is gone", || async {
        let volumes = subject.cluster().list_volumes().await.unwrap().items;
        volumes.iter().all(|volume| volume.workflow != "expired").then_some(())
    })
    .await;
    let second = submitted(subject, "expired").await;
    assert_eq!(archive.delete(&now).await, Err(Failure::Conflict), "its namesake is another one");
    assert_eq!(read(subject, "expired").await, second);
}

pub(crate) async fn the_archive_reads_and_writes_what_the_cluster_does(subject: &dyn Subject) {
    let (archive, cluster) = (subject.archive(), subject.cluster());
    let seen = submitted(subject, "both").await;
    assert_eq!(archive.read("both").await.unwrap().as_ref(), Some(&seen));
    let written = archive.write("both", &write(&seen, State::Done, record(7))).await.unwrap();
    assert_eq!((status(&written), written.state), (Some(record(7)), Some(State::Done)));
    assert_eq!(cluster.read_workflow("both").await.unwrap(), Some(written));
    assert_eq!(archive.write("both", &write(&seen, State::Done, record(8))).await, Err(Failure::Conflict));
    let document = cluster.read_document("both").await.unwrap().unwrap().document.unwrap();
    assert_eq!(BTreeMap::from([("workflow.json".to_owned(), document.into_bytes())]), data());
}

pub(crate) async fn there_is_one_turn_whoever_asks(subject: &dyn Subject) {
    let archive = subject.archive();
    let first = archive.turn().await.unwrap();
    let again = archive.turn().await.unwrap();
    assert_eq!(first.uid, again.uid);
    // No engine takes it for a Lease of its own kind.
    assert_eq!(subject.cluster().list_leases().await.unwrap().items.iter().filter(|l| l.uid == first.uid).count(), 0);
}

/// The only check that takes it: where one subject serves all checks at once, another would meet its conflicts.
pub(crate) async fn a_turn_that_changed_is_not_taken(subject: &dyn Subject) {
    let archive = subject.archive();
    // The same holder and the same memory again and again: it must show that somebody lives.
    for (holder, memory) in [("one", "m"), ("one", "m"), ("", "{\"n\": \"ü\"}"), ("two", "")] {
        let seen = archive.turn().await.unwrap();
        let now = archive.set_turn(&seen, holder, memory).await.unwrap();
        assert!(now.version > seen.version);
        let version = now.version;
        assert_eq!(now, Turn { uid: seen.uid.clone(), version, holder: holder.to_owned(), memory: memory.to_owned() });
        let another = Turn { uid: Uid("00000000-0000-4000-8000-000000000000".to_owned()), ..now.clone() };
        for impostor in [&seen, &another] {
            assert_eq!(archive.set_turn(impostor, "three", "x").await, Err(Failure::Conflict), "{impostor:?}");
        }
    }
    let seen = archive.turn().await.unwrap();
    let long = archive.set_turn(&seen, "four", &"x".repeat(MAX_MEMORY_LEN + 1)).await;
    assert!(matches!(long, Err(Failure::Refused { .. })), "{long:?}");
    for _ in 0..subject.rounds() {
        let seen = archive.turn().await.unwrap();
        let answers = at_once(MANY, |number| {
            let (archive, seen) = (subject.archive(), seen.clone());
            async move { archive.set_turn(&seen, &number.to_string(), "").await }
        });
        let (winner, taken) = only_winner(answers.await);
        assert_eq!(taken.holder, winner.to_string());
        assert_eq!(archive.turn().await.unwrap(), taken);
    }
}

pub(crate) async fn the_clock_is_near_ours(subject: &dyn Subject) {
    let before = jiff::Timestamp::now();
    let said = subject.archive().now().await.unwrap().unwrap();
    let apart = said.duration_since(before).abs();
    assert!(apart < jiff::SignedDuration::from_mins(1), "{said} is not now");
}
