//! What is deleted, what is left, and what is told of either.

use super::world::{Calls, DAY, HOUR, World, at, job, manifest, results, sweep};
use crate::{
    clock::Schedule,
    sweep::{
        Occasion, Swept,
        decide::Reason,
        report::{Fate, Line},
    },
    workflow::State,
};
use serde_json::json;
use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn expired_results_go_at_the_second_run_and_the_record_says_so() {
    let world = World::new();
    world.published("expired", Some(HOUR));
    world.published("fresh", Some(DAY));
    world.published("kept", None);
    let mut sweeper = world.sweeper("one");
    world.pass(2 * HOUR);
    let first = sweep(&mut sweeper).await;
    assert_eq!((first.found, first.deleted, first.kept), (1, 0, 2), "{first:?}");
    assert_eq!(first.skipped[&Reason::Unconfirmed], 1);
    world.pass(HOUR);
    let second = sweep(&mut sweeper).await;
    assert_eq!((second.found, second.deleted, second.kept, second.objects, second.bytes), (1, 1, 2, 4, 400));
    assert!(second.complete && !second.has_failures());
    assert!(!world.outputs.has("expired") && world.outputs.has("fresh") && world.outputs.has("kept"));
    assert_eq!(world.results_of("expired").unwrap()["deletedAt"], json!(at(3 * HOUR)));
    assert!(!world.is_marked("fresh") && !world.is_marked("kept"));
    world.pass(HOUR);
    let third = sweep(&mut sweeper).await;
    assert_eq!((third.found, third.deleted, third.lines.len()), (0, 0, 0), "{third:?}");
}

#[tokio::test]
async fn an_earlier_run_agrees_whichever_process_it_was() {
    let world = World::new();
    world.published("expired", Some(HOUR));
    world.pass(2 * HOUR);
    sweep(&mut world.sweeper("one")).await;
    world.pass(9 * 60);
    assert_eq!(sweep(&mut world.sweeper("two")).await.deleted, 0, "too soon");
    world.pass(60);
    assert_eq!(sweep(&mut world.sweeper("three")).await.deleted, 1);
}

#[tokio::test]
async fn a_deleted_configmap_leaks_nothing() {
    let world = World::new();
    world.published("expired", Some(HOUR));
    world.published("fresh", Some(DAY));
    world.published("kept", None);
    for name in ["expired", "fresh", "kept"] {
        assert!(world.sandbox.delete(name));
    }
    let mut sweeper = world.sweeper("one");
    world.pass(2 * HOUR);
    world.confirm(&mut sweeper).await;
    let asked = world.outputs.manifests.load(SeqCst);
    let report = sweep(&mut sweeper).await;
    assert_eq!((report.deleted, report.kept, report.failed), (1, 2, 0), "{report:?}");
    assert!(!world.outputs.has("expired") && world.outputs.has("fresh") && world.outputs.has("kept"));
    assert_eq!(world.outputs.manifests.load(SeqCst), asked + 1, "what is known to be kept is not read every time");
    world.pass(DAY);
    world.confirm(&mut sweeper).await;
    assert_eq!(sweep(&mut sweeper).await.deleted, 1);
}

#[tokio::test]
async fn both_places_go_before_the_record_says_so() {
    let world = World::new();
    let mut two = results("two", "s3://outputs", Some(HOUR));
    two["adminlogs"] = json!({"store": "s3://admin", "prefix": "two", "manifest": "two/manifest.json",
        "manifestSha256": two["manifestSha256"]});
    world.done("two", Some(two));
    for shop in [&world.outputs, &world.admin] {
        shop.put("two", None, Some(manifest("two", Some(HOUR))));
    }
    let mut sweeper = world.sweeper("one");
    world.pass(2 * HOUR);
    world.confirm(&mut sweeper).await;
    world.admin.deletes.store(false, SeqCst);
    let report = sweep(&mut sweeper).await;
    assert_eq!((report.deleted, report.failed), (1, 1), "{report:?}");
    assert!(!world.is_marked("two"), "the admin's logs are still there");
    world.admin.deletes.store(true, SeqCst);
    let report = sweep(&mut sweeper).await;
    // Of the outputs nothing is left, and the store shows nothing at all: that is no proof, so it is told.
    assert_eq!((report.deleted, report.skipped[&Reason::EmptyStore]), (1, 1), "{report:?}");
    assert!(!world.is_marked("two"));
    world.published("another", None);
    world.admin.put("another", None, Some(manifest("another", None)));
    let report = sweep(&mut sweeper).await;
    assert_eq!((report.deleted, report.already_gone), (0, 2), "{report:?}");
    assert!(world.is_marked("two"));
}

