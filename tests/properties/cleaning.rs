//! When a finished workflow's pods and volumes go, and in what batches; and how long failures pause.

use crate::evidence::{at, holder_of, me};
use operator_engine::{
    plan::{
        Action, Intent, Now, Policy, Target, View, cleaning,
        cohort::Cohort,
        end::End,
        look::Look,
        policy::Retries,
        seen::{LeaseSeen, Listed, PodSeen, Progress, Uid, Version, VolumeSeen, WorkflowSeen},
        transition,
        view::Trouble,
    },
    workflow::{Phase, Stage, State, digest::Sha256, record::Holder},
};
use std::time::Duration;

const DONE: u64 = 100;

/// Something that is different, in words and in deed.
type Case = (&'static str, fn(&mut View));

fn second(second: u64) -> Now {
    at(Duration::from_secs(second))
}

/// A workflow that was seen at its end at [`DONE`], with so many pods that ended, each of them certain, and its volume.
fn finished(view: &mut View, name: &str, holder: &Holder, pods: u32) {
    let record = transition::stopped_unclaimed(holder);
    let uid = Uid(format!("uid-{name}"));
    let seen = WorkflowSeen {
        name: name.to_owned(),
        uid: uid.clone(),
        version: Version(10),
        created: second(0).wall,
        state: Some(State::Done),
        status: Some(record.render()),
        deleting: false,
        order: Default::default(),
    };
    view.see_workflow(seen, second(DONE));
    for attempt in 0..pods {
        let pod = PodSeen {
            name: format!("{name}-configure-{attempt}"),
            uid: Uid(format!("pod-{name}-{attempt}")),
            version: Version(9),
            workflow: name.to_owned(),
            owner: Some(uid.clone()),
            cohort: Some(Cohort(1)),
            deleting: false,
            progress: Progress::Ended(End::default()),
        };
        view.see_pod(pod, second(DONE));
    }
    for pod in view.workflows.get_mut(name).unwrap().pods.values_mut() {
        pod.intended = true;
    }
    let owner = Some(uid);
    view.see_volume(&VolumeSeen { workflow: name.to_owned(), uid: Uid("v".to_owned()), version: Version(5), owner });
}

fn one(pods: u32) -> View {
    let mut view = View::new(me());
    finished(&mut view, "wf", &me(), pods);
    view
}

fn planned(view: &View, now: Now) -> (Vec<Action>, Option<Duration>) {
    let mut plan = operator_engine::plan::Plan::default();
    cleaning::plan(view, &Policy::default(), now, &mut plan);
    (plan.actions, plan.wake)
}

fn pods_deleted(view: &View, now: Now) -> Vec<String> {
    let jobs = planned(view, now).0.into_iter().find_map(|action| match action.intent {
        Intent::DeletePods { stage: None, owners } => Some(owners),
        _ => None,
    });
    jobs.unwrap_or_default().iter().map(|owner| owner.job.to_string()).collect()
}

/// The second at which the pods of a view go first, and what else is said: the plan wakes itself by then.
fn first_gone(view: &View) -> Option<u64> {
    let gone = (DONE..DONE + 100).find(|at| !pods_deleted(view, second(*at)).is_empty())?;
    for at in DONE..gone {
        let wake = planned(view, second(at)).1.expect("whoever waits says until when");
        assert!(wake > second(at).mono && wake <= second(gone).mono, "asleep at {gone}: {wake:?}");
    }
    Some(gone)
}

#[test]
fn pods_that_nobody_can_ask_for_again_go_after_one_round() {
    assert_eq!(first_gone(&one(4)), Some(DONE + 1));
}

#[test]
fn a_pod_that_somebody_may_still_ask_for_stays_as_a_tombstone() {
    let tombstone = Some(DONE + 15 + 10 + 1); // a lease's duration, a request's limit, one round
    let changes: [Case; 3] = [
        ("another process intended it", |view| pod(view).intended = false),
        ("a request to create it was not answered", |view| pod(view).uncertain = true),
        ("it still runs", |view| pod(view).seen.as_mut().unwrap().progress = Progress::Running),
    ];
    for (what, change) in changes {
        let mut view = one(4);
        change(&mut view);
        assert_eq!(first_gone(&view), tombstone, "{what}");
    }
    let mut view = one(4);
    let track = pod(&mut view);
    (track.seen, track.refused) = (None, None);
    assert_eq!(first_gone(&view), Some(DONE + 1), "it was never made, and every request was answered");
}

fn pod(view: &mut View) -> &mut operator_engine::plan::view::PodTrack {
    view.workflows.get_mut("wf").unwrap().pods.get_mut("wf-configure-1").unwrap()
}

/// The stage whose pods go at this second, and whose.
fn stage_deleted(view: &View, now: Now) -> Option<(Stage, Vec<String>)> {
    planned(view, now).0.into_iter().find_map(|action| match action.intent {
        Intent::DeletePods { stage: Some(stage), owners } => {
            Some((stage, owners.iter().map(|owner| owner.job.to_string()).collect()))
        }
        _ => None,
    })
}

/// A workflow of ours in its algorithm, whose configure had so many attempts.
fn in_algorithm(view: &mut View, name: &str, attempts: u32) {
    finished(view, name, &me(), attempts);
    let mut record = transition::claimed(&me(), Sha256::of(""), second(0).wall);
    record.phase = Phase::Algorithm;
    let seen = view.workflows[name].seen.clone().unwrap();
    let seen = WorkflowSeen { version: Version(11), state: Some(State::Active), status: Some(record.render()), ..seen };
    view.see_workflow(seen, second(DONE));
}

#[test]
fn pods_of_a_stage_that_is_over_go_early_in_batches_and_only_when_nobody_can_ask_for_them() {
    let mut view = View::new(me());
    in_algorithm(&mut view, "wf", 3);
    assert_eq!(stage_deleted(&view, second(DONE + 29)), None, "a quick workflow is at its end by then");
    assert_eq!(stage_deleted(&view, second(DONE + 30)), Some((Stage::Configure, vec!["wf".to_owned()])));
    let changes: [Case; 5] = [
        ("another process intended it", |view| pod(view).intended = false),
        ("a request to create it was not answered", |view| pod(view).uncertain = true),
        ("it still runs", |view| pod(view).seen.as_mut().unwrap().progress = Progress::Running),
        ("stale", |view| view.workflows.get_mut("wf").unwrap().stale = true),
        ("a deletion has just failed", |view| {
            let (until, error) = (second(DONE + 99).mono, "busy".to_owned());
            view.workflows.get_mut("wf").unwrap().trouble = Some(Trouble { failures: 1, until, error });
        }),
    ];
    for (what, change) in changes {
        let mut view = view.clone();
        change(&mut view);
        assert_eq!(stage_deleted(&view, second(DONE + 30)), None, "{what}");
    }
    for n in 0..20 {
        in_algorithm(&mut view, &format!("wf-{n}"), 3);
    }
    assert_eq!(stage_deleted(&view, second(DONE)).unwrap().1.len(), 16, "a full batch does not wait: 16 of 3 pods");
}

#[test]
fn volumes_go_after_their_pods() {
    let mut view = one(2);
    let now = second(DONE + 50);
    let targets = |view: &View| planned(view, now).0.into_iter().map(|action| action.target).collect::<Vec<_>>();
    assert_eq!(targets(&view), [Target::Pods]);
    view.cleaning.pods = true;
    assert_eq!(targets(&view), [], "one deletion at a time");
    view.cleaning.pods = false;
    view.workflows.get_mut("wf").unwrap().pods.clear();
    assert_eq!(targets(&view), [Target::Volumes]);
    view.cleaning.volumes = true;
    assert_eq!(targets(&view), []);
}

#[test]
fn a_batch_has_at_most_fifty_objects_and_a_full_one_does_not_wait() {
    let mut view = View::new(me());
    for n in 0..30 {
        finished(&mut view, &format!("wf-{n:02}"), &me(), 4);
    }
    assert_eq!(pods_deleted(&view, second(DONE)).len(), 12, "12 workflows of 4 pods, and no 13th");
    let mut view = View::new(me());
    for n in 0..12 {
        finished(&mut view, &format!("wf-{n:02}"), &me(), 4);
    }
    assert_eq!(first_gone(&view), Some(DONE + 1), "48 wait for others");
    assert_eq!(pods_deleted(&view, second(DONE + 1)).len(), 12);
    assert_eq!(pods_deleted(&one(200), second(DONE)), ["wf"], "one that is larger than a batch goes alone");
}

#[test]
fn what_others_hold_or_what_is_in_doubt_is_left_alone() {
    let doubts: [Case; 4] = [
        ("stale", |view| view.workflows.get_mut("wf").unwrap().stale = true),
        ("busy", |view| view.workflows.get_mut("wf").unwrap().busy = Some("read-workflow")),
        ("cleaning is off for pods under way", |view| view.cleaning.pods = true),
        ("in trouble", |view| {
            let trouble = Trouble { failures: 1, until: second(DONE + 99).mono, error: "busy".to_owned() };
            view.workflows.get_mut("wf").unwrap().trouble = Some(trouble);
        }),
    ];
    for (what, doubt) in doubts {
        let mut view = one(4);
        doubt(&mut view);
        assert_eq!(pods_deleted(&view, second(DONE + 50)), [""; 0], "{what}");
    }
    let mut view = View::new(me());
    finished(&mut view, "wf", &holder_of("other", "other-1"), 4);
    let lease = LeaseSeen {
        name: "other".to_owned(),
        uid: Uid("l".to_owned()),
        version: Version(1),
        holder: "other-1".to_owned(),
        duration: Duration::from_secs(15),
    };
    for (version, at) in [(20, DONE + 40), (21, DONE + 54), (22, DONE + 55)] {
        assert_eq!(pods_deleted(&view, second(at)), [""; 0], "the engine that finished it cleans up");
        view.look_begun(Look::Leases, second(at));
        view.leases_listed(Listed { items: vec![lease.clone()], version: Version(version) }, second(at));
    }
    assert_eq!(pods_deleted(&view, second(DONE + 55)), ["wf"], "unless it is dead");
}

#[test]
fn pauses_double_up_to_their_limit_and_no_number_of_failures_breaks_them() {
    let retries = Retries {
        platform: 3,
        publish_for: Duration::from_secs(60),
        backoff_first: Duration::from_secs(5),
        backoff_max: Duration::from_secs(300),
    };
    let pauses = [0, 1, 2, 3, 4, 5, 6, 7, 8, 33, u32::MAX].map(|failures| retries.backoff(failures).as_secs());
    assert_eq!(pauses, [5, 5, 10, 20, 40, 80, 160, 300, 300, 300, 300]);
    let endless = Retries { backoff_first: Duration::MAX, backoff_max: Duration::MAX, ..retries };
    assert_eq!(endless.backoff(u32::MAX), Duration::MAX);
}
