//! Which lists are due, and when the next one is.

use crate::evidence::{at, me};
use operator_engine::{
    plan::{
        Now, Policy, View, cadence,
        cohort::{self, Cohort, Cohorts},
        end::End,
        look::Look,
        seen::{Listed, PodSeen, Progress, Uid, Version, WorkflowSeen},
        transition,
    },
    workflow::{Phase, State, digest::Sha256, record::Holder},
};
use std::time::Duration;

const ALL: [Look; 6] =
    [Look::Attention, Look::Finished, Look::AuditWorkflows, Look::AuditPods, Look::AuditVolumes, Look::Leases];

fn ms(ms: u64) -> Now {
    at(Duration::from_millis(ms))
}

/// A view in which `looks` were all asked at 100 s and answered with nothing.
fn answered(view: &mut View, looks: &[Look], now: Now) {
    for look in looks {
        view.look_begun(*look, now);
        let version = Version(0);
        match look {
            Look::Finished | Look::AuditPods => view.pods_listed(*look, Listed { items: vec![], version }, now),
            Look::AuditVolumes => view.volumes_listed(Listed { items: vec![], version }),
            Look::Leases => view.leases_listed(Listed { items: vec![], version }, now),
            _ => view.workflows_listed(*look, Listed { items: vec![], version }, now),
        }
    }
}

fn quiet() -> View {
    let mut view = View::new(me());
    answered(&mut view, &ALL, ms(100_000));
    view
}

fn run(view: &mut View, name: &str, holder: &Holder, progress: Progress, now: Now) {
    let mut record = transition::claimed(holder, Sha256::of(""), now.wall);
    record.phase = Phase::Configure;
    let uid = Uid(format!("uid-{name}"));
    let seen = WorkflowSeen {
        name: name.to_owned(),
        uid: uid.clone(),
        version: Version(10),
        created: now.wall,
        state: Some(State::Active),
        status: Some(record.render()),
        deleting: false,
        order: Default::default(),
    };
    view.see_workflow(seen, now);
    let pod = PodSeen {
        name: format!("{name}-configure-0"),
        uid: Uid(format!("pod-{name}")),
        version: Version(11),
        workflow: name.to_owned(),
        owner: Some(uid),
        cohort: Some(Cohort(1)),
        deleting: false,
        progress,
    };
    view.see_pod(pod, now);
}

/// What is due by what is known at this very moment, but for chance.
fn due(view: &View, now: Now) -> (Vec<Look>, Option<Duration>) {
    let mut policy = Policy::default();
    policy.cadence.jitter_percent = 0;
    cadence::due(&cadence::wanted(view, &policy, now), &view.looks, now)
}

#[test]
fn by_chance_a_list_comes_a_little_sooner_and_engines_do_not_ask_in_step() {
    let next = |identity: &str, begun: u64| {
        let mut view = quiet();
        view.me.identity = identity.to_owned();
        view.looks.answered.insert(Look::AuditPods, Duration::from_millis(begun));
        let wanted = cadence::wanted(&view, &Policy::default(), ms(begun));
        let is_due = |after: &u64| {
            let (due, _) = cadence::due(&wanted, &view.looks, ms(begun + after));
            due.contains(&Look::AuditPods)
        };
        (0..20_000).find(is_due).unwrap_or(u64::MAX)
    };
    let pauses: Vec<u64> = (0..40).map(|n| next("engine-1", 100_000 + n * 10_000)).collect();
    assert!(pauses.iter().all(|pause| (9_000..=10_000).contains(pause)), "{pauses:?}");
    let distinct: std::collections::BTreeSet<&u64> = pauses.iter().collect();
    assert!(distinct.len() > 20, "they vary: {pauses:?}");
    assert_eq!(next("engine-1", 100_000), next("engine-1", 100_000), "and can be reckoned again");
    assert_ne!(next("engine-1", 100_000), next("engine-2", 100_000), "engines differ");
}

fn is_due(view: &View, look: Look, now: Now) -> bool {
    due(view, now).0.contains(&look)
}