#[tokio::test]
async fn what_is_not_at_its_end_is_never_touched() {
    let world = World::new();
    for (name, state, phase) in [
        ("active", State::Active, "publish"),
        ("pending", State::Pending, "done"),
        ("stopping", State::Stopping, "algorithm"),
        ("labelled", State::Done, "publish"),
    ] {
        world.workflow(name, state, phase, Some(results(name, "s3://outputs", Some(0))));
        world.outputs.put(name, None, Some(manifest(name, Some(0))));
    }
    // Of a name that was used before, or half published; and a ConfigMap that is no workflow.
    world.outputs.put("orphan", None, None);
    world.workflow("orphan", State::Active, "publish", None);
    world.outputs.put("plain", None, Some(manifest("plain", Some(0))));
    world.sandbox.submit("plain", Default::default());
    let mut sweeper = world.sweeper("one");
    world.pass(365 * DAY);
    world.confirm(&mut sweeper).await;
    let report = sweep(&mut sweeper).await;
    assert_eq!((report.found, report.kept), (0, 6), "{report:?}");
}

#[tokio::test]
async fn a_record_edited_to_something_foreign_deletes_nothing_foreign() {
    let world = World::new();
    world.published("victim", Some(90 * DAY));
    world.outputs.put("victim-2", Some("root-of-victim-2"), Some(manifest("victim-2", Some(0))));
    world.done("victim-2", Some(results("victim-2", "s3://outputs", Some(90 * DAY))));
    world.outputs.put("strange", Some("root-of-nobody"), None);

    let mut prefix = results("by-prefix", "s3://outputs", Some(0));
    prefix["prefix"] = json!("victim");
    world.done("by-prefix", Some(prefix));
    world.outputs.put("by-prefix", None, Some(manifest("by-prefix", Some(0))));
    for (name, root) in [("by-root", "root-of-victim-2"), ("by-root-2", "root-of-nobody")] {
        let mut by_root = results(name, "s3://outputs", Some(0));
        by_root["root"] = json!(root);
        world.done(name, Some(by_root));
    }
    // Content ids lead anywhere, whoever asks.
    let content = world.outputs.content.lock().unwrap().clone();
    for (stored, held) in content.iter().filter(|(stored, _)| stored.root.is_some()) {
        for name in ["by-root", "by-root-2"] {
            let same = crate::storage::Stored { job: job(name), root: stored.root.clone() };
            world.outputs.content.lock().unwrap().insert(same, held.clone());
        }
    }
    let mut sweeper = world.sweeper("one");
    world.pass(30 * DAY);
    world.confirm(&mut sweeper).await;
    let before = world.outputs.content.lock().unwrap().clone();
    let report = sweep(&mut sweeper).await;
    assert_eq!((report.deleted, report.failed), (0, 0), "{report:?}");
    assert_eq!(*world.outputs.content.lock().unwrap(), before);
    assert_eq!(report.skipped[&Reason::ForeignPrefix], 1);
    assert_eq!(report.skipped[&Reason::ForeignManifest], 2, "{report:?}");
    assert!(report.skipped[&Reason::Nameless] >= 1, "{report:?}");
}

