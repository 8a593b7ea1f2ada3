//! When another engine counts as dead: by our own clock alone.

use crate::evidence::{at, holder_of, me};
use operator_engine::plan::{
    Intent, Now, Policy, Target, View,
    lease::{Liveness, liveness},
    look::Look,
    plan,
    seen::{LeaseSeen, Listed, Uid, Version, WorkflowSeen},
    transition,
    view::OwnLease,
};
use operator_engine::workflow::{State, digest::Sha256, record::Holder};
use std::time::Duration;

fn lease(name: &str, version: u64, holder: &str) -> LeaseSeen {
    LeaseSeen {
        name: name.to_owned(),
        uid: Uid(format!("uid-{name}")),
        version: Version(version),
        holder: holder.to_owned(),
        duration: Duration::from_secs(15),
    }
}

fn second(second: u64) -> Now {
    at(Duration::from_secs(second))
}

/// A view in which a workflow of `other` runs, so that its Lease matters even when it is absent.
fn watching() -> View {
    let mut view = View::new(me());
    let record = transition::claimed(&holder_of("other", "other-1"), Sha256::of(""), second(0).wall);
    let seen = WorkflowSeen {
        name: "wf".to_owned(),
        uid: Uid("uid-1".to_owned()),
        version: Version(1),
        created: second(0).wall,
        state: Some(State::Active),
        status: Some(record.render()),
        deleting: false,
        order: Default::default(),
    };
    view.see_workflow(seen, second(0));
    view
}

fn list(view: &mut View, version: u64, items: Vec<LeaseSeen>, now: Now) {
    view.look_begun(Look::Leases, now);
    view.leases_listed(Listed { items, version: Version(version) }, now);
}

fn dead(view: &View, holder: &Holder, now: Now) -> bool {
    liveness(view, holder, &Policy::default(), now) == Liveness::Dead
}

#[test]
fn a_lease_that_does_not_change_for_its_duration_is_dead() {
    let other = holder_of("other", "other-1");
    let mut view = watching();
    // What each list shows, at which second, and whether its holder is dead then.
    let table = [
        (100, Some(5), false, "seen for the first time"),
        (110, Some(5), false, "unchanged for 10 s"),
        (114, Some(6), false, "renewed at the last moment"),
        (115, Some(6), false, "15 s after the first sight, 1 s after the last renewal"),
        (128, Some(6), false, "unchanged for 14 s"),
        (129, Some(6), true, "unchanged for 15 s"),
        (130, Some(7), false, "it was only slow"),
        (144, None, false, "deleted: that is a change"),
        (158, None, false, "absent for 14 s"),
        (159, None, true, "absent for 15 s"),
        (160, Some(9), false, "back again"),
    ];
    for (n, (at, version, is_dead, what)) in table.into_iter().enumerate() {
        let items = version.map(|version| lease("other", version, "other-1")).into_iter().collect();
        list(&mut view, 100 + n as u64, items, second(at));
        assert_eq!(dead(&view, &other, second(at)), is_dead, "{what}");
    }
}

#[test]
fn only_a_list_begun_after_its_end_shows_that_a_lease_is_dead_and_no_wall_clock_counts() {
    let other = holder_of("other", "other-1");
    let mut view = watching();
    list(&mut view, 1, vec![lease("other", 5, "other-1")], second(100));
    for wall in [0, 100, 1_000_000] {
        let now = |mono: u64| Now { wall: second(wall).wall, ..second(mono) };
        assert!(!dead(&view, &other, now(114)));
        assert!(!dead(&view, &other, now(1_000_000)), "a process that was paused has seen no change either");
    }
    let Liveness::Alive { until } = liveness(&view, &other, &Policy::default(), second(114)) else { panic!() };
    assert_eq!(until, Duration::from_secs(116), "asked again as often as it would be renewed");
    list(&mut view, 2, vec![lease("other", 5, "other-1")], second(114));
    assert!(!dead(&view, &other, second(200)), "that list was begun too early to show it");
    list(&mut view, 3, vec![lease("other", 5, "other-1")], second(115));
    assert!(dead(&view, &other, second(115)));
}

#[test]
fn a_released_lease_and_an_own_predecessor_are_dead_at_once() {
    let mut view = watching();
    list(&mut view, 1, vec![lease("other", 5, "")], second(100));
    assert!(dead(&view, &holder_of("other", "other-1"), second(100)));
    for identity in ["engine-1", "engine-2", ""] {
        assert!(dead(&view, &holder_of("engine", identity), second(100)), "{identity}");
    }
}

#[test]
fn an_absent_lease_is_watched_before_it_counts() {
    let mut view = watching();
    let other = holder_of("other", "other-1");
    assert!(!dead(&view, &other, second(1000)), "no list has been seen yet");
    list(&mut view, 1, vec![], second(1000));
    assert!(!dead(&view, &other, second(1014)));
    list(&mut view, 2, vec![], second(1015));
    assert!(dead(&view, &other, second(1015)));
    assert!(!dead(&view, &holder_of("stranger", "x"), second(9999)), "nobody has looked for that one");
}

#[test]
fn a_lease_may_be_longer_than_ours_and_is_never_shorter() {
    for (duration, dead_after) in [(0, 15), (1, 15), (60, 60)] {
        let mut view = watching();
        let seen = LeaseSeen { duration: Duration::from_secs(duration), ..lease("other", 5, "other-1") };
        let other = holder_of("other", "other-1");
        for (n, at) in [0, dead_after - 1, dead_after].into_iter().enumerate() {
            list(&mut view, 1 + n as u64, vec![seen.clone()], second(100 + at));
            assert_eq!(dead(&view, &other, second(100 + at)), at == dead_after);
        }
    }
    let mut view = watching();
    let seen = LeaseSeen { duration: Duration::MAX, ..lease("other", 5, "other-1") };
    list(&mut view, 1, vec![seen], second(100));
    assert!(!dead(&view, &holder_of("other", "other-1"), second(1_000_000)), "and no number breaks anything");
}

#[test]
fn the_own_lease_is_taken_renewed_and_given_up_to_a_successor() {
    let policy = Policy::default();
    let of_lease = |view: &View, at: u64| {
        let actions = plan(view, &policy, second(at)).actions;
        actions.into_iter().find(|action| action.target == Target::OwnLease).map(|action| action.intent)
    };
    let mut view = View::new(me());
    assert_eq!(of_lease(&view, 0), Some(Intent::TakeLease { from_predecessor: true }));
    view.own_lease_had = true;
    assert_eq!(of_lease(&view, 0), Some(Intent::TakeLease { from_predecessor: false }), "it may be a successor's now");
    let mine = lease("engine", 5, "engine-2");
    view.own_lease = OwnLease::Held { seen: mine.clone(), since: Duration::from_secs(100) };
    assert_eq!(of_lease(&view, 101), None);
    assert_eq!(of_lease(&view, 102), Some(Intent::RenewLease(mine.clone())));
    view.own_lease_busy = true;
    assert_eq!(of_lease(&view, 103), None);
    view.own_lease_busy = false;
    // Its own writes come back in lists, and older lists come late: neither is a successor.
    list(&mut view, 1, vec![lease("engine", 6, "engine-2")], second(103));
    list(&mut view, 2, vec![lease("engine", 4, "engine-1")], second(103));
    assert!(matches!(view.own_lease, OwnLease::Held { .. }));
    list(&mut view, 3, vec![lease("engine", 7, "engine-3")], second(104));
    assert_eq!(view.own_lease, OwnLease::Taken { by: "engine-3".to_owned() });
    assert_eq!(of_lease(&view, 200), None);
}