/// The moment, in milliseconds after 100 s, at which `look` is due first.
fn first_due(view: &View, look: Look) -> Option<u64> {
    (0..70_000).step_by(10).find(|after| is_due(view, look, ms(100_000 + after)))
}

#[test]
fn a_new_process_asks_for_everything_but_finished_pods_at_once() {
    let (first, next) = due(&View::new(me()), ms(0));
    assert_eq!(first.len(), 5);
    for look in [Look::Attention, Look::AuditWorkflows, Look::AuditPods, Look::AuditVolumes, Look::Leases] {
        assert!(first.contains(&look), "{look:?}");
    }
    assert_eq!(next, None);
}

#[test]
fn each_list_has_its_cadence() {
    let view = quiet();
    let table = [
        (Look::Attention, Some(1_000)),
        (Look::Stopping, None),
        (Look::Finished, None),
        (Look::AuditWorkflows, Some(10_000)),
        (Look::AuditPods, Some(10_000)),
        (Look::AuditVolumes, Some(10_000)),
        (Look::Leases, Some(10_000)),
    ];
    for (look, expected) in table {
        assert_eq!(first_due(&view, look), expected, "{look:?}");
    }
    let (now, next) = due(&view, ms(100_000));
    assert_eq!((now.as_slice(), next), (&[][..], Some(Duration::from_secs(101))), "the next one wakes the loop");
}

#[test]
fn a_list_under_way_is_not_asked_again() {
    let mut view = quiet();
    for look in ALL {
        view.look_begun(look, ms(100_000));
    }
    let (now, next) = due(&view, ms(900_000));
    assert_eq!((now.as_slice(), next), (&[][..], None));
}

#[test]
fn a_list_that_fails_is_asked_more_and_more_slowly_and_as_usual_once_it_is_answered() {
    let mut view = quiet();
    for (failures, expected) in
        [(1, 2_000), (2, 4_000), (3, 8_000), (4, 16_000), (5, 32_000), (6, 32_000), (99, 32_000)]
    {
        while view.looks.failed.get(&Look::Attention).is_none_or(|(n, _)| *n < failures) {
            view.look_begun(Look::Attention, ms(100_000));
            view.look_failed(Look::Attention, None, &Policy::default(), ms(100_000));
        }
        assert_eq!(first_due(&view, Look::Attention), Some(expected), "after {failures} failures");
        assert_eq!(first_due(&view, Look::AuditPods), Some(10_000), "others are not slowed");
    }
    view.look_begun(Look::Attention, ms(100_000));
    view.look_failed(Look::Attention, Some(Duration::from_secs(60)), &Policy::default(), ms(100_000));
    assert_eq!(first_due(&view, Look::Attention), Some(60_000), "the server's own wish counts if it is longer");
    answered(&mut view, &[Look::Attention], ms(100_000));
    assert_eq!(first_due(&view, Look::Attention), Some(1_000));
}

#[test]
fn finished_pods_are_asked_for_while_one_of_ours_can_end_and_often_while_it_is_young() {
    let table = [
        (Progress::Running, me(), 0, Some(250), "young"),
        (Progress::Running, me(), 29_700, Some(250), "young for half a minute"),
        (Progress::Running, me(), 30_000, Some(1_000), "old"),
        (Progress::Ended(End::default()), me(), 0, None, "it has ended already"),
        (Progress::Running, Holder { lease: "other".to_owned(), identity: "o".to_owned() }, 0, None, "another's"),
    ];
    for (progress, holder, age, expected, what) in table {
        let mut view = quiet();
        run(&mut view, "wf", &holder, progress, ms(100_000 - age));
        assert_eq!(first_due(&view, Look::Finished), expected, "{what}");
    }
    // One young pod among old ones.
    let mut view = quiet();
    run(&mut view, "old", &me(), Progress::Running, ms(0));
    run(&mut view, "young", &me(), Progress::Running, ms(100_000));
    assert_eq!(first_due(&view, Look::Finished), Some(250));
}