#[tokio::test]
async fn record_and_manifest_must_both_say_so() {
    let world = World::new();
    for (name, record, in_manifest) in
        [("m-later", Some(0), Some(90 * DAY)), ("m-never", Some(0), None), ("r-never", None, Some(0))]
    {
        world.done(name, Some(results(name, "s3://outputs", record)));
        world.outputs.put(name, None, Some(manifest(name, in_manifest)));
    }
    world.published("unusable", Some(0));
    world.outputs.put("unusable", None, Some(json!("nothing of the kind")));
    world.published("next-version", Some(0));
    world.outputs.put("next-version", None, Some(json!({"version": 2, "job": "next-version", "expiresAt": at(0)})));
    world.published("unreadable", Some(0));
    world.sandbox.annotate("unreadable", Some("{".to_owned()));
    world.published("no-manifest", Some(0));
    world.outputs.put("no-manifest", None, None);
    let mut sweeper = world.sweeper("one");
    world.pass(DAY);
    world.confirm(&mut sweeper).await;
    let report = sweep(&mut sweeper).await;
    assert_eq!((report.deleted, report.kept), (1, 1), "{report:?}");
    assert_eq!(report.skipped[&Reason::Contradiction], 2);
    assert_eq!(report.skipped[&Reason::UnusableManifest], 2);
    assert_eq!(report.skipped[&Reason::UnreadableRecord], 1);
    assert!(!world.outputs.has("no-manifest") && world.is_marked("no-manifest"), "the record comes first");
}

#[tokio::test]
async fn a_jump_of_a_day_deletes_nothing_on_the_first_run() {
    for restarted in [false, true] {
        let world = World::new();
        for n in 0..20 {
            world.published(&format!("wf-{n}"), Some(3 * HOUR + n * HOUR));
        }
        let mut sweeper = world.sweeper("one");
        for _ in 0..2 {
            world.pass(HOUR);
            assert_eq!(sweep(&mut sweeper).await.deleted, 0);
        }
        // All clocks at once; what nobody can see who was not there.
        world.jump(DAY);
        if restarted {
            sweeper = world.sweeper("two");
        }
        world.pass(HOUR);
        let report = sweep(&mut sweeper).await;
        assert_eq!(report.deleted, 0, "{report:?}");
        assert_eq!(report.distrust.is_some(), !restarted, "{report:?}");
        // Repaired in time, nothing was lost.
        world.jump(-DAY);
        world.pass(HOUR);
        sweeper = world.sweeper("three");
        sweep(&mut sweeper).await;
        world.pass(HOUR);
        let report = sweep(&mut sweeper).await;
        assert_eq!(report.deleted, 2, "those of the third and fourth hour: {report:?}");
    }
}

