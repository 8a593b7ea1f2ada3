//! Evidence is merged, whatever comes when: twice is once, old is nothing, and no order gives one workflow another's things.

use crate::evidence::{at, lease, listed, me, pod, pod_look, volume, workflow, workflow_look};
use operator_engine::{
    plan::{
        View,
        look::Look,
        seen::{LeaseSeen, Listed, PodSeen, Version, VolumeSeen, WorkflowSeen},
        standing::Standing,
        view::VolumeTrack,
    },
    workflow::State,
};
use proptest::{collection::vec, prelude::*, test_runner::Config};
use std::{collections::BTreeMap, time::Duration};

#[derive(Debug, Clone)]
enum Evidence {
    Workflows(Look, Listed<WorkflowSeen>),
    Workflow(WorkflowSeen),
    Pods(Look, Listed<PodSeen>),
    Pod(PodSeen),
    PodGone(PodSeen),
    Volumes(Listed<VolumeSeen>),
    Leases(Listed<LeaseSeen>),
}

fn evidence() -> BoxedStrategy<Evidence> {
    prop_oneof![
        (workflow_look(), listed(workflow())).prop_map(|(look, list)| Evidence::Workflows(look, list)),
        workflow().prop_map(Evidence::Workflow),
        (pod_look(), listed(pod())).prop_map(|(look, list)| Evidence::Pods(look, list)),
        pod().prop_map(Evidence::Pod),
        pod().prop_map(Evidence::PodGone),
        listed(volume()).prop_map(Evidence::Volumes),
        listed(lease()).prop_map(Evidence::Leases),
    ]
    .boxed()
}

fn merge(view: &mut View, evidence: Evidence, second: u64) {
    let now = at(Duration::from_secs(second));
    match evidence {
        Evidence::Workflows(look, list) => {
            view.look_begun(look, now);
            view.workflows_listed(look, list, now);
        }
        Evidence::Workflow(seen) => view.see_workflow(seen, now),
        Evidence::Pods(look, list) => {
            view.look_begun(look, now);
            view.pods_listed(look, list, now);
        }
        Evidence::Pod(pod) => view.see_pod(pod, now),
        Evidence::PodGone(pod) => view.pod_read(&pod.workflow, &pod.name, None, now),
        Evidence::Volumes(list) => {
            view.look_begun(Look::AuditVolumes, now);
            view.volumes_listed(list);
        }
        Evidence::Leases(list) => {
            view.look_begun(Look::Leases, now);
            view.leases_listed(list, now);
        }
    }
}

fn built(evidence: &[Evidence]) -> View {
    let mut view = View::new(me());
    evidence.iter().zip(0..).for_each(|(evidence, second)| merge(&mut view, evidence.clone(), second));
    view
}

fn text(view: &View) -> String {
    format!("{view:#?}")
}