#[test]
fn leases_are_watched_as_often_as_they_are_renewed_while_others_hold_something() {
    let mut view = quiet();
    run(&mut view, "mine", &me(), Progress::Running, ms(100_000));
    assert_eq!(first_due(&view, Look::Leases), Some(10_000));
    let other = Holder { lease: "other".to_owned(), identity: "o".to_owned() };
    run(&mut view, "theirs", &other, Progress::Running, ms(100_000));
    assert_eq!(first_due(&view, Look::Leases), Some(2_000));
}

#[test]
fn while_no_workflow_may_start_only_stops_are_asked_for() {
    let mut view = quiet();
    for n in 0..Policy::default().max_jobs {
        assert!(is_due(&view, Look::Attention, ms(101_000)));
        run(&mut view, &format!("wf-{n}"), &me(), Progress::Running, ms(100_000));
    }
    assert!(!is_due(&view, Look::Attention, ms(200_000)));
    assert_eq!(first_due(&view, Look::Stopping), Some(0), "at once: it was not asked before");
    answered(&mut view, &[Look::Stopping], ms(100_000));
    assert_eq!(first_due(&view, Look::Stopping), Some(1_000));
}

/// A view whose pods of these cohorts run.
fn running(cohorts: &[Option<i64>]) -> View {
    let mut view = quiet();
    for (n, cohort) in cohorts.iter().enumerate() {
        let name = format!("wf-{n}");
        run(&mut view, &name, &me(), Progress::Running, ms(100_000));
        let pods = &mut view.workflows.get_mut(&name).unwrap().pods;
        pods.values_mut().for_each(|pod| pod.seen.as_mut().unwrap().cohort = cohort.map(Cohort));
    }
    view
}

#[test]
fn only_the_cohorts_of_pods_that_have_not_ended_are_asked_for() {
    let these = |cohorts: &[i64]| Cohorts::These(cohorts.iter().copied().map(Cohort).collect());
    let mut view = running(&[Some(7), Some(7), Some(9)]);
    assert_eq!(cohort::awaited(&view), these(&[7, 9]));
    let over = |view: &mut View, n: usize| {
        let pods = &mut view.workflows.get_mut(&format!("wf-{n}")).unwrap().pods;
        pods.values_mut().for_each(|pod| pod.seen.as_mut().unwrap().progress = Progress::Ended(End::default()));
    };
    over(&mut view, 0);
    assert_eq!(cohort::awaited(&view), these(&[7, 9]), "the other one of 7 still runs");
    over(&mut view, 1);
    assert_eq!(cohort::awaited(&view), these(&[9]));
    let other = Holder { lease: "other".to_owned(), identity: "other-1".to_owned() };
    run(&mut view, "theirs", &other, Progress::Running, ms(100_000));
    assert_eq!(cohort::awaited(&view), these(&[9]), "what another engine runs is its own");
}

#[test]
fn a_pod_without_a_cohort_or_too_many_cohorts_make_all_be_asked_for() {
    assert_eq!(cohort::awaited(&running(&[Some(7), None])), Cohorts::All);
    let hundred: Vec<_> = (0..100).map(Some).collect();
    assert!(matches!(cohort::awaited(&running(&hundred)), Cohorts::These(these) if these.len() == 100));
    let more: Vec<_> = (0..101).map(Some).collect();
    assert_eq!(cohort::awaited(&running(&more)), Cohorts::All);
}

#[test]
fn all_pods_are_asked_for_more_rarely_where_there_are_many() {
    for (workflows, expected) in [(249, 10_000), (250, 20_000), (1000, 50_000), (2000, 60_000)] {
        let mut view = quiet();
        for n in 0..workflows {
            run(&mut view, &format!("wf-{n}"), &me(), Progress::Running, ms(100_000));
        }
        for look in [Look::AuditPods, Look::AuditVolumes] {
            let at = ms(100_000 + expected);
            let before = ms(100_000 + expected - 1);
            assert!(!is_due(&view, look, before) && is_due(&view, look, at), "{look:?} of {workflows} workflows");
        }
        assert!(is_due(&view, Look::AuditWorkflows, ms(110_000)), "others' workflows are found as soon as ever");
    }
}