#[tokio::test]
async fn one_wrong_clock_deletes_nothing_however_long_it_is_wrong() {
    for wrong in 0..3 {
        let world = World::new();
        world.published("wf", Some(10 * DAY));
        world.published("old", Some(0));
        world.clocks()[wrong].wall.fetch_add(20 * DAY, SeqCst);
        for _ in 0..5 {
            let report = sweep(&mut world.sweeper("one")).await;
            assert!(report.deleted == 0 && report.has_failures(), "{report:?}");
            world.pass(HOUR);
        }
        assert!(world.outputs.has("wf") && world.outputs.has("old"));
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_seen_or_shows_nothing_is_not_taken_for_empty() {
    let world = World::new();
    world.published("expired", Some(0));
    world.done("elsewhere", Some(results("elsewhere", "s3://another", Some(0))));
    let mut sweeper = world.sweeper("one");
    world.pass(HOUR);
    world.confirm(&mut sweeper).await;
    world.outputs.down.store(true, SeqCst);
    let report = sweep(&mut sweeper).await;
    assert_eq!((report.stores_failed.len(), report.already_gone, report.deleted), (1, 0, 0), "{report:?}");
    world.outputs.down.store(false, SeqCst);
    let content = std::mem::take(&mut *world.outputs.content.lock().unwrap());
    let report = sweep(&mut sweeper).await;
    assert_eq!(report.skipped[&Reason::EmptyStore], 1, "{report:?}");
    assert_eq!(report.skipped[&Reason::UnknownStore], 1, "{report:?}");
    assert!(!world.is_marked("expired") && !world.is_marked("elsewhere"));
    *world.outputs.content.lock().unwrap() = content;
    assert_eq!(sweep(&mut sweeper).await.deleted, 1);
}

#[tokio::test]
async fn a_store_in_which_nothing_was_ever_stored_is_complained_of_only_where_a_record_speaks_of_it() {
    for (expires, speaks) in [(None, false), (None, true), (Some(DAY), true), (Some(0), true)] {
        let world = World::new();
        world.done("failed", None);
        if speaks {
            world.published("stored", expires);
        }
        for flag in [&world.outputs.down, &world.outputs.is_new] {
            flag.store(true, SeqCst);
        }
        let mut sweeper = world.sweeper("one");
        world.pass(HOUR);
        world.confirm(&mut sweeper).await;
        let report = sweep(&mut sweeper).await;
        assert_eq!(report.stores_failed.len(), usize::from(speaks), "{report:?}");
        assert_eq!((report.deleted, report.already_gone, report.has_failures()), (0, 0, speaks), "{report:?}");
        assert!(!speaks || !world.is_marked("stored"));
        if speaks {
            assert!(report.stores_failed[0].error.contains("s3://outputs"), "{report:?}");
        }
    }
}

#[tokio::test]
async fn while_a_store_has_nothing_yet_no_record_goes() {
    let mut world = World::new();
    world.policy.keep_records = Some(Duration::ZERO);
    world.published("old", Some(0));
    let mut sweeper = world.sweeper("one");
    world.pass(HOUR);
    world.confirm(&mut sweeper).await;
    assert_eq!(sweep(&mut sweeper).await.deleted, 1);
    for flag in [&world.outputs.down, &world.outputs.is_new] {
        flag.store(true, SeqCst);
    }
    world.pass(HOUR);
    world.confirm(&mut sweeper).await;
    let report = sweep(&mut sweeper).await;
    assert_eq!((report.records_deleted, report.has_failures()), (0, false), "{report:?}");
    world.outputs.down.store(false, SeqCst);
    assert_eq!(sweep(&mut sweeper).await.records_deleted, 1);
}

#[tokio::test]
async fn orphans_go_once_they_are_old_enough() {
    let world = World::new();
    world.outputs.put("gone", None, None);
    world.outputs.put("failed", None, None);
    world.done("failed", None);
    world.outputs.put("ageless", None, None);
    world.outputs.content.lock().unwrap().values_mut().next().unwrap().written = None;
    let mut sweeper = world.sweeper("one");
    world.pass(7 * DAY - 2 * HOUR);
    world.confirm(&mut sweeper).await;
    assert_eq!(sweep(&mut sweeper).await.found, 0);
    world.pass(2 * HOUR);
    world.confirm(&mut sweeper).await;
    let report = sweep(&mut sweeper).await;
    assert_eq!((report.deleted, report.skipped[&Reason::AgeUnknown]), (2, 1), "{report:?}");
    assert!(world.outputs.has("ageless"));
    let mut never = World::new();
    never.policy.orphans_after = None;
    never.outputs.put("gone", None, None);
    let mut sweeper = never.sweeper("one");
    never.pass(700 * DAY);
    never.confirm(&mut sweeper).await;
    assert_eq!(sweep(&mut sweeper).await.kept, 1);
}

#[tokio::test]
async fn records_go_a_while_after_their_results_and_only_if_configured() {
    let mut world = World::new();
    world.published("expired", Some(0));
    world.published("kept", None);
    world.done("refused", None);
    world.done("partial", None);
    world.outputs.put("partial", None, None);
    let mut sweeper = world.sweeper("one");
    world.pass(HOUR);
    world.confirm(&mut sweeper).await;
    assert_eq!(sweep(&mut sweeper).await.deleted, 1);
    world.pass(6 * DAY);
    world.confirm(&mut sweeper).await;
    assert_eq!(sweep(&mut sweeper).await.records_deleted, 0, "never, unless configured");
    world.policy.keep_records = Some(Duration::from_hours(24));
    let report = sweep(&mut world.sweeper("two")).await;
    assert_eq!(report.records_deleted, 2, "{report:?}");
    let left = world.sandbox.inventory().workflows;
    assert_eq!(left, ["kept", "partial"], "one whose results are there, one of which something is stored");
}

#[tokio::test]
async fn a_run_deletes_no_more_than_its_share() {
    let mut world = World::new();
    (0..10).for_each(|n| world.published(&format!("wf-{n}"), Some(0)));
    world.policy.max_per_run = 4;
    let mut sweeper = world.sweeper("one");
    world.pass(HOUR);
    world.confirm(&mut sweeper).await;
    for (deleted, capped) in [(4, 6), (4, 2), (2, 0)] {
        let report = sweep(&mut sweeper).await;
        assert_eq!((report.found, report.deleted), (deleted + capped, deleted), "{report:?}");
        assert_eq!(report.skipped.get(&Reason::Capped).copied().unwrap_or_default(), capped);
    }
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_changes_nothing() {
    let world = World::new();
    world.published("expired", Some(0));
    let mut sweeper = world.sweeper("one");
    world.pass(HOUR);
    world.confirm(&mut sweeper).await;
    let before = (world.sandbox.workflow("expired"), world.outputs.content.lock().unwrap().clone());
    let run = sweeper.run(Occasion::DryRun, &CancellationToken::new(), &mut |_, _| {}).await.unwrap();
    let Swept::Done(report) = run else { panic!("{run:?}") };
    assert_eq!((report.dry_run, report.deleted), (true, 1), "{report:?}");
    let fate = Fate::Deleted { objects: 0, bytes: 0 };
    assert_eq!(report.lines, [Line { job: "expired".into(), store: "s3://outputs".into(), fate }]);
    assert_eq!((world.sandbox.workflow("expired"), world.outputs.content.lock().unwrap().clone()), before);
    // Nor does it confirm anything.
    let fresh = World::new();
    fresh.published("expired", Some(0));
    let mut sweeper = fresh.sweeper("one");
    fresh.pass(HOUR);
    sweeper.run(Occasion::DryRun, &CancellationToken::new(), &mut |_, _| {}).await.unwrap();
    fresh.pass(HOUR);
    assert_eq!(sweep(&mut sweeper).await.deleted, 0);
}

#[tokio::test]
async fn a_schedule_is_kept_once_by_all_engines_and_made_up_for_once() {
    let world = World::new();
    let schedule: Schedule = "0 17 * * * *".parse().unwrap();
    let (mut one, mut two) = (world.sweeper("one"), world.sweeper("two"));
    let stop = CancellationToken::new();
    let mut did = Vec::new();
    for _ in 0..5 {
        for sweeper in [&mut one, &mut two] {
            let swept = sweeper.run(Occasion::Schedule(&schedule), &stop, &mut |_, _| {}).await.unwrap();
            did.push(swept != Swept::NotDue);
        }
        // Longer than from one firing to the next, and not seldom than two.
        world.pass(2 * HOUR + 60);
    }
    assert_eq!(did, [true, false].repeat(5));
    // A clock that was wrong once does not stop it for long.
    world.jump(-30 * DAY);
    let swept = two.run(Occasion::Schedule(&schedule), &stop, &mut |_, _| {}).await.unwrap();
    assert!(matches!(swept, Swept::Done(_)), "{swept:?}");
}

#[tokio::test]
async fn what_fails_is_told_and_a_store_that_goes_on_failing_is_left_alone() {
    let world = World::new();
    (0..60).for_each(|n| world.published(&format!("wf-{n}"), Some(0)));
    let mut sweeper = world.doomed("one", &Arc::<Calls>::default());
    world.pass(HOUR);
    world.confirm(&mut sweeper).await;
    world.outputs.deletes.store(false, SeqCst);
    let report = sweep(&mut sweeper).await;
    assert!(report.failed >= 20 && report.failed < 30 && report.deleted == 0, "{report:?}");
    assert_eq!(report.stores_failed.len(), 1);
    world.outputs.deletes.store(true, SeqCst);
    assert_eq!(sweep(&mut sweeper).await.deleted, 60);
}