proptest! {
    #![proptest_config(Config { cases: 300, failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_same_evidence_twice_is_the_same_view(before in vec(evidence(), 0..12), evidence in evidence()) {
        let mut once = built(&before);
        merge(&mut once, evidence.clone(), 50);
        let mut twice = once.clone();
        merge(&mut twice, evidence, 50);
        prop_assert_eq!(text(&once), text(&twice));
    }

    #[test]
    fn old_evidence_changes_nothing(before in vec(evidence(), 1..12), workflow in workflow(), pod in pod()) {
        let view = built(&before);
        let newer = view.workflows.get(&workflow.name).and_then(|tracked| tracked.seen.as_ref());
        if newer.is_some_and(|newer| newer.version > workflow.version) {
            let mut after = view.clone();
            after.see_workflow(workflow, at(Duration::from_secs(50)));
            prop_assert_eq!(text(&view), text(&after));
        }
        let newer = view.workflows.get(&pod.workflow).and_then(|tracked| tracked.pods.get(&pod.name)?.seen.as_ref());
        if newer.is_some_and(|newer| newer.version > pod.version) {
            let mut after = view.clone();
            after.see_pod(pod, at(Duration::from_secs(50)));
            prop_assert_eq!(text(&view), text(&after));
        }
    }

    #[test]
    fn an_older_list_of_the_same_kind_changes_nothing_but_when_it_was_asked(
        before in vec(evidence(), 1..12), look in workflow_look(), list in listed(workflow()),
        pod_look in pod_look(), pods in listed(pod()),
    ) {
        let view = built(&before);
        let strip = |view: &View| { let mut view = view.clone(); view.looks = Default::default(); text(&view) };
        if view.looks.listed.get(&look).is_some_and(|newest| *newest > list.version) {
            let mut after = view.clone();
            merge(&mut after, Evidence::Workflows(look, list), 50);
            prop_assert_eq!(strip(&view), strip(&after));
        }
        if view.looks.listed.get(&pod_look).is_some_and(|newest| *newest > pods.version) {
            let mut after = view.clone();
            merge(&mut after, Evidence::Pods(pod_look, pods), 50);
            prop_assert_eq!(strip(&view), strip(&after));
        }
    }

    #[test]
    fn a_list_is_silent_about_what_is_outside_of_its_scope(before in vec(evidence(), 1..12), version in 0u64..60) {
        let view = built(&before);
        // An empty list of what is being stopped: of running and finished workflows, and of pods, it says nothing.
        let mut after = view.clone();
        let empty = Listed { items: vec![], version: Version(version) };
        merge(&mut after, Evidence::Workflows(Look::Stopping, empty), 50);
        for (name, tracked) in &view.workflows {
            if matches!(tracked.standing(), Standing::Running(_) | Standing::Done(_) | Standing::Pending) {
                prop_assert_eq!(format!("{tracked:?}"), format!("{:?}", after.workflows[name]));
            }
        }
        // An empty list of finished pods says nothing at all.
        let mut after = view.clone();
        merge(&mut after, Evidence::Pods(Look::Finished, Listed { items: vec![], version: Version(version) }), 50);
        prop_assert_eq!(format!("{:?}", view.workflows), format!("{:?}", after.workflows));
        // An empty audit says that pods are missing, never that they are gone: that takes a consistent read.
        let mut after = view.clone();
        merge(&mut after, Evidence::Pods(Look::AuditPods, Listed { items: vec![], version: Version(version) }), 50);
        for (name, tracked) in &after.workflows {
            for (pod, track) in &tracked.pods {
                prop_assert_eq!(track.gone, view.workflows[name].pods[pod].gone);
            }
        }
    }

    #[test]
    fn a_volume_of_a_namesake_is_never_taken_for_ones_own(volume in volume(), mut workflow in workflow(), first in any::<bool>()) {
        workflow.name.clone_from(&volume.workflow);
        let foreign = volume.owner.as_ref() != Some(&workflow.uid);
        let list = Listed { version: volume.version, items: vec![volume] };
        let mut both = [Evidence::Volumes(list), Evidence::Workflow(workflow.clone())];
        if first {
            both.reverse();
        }
        let tracked = built(&both).workflows[&workflow.name].clone();
        prop_assert!(!(foreign && tracked.volume == VolumeTrack::Present));
    }

    #[test]
    fn a_pod_made_anew_under_its_name_is_another_pod(first in pod(), second in pod()) {
        // It was asked to end; the one that has its name now was not.
        let second = PodSeen { name: first.name.clone(), workflow: first.workflow.clone(), ..second };
        let now = at(Duration::from_secs(1));
        let mut view = View::new(me());
        view.see_pod(first.clone(), now);
        let track = view.workflows.get_mut(&first.workflow).unwrap().pods.get_mut(&first.name).unwrap();
        track.ending = Some(operator_engine::plan::view::Ending::Stop);
        view.see_pod(second.clone(), at(Duration::from_secs(9)));
        let track = &view.workflows[&first.workflow].pods[&first.name];
        if second.version >= first.version {
            prop_assert_eq!(track.ending.is_some(), first.uid == second.uid);
            prop_assert_eq!(track.since == now.mono, first.uid == second.uid);
        }
    }
}

/// What happens to one of a few workflows, in the order of its version.
#[derive(Debug, Clone)]
struct Change {
    name: String,
    seen: Option<WorkflowSeen>,
}

/// The list that a server would give at `version`.
fn list_at(history: &[Change], version: usize, look: Look) -> Listed<WorkflowSeen> {
    let mut state: BTreeMap<&str, Option<&WorkflowSeen>> = BTreeMap::new();
    for change in &history[..version] {
        state.insert(&change.name, change.seen.as_ref());
    }
    let scope: &[State] = match look {
        Look::Attention => &[State::Pending, State::Stopping],
        Look::Stopping => &[State::Stopping],
        _ => &[State::Active],
    };
    let shown = state.into_values().flatten().filter(|seen| seen.state.is_some_and(|state| scope.contains(&state)));
    Listed { items: shown.cloned().collect(), version: Version(version as u64) }
}

proptest! {
    #![proptest_config(Config { cases: 300, failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_order_of_answers_does_not_matter(
        changes in vec((workflow(), prop::bool::weighted(0.15)), 1..25),
        asked in vec((workflow_look(), any::<prop::sample::Index>()), 2..8),
        swap in any::<prop::sample::Index>(),
    ) {
        let history: Vec<Change> = changes.into_iter().enumerate().map(|(n, (seen, deleted))| {
            let version = Version(n as u64 + 1);
            Change { name: seen.name.clone(), seen: (!deleted).then_some(WorkflowSeen { version, ..seen }) }
        }).collect();
        // Each list is answered in order, as its own versions demand; answers of different lists may overtake each other.
        let mut lists: Vec<(Look, usize)> =
            asked.into_iter().map(|(look, index)| (look, index.index(history.len() + 1))).collect();
        lists.sort_by_key(|(_, version)| *version);
        let in_order = lists.clone();
        let at_index = swap.index(lists.len() - 1);
        prop_assume!(lists[at_index].0 != lists[at_index + 1].0);
        lists.swap(at_index, at_index + 1);
        let view = |lists: &[(Look, usize)]| {
            let mut view = View::new(me());
            for (look, version) in lists {
                merge(&mut view, Evidence::Workflows(*look, list_at(&history, *version, *look)), 1);
            }
            view.workflows.into_iter().map(|(name, tracked)| (name, tracked.seen, tracked.record)).collect::<Vec<_>>()
        };
        prop_assert_eq!(format!("{:?}", view(&in_order)), format!("{:?}", view(&lists)));
    }
}
