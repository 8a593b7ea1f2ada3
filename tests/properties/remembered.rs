//! What arbitrary evidence is unlikely to lead to, step by step: each of these was wrong once.

use crate::evidence::{at, document, holder_of, me};
use operator_engine::{
    plan::{
        Action, Answer, Failure, Intent, Now, Policy, Target, Verdict, View,
        action::{Write, WriteStep},
        cohort::Cohort,
        end::End,
        look::Look,
        plan,
        seen::{
            LeaseSeen, Leaving, Listed, PodSeen, Progress, Uid, Version, VolumeSeen, Waiting, WaitingCause,
            WorkflowSeen,
        },
        transition::{self, Ended},
        view::{Ending, OwnLease},
    },
    workflow::{
        Document, Outcome, Phase, Record, Stage, State,
        record::{Holder, MAX_LEN},
        report::{ExecReport, render},
    },
};
use std::{sync::Arc, time::Duration};

const NOW: u64 = 1000;

fn now() -> Now {
    at(Duration::from_secs(NOW))
}

fn policy() -> Policy {
    Policy { filter_image: Some("filter:1".to_owned()), ..Policy::default() }
}

/// A view that has seen everything once, of a process that may write.
fn view() -> View {
    let mut view = View::new(me());
    let (name, holder, duration) = (me().lease, me().identity, Duration::from_secs(15));
    let seen = LeaseSeen { name, uid: Uid("lease".to_owned()), version: Version(1), holder, duration };
    view.own_lease = OwnLease::Held { seen, since: now().mono };
    for look in [Look::AuditWorkflows, Look::AuditPods, Look::AuditVolumes, Look::Leases] {
        view.look_begun(look, now());
    }
    view.workflows_listed(Look::AuditWorkflows, Listed { items: vec![], version: Version(0) }, now());
    view.pods_listed(Look::AuditPods, Listed { items: vec![], version: Version(0) }, now());
    view.volumes_listed(Listed { items: vec![], version: Version(0) });
    view.leases_listed(Listed { items: vec![], version: Version(0) }, now());
    view
}

fn seen(version: u64, state: State, record: Option<&Record>) -> WorkflowSeen {
    WorkflowSeen {
        name: "wf".to_owned(),
        uid: Uid("uid-1".to_owned()),
        version: Version(version),
        created: now().wall,
        state: Some(state),
        status: record.map(Record::render),
        deleting: false,
        order: Default::default(),
    }
}

fn record(holder: &Holder, phase: Phase, attempt: u32) -> Record {
    let mut record = transition::claimed(holder, document().sha256, now().wall);
    (record.phase, record.attempt) = (phase, attempt);
    record
}

/// A workflow of ours in this phase, with its document and its volume.
fn running(phase: Phase, attempt: u32) -> View {
    let mut view = view();
    view.see_workflow(seen(10, State::Active, Some(&record(&me(), phase, attempt))), now());
    view.see_volume(&volume("uid-1"));
    view.workflows.get_mut("wf").unwrap().document = Some(Ok(document()));
    view
}

fn volume(owner: &str) -> VolumeSeen {
    let (workflow, owner) = ("wf".to_owned(), Some(Uid(owner.to_owned())));
    VolumeSeen { workflow, uid: Uid("volume".to_owned()), version: Version(5), owner }
}

fn pod(stage: Stage, attempt: u32, version: u64, progress: Progress) -> PodSeen {
    PodSeen {
        name: format!("wf-{stage}-{attempt}"),
        uid: Uid("pod-1".to_owned()),
        version: Version(version),
        workflow: "wf".to_owned(),
        owner: Some(Uid("uid-1".to_owned())),
        cohort: Some(Cohort(1)),
        deleting: false,
        progress,
    }
}

/// What is to be done about the workflow, and what is said of it.
fn step(view: &View, policy: &Policy) -> (Option<Intent>, Verdict) {
    let mut plan = plan(view, policy, now());
    let of_workflow = |action: &Action| action.target == Target::Workflow("wf".to_owned());
    let action = plan.actions.into_iter().find(of_workflow);
    (action.map(|action| action.intent), plan.verdicts.remove("wf").unwrap())
}

fn written(view: &View, policy: &Policy) -> Write {
    match step(view, policy) {
        (Some(Intent::Write(write)), _) => *write,
        other => panic!("{other:?}"),
    }
}

fn answered(view: &mut View, intent: Intent, result: Result<Answer, Failure>) {
    let action = Action { target: Target::Workflow("wf".to_owned()), intent };
    view.action_begun(&action);
    view.action_ended(&action, result, now().mono, &policy(), now());
}

#[test]
fn a_document_that_a_list_has_overtaken_is_read_again() {
    let mut view = view();
    view.see_workflow(seen(10, State::Pending, None), now());
    assert_eq!(step(&view, &policy()).0, Some(Intent::ReadDocument));
    // While it is read somebody edits it, and a list shows that first.
    view.see_workflow(seen(11, State::Pending, None), now());
    let old: Result<Arc<Document>, _> = Ok(document());
    answered(&mut view, Intent::ReadDocument, Ok(Answer::Document(Some((seen(10, State::Pending, None), old)))));
    assert_eq!(step(&view, &policy()).0, Some(Intent::ReadDocument), "the claim is of what is there");
    answered(
        &mut view,
        Intent::ReadDocument,
        Ok(Answer::Document(Some((seen(11, State::Pending, None), Ok(document()))))),
    );
    assert_eq!(written(&view, &policy()).step, WriteStep::Claim);
}

#[test]
fn a_break_in_holding_ends_certainty_about_pods() {
    let mut view = running(Phase::Configure, 0);
    let write = Write {
        step: WriteStep::Claim,
        uid: Uid("uid-1".to_owned()),
        version: Version(10),
        state: State::Active,
        record: record(&me(), Phase::Configure, 0),
    };
    let after = seen(11, State::Active, Some(&write.record));
    answered(&mut view, Intent::Write(Box::new(write)), Ok(Answer::Workflow(Some(after))));
    let intended = |view: &View| view.workflows["wf"].pods["wf-configure-0"].intended;
    assert!(intended(&view));
    let theirs = record(&holder_of("other", "other-1"), Phase::Configure, 0);
    view.see_workflow(seen(12, State::Active, Some(&theirs)), now());
    view.see_workflow(seen(13, State::Active, Some(&record(&me(), Phase::Configure, 0))), now());
    assert!(!intended(&view), "the other one may have asked for the pod");
}

#[test]
fn a_write_whose_answer_a_takeover_overtook_makes_nothing_certain() {
    let mut view = running(Phase::Configure, 0);
    let next = record(&me(), Phase::Algorithm, 0);
    let (uid, version) = (Uid("uid-1".to_owned()), Version(10));
    let write = Write { step: WriteStep::Transition, uid, version, state: State::Active, record: next.clone() };
    // Another process took it over after the write, and a list shows that before the answer comes.
    let theirs = record(&holder_of("other", "other-1"), Phase::Algorithm, 0);
    view.see_workflow(seen(12, State::Active, Some(&theirs)), now());
    let after = seen(11, State::Active, Some(&next));
    answered(&mut view, Intent::Write(Box::new(write)), Ok(Answer::Workflow(Some(after))));
    let certain = view.workflows["wf"].pods.values().any(|pod| pod.intended);
    assert!(!certain, "the other one may have asked for the pod");
}

#[test]
fn a_stop_that_ended_the_pod_is_recorded_whatever_the_label_says_since() {
    for (progress, gone) in
        [(Progress::Ended(End { exit_code: Some(143), ..End::default() }), false), (Progress::Running, true)]
    {
        let mut view = running(Phase::Algorithm, 0);
        view.see_pod(pod(Stage::Algorithm, 0, 11, Progress::Running), now());
        view.see_workflow(seen(12, State::Stopping, Some(&record(&me(), Phase::Algorithm, 0))), now());
        let (intent, _) = step(&view, &policy());
        assert!(matches!(&intent, Some(Intent::EndPod { why: Ending::Stop, .. })), "{intent:?}");
        answered(&mut view, intent.unwrap(), Ok(Answer::Leaving(Leaving::Asked)));
        // `kubectl apply` of the manifest sets its label again.
        view.see_workflow(seen(13, State::Pending, Some(&record(&me(), Phase::Algorithm, 0))), now());
        view.see_pod(pod(Stage::Algorithm, 0, 14, progress), now());
        if gone {
            view.pod_read("wf", "wf-algorithm-0", None, now());
        }
        let write = written(&view, &policy());
        assert_eq!((write.record.stopreq, write.record.outcome), (1, Some(Outcome::Stopped)));
        assert_eq!(write.record.phase, Phase::Filter, "it ran, so the filter looks at what it left");
    }
}

#[test]
fn what_answers_its_deletion_with_0_is_not_done_for_that() {
    let report = |stopped| render(&ExecReport { stopped, exit_code: Some(0), ..ExecReport::default() });
    for (phase, message, step) in [
        (Phase::Algorithm, report(true), WriteStep::Retry),
        // It had ended by itself before the signal came.
        (Phase::Algorithm, report(false), WriteStep::Transition),
        // Nobody knows what an admin's program makes of a signal.
        (Phase::Filter, String::new(), WriteStep::Retry),
    ] {
        let stage = phase.stage().unwrap();
        let mut view = running(phase, 0);
        view.see_pod(pod(stage, 0, 11, Progress::Running), now());
        let end = End { exit_code: Some(0), reason: Some("Completed".to_owned()), message, ..End::default() };
        view.see_pod(PodSeen { deleting: true, ..pod(stage, 0, 12, Progress::Ended(end)) }, now());
        let write = written(&view, &policy());
        assert_eq!(write.step, step, "{stage}: {:?}", write.record);
        assert_eq!(write.record.failures, u32::from(step == WriteStep::Retry));
    }
}

#[test]
fn a_stop_while_the_algorithm_waits_for_its_second_attempt_does_not_pass_the_filter() {
    let mut view = running(Phase::Algorithm, 0);
    view.see_pod(pod(Stage::Algorithm, 0, 11, Progress::Running), now());
    let evicted = End { reason: Some("Evicted".to_owned()), disrupted: true, ..End::default() };
    view.see_pod(pod(Stage::Algorithm, 0, 12, Progress::Ended(evicted)), now());
    let retry = written(&view, &policy());
    assert_eq!((retry.step, retry.record.attempt), (WriteStep::Retry, 1));
    let after = seen(13, State::Active, Some(&retry.record));
    answered(&mut view, Intent::Write(Box::new(retry.clone())), Ok(Answer::Workflow(Some(after))));
    view.see_workflow(seen(14, State::Stopping, Some(&retry.record)), now());
    let write = written(&view, &policy());
    assert_eq!((write.record.phase, write.record.outcome), (Phase::Filter, Some(Outcome::Stopped)));
    let after = seen(15, State::Active, Some(&write.record));
    answered(&mut view, Intent::Write(Box::new(write)), Ok(Answer::Workflow(Some(after))));
    let (intent, _) = step(&view, &policy());
    let Some(Intent::CreatePod(spec)) = intent else { panic!("{intent:?}") };
    assert_eq!(spec.stage, Stage::Filter, "it looks at what was written by then");
    // One that certainly never ran has nothing to look at.
    let mut view = running(Phase::Algorithm, 0);
    view.workflows.get_mut("wf").unwrap().pods.entry("wf-algorithm-0".to_owned()).or_default().intended = true;
    view.see_workflow(seen(14, State::Stopping, Some(&record(&me(), Phase::Algorithm, 0))), now());
    let write = written(&view, &policy());
    assert_eq!((write.record.phase, write.record.withheld), (Phase::Publish, false));
}

#[test]
fn a_stop_is_not_forgotten_over_a_timeout() {
    let report = ExecReport { timed_out: true, wall_ms: 1, ..ExecReport::default() };
    let end = End { exit_code: Some(0), message: render(&report), ..End::default() };
    let before = record(&me(), Phase::Algorithm, 0);
    for (stop, stopreq) in [(true, 1), (false, 2)] {
        let ended = Ended::Pod { end: &end, ending: None };
        let (_, next) = transition::after(&before, Stage::Algorithm, &ended, stop, &policy(), now().wall);
        assert_eq!((next.outcome, next.stopreq), (Some(Outcome::TimedOut), stopreq));
    }
}

#[test]
fn a_record_that_would_not_fit_is_given_up_and_not_tried_for_ever() {
    let mut full = record(&holder_of("engine", ""), Phase::Configure, 0);
    full.message = Some("x".repeat(MAX_LEN - full.render().len() - r#","message":"""#.len()));
    assert_eq!(full.render().len(), MAX_LEN);
    let mut view = view();
    view.see_workflow(seen(10, State::Active, Some(&full)), now());
    // Its holder is an earlier process of this engine: it is taken over, and `engine-2` is longer than nothing.
    let write = written(&view, &policy());
    assert_eq!(
        (write.step, write.state, write.record.outcome),
        (WriteStep::Finish, State::Done, Some(Outcome::Failed))
    );
    assert!(write.record.render().len() < MAX_LEN);
}

#[test]
fn a_volume_of_a_namesake_is_not_mounted() {
    let mut view = view();
    view.see_volume(&volume("uid-0"));
    view.see_workflow(seen(10, State::Active, Some(&record(&me(), Phase::Configure, 0))), now());
    view.workflows.get_mut("wf").unwrap().document = Some(Ok(document()));
    let (intent, _) = step(&view, &policy());
    assert!(matches!(intent, Some(Intent::CreateVolume { .. })), "{intent:?}");
    answered(&mut view, intent.unwrap(), Ok(Answer::Volume(volume("uid-0"))));
    let (intent, verdict) = step(&view, &policy());
    assert!(intent.is_none() && matches!(verdict, Verdict::Waiting(_)), "{intent:?} {verdict:?}");
}

#[test]
fn a_pod_made_anew_is_waited_for_by_its_own_deadline() {
    let mut view = running(Phase::Configure, 0);
    let waiting = |cause| Progress::Waiting(Waiting { cause, message: String::new() });
    view.see_pod(pod(Stage::Configure, 0, 11, waiting(WaitingCause::Unschedulable)), now());
    let why = Ending::WaitedFor {
        cause: WaitingCause::Unschedulable,
        message: String::new(),
        after: Duration::from_secs(600),
    };
    let (name, uid) = ("wf-configure-0".to_owned(), Uid("pod-1".to_owned()));
    answered(&mut view, Intent::EndPod { name, uid, why }, Ok(Answer::Leaving(Leaving::Asked)));
    // It went, and a late request made it anew.
    let anew =
        PodSeen { uid: Uid("pod-2".to_owned()), ..pod(Stage::Configure, 0, 13, waiting(WaitingCause::Starting)) };
    view.see_pod(anew, now());
    let (_, verdict) = step(&view, &policy());
    assert_eq!(verdict.to_string(), "waiting for the configure pod to start (starting)");
}

#[test]
fn a_workflow_that_is_being_deleted_is_let_go_and_its_slot_with_its_pod() {
    let policy = Policy { max_jobs: 1, ..policy() };
    let mut view = running(Phase::Configure, 0);
    view.see_pod(pod(Stage::Configure, 0, 11, Progress::Running), now());
    let gone = WorkflowSeen { deleting: true, ..seen(12, State::Active, Some(&record(&me(), Phase::Configure, 0))) };
    view.see_workflow(gone, now());
    assert_eq!((step(&view, &policy), view.running()), ((None, Verdict::Ignored), 1));
    view.pod_read("wf", "wf-configure-0", None, now());
    assert_eq!((step(&view, &policy), view.running()), ((None, Verdict::Ignored), 0));
    let pending = WorkflowSeen { deleting: true, ..seen(13, State::Pending, None) };
    let mut view = self::view();
    view.see_workflow(pending, now());
    assert_eq!(step(&view, &policy), (None, Verdict::Ignored), "nor is it claimed");
}

#[test]
fn one_that_is_being_claimed_takes_a_slot_as_those_that_run_do() {
    let policy = Policy { max_jobs: 2, ..policy() };
    let mut view = running(Phase::Configure, 0);
    for name in ["a", "b", "c"] {
        view.see_workflow(WorkflowSeen { name: name.to_owned(), ..seen(20, State::Pending, None) }, now());
        view.workflows.get_mut(name).unwrap().document = Some(Ok(document()));
    }
    let claims = |view: &View| {
        let actions = plan(view, &policy, now()).actions;
        let claims = actions.into_iter().filter(|action| action.intent.name() == "claim");
        claims.map(|action| action.target).collect::<Vec<_>>()
    };
    assert_eq!(claims(&view), [Target::Workflow("a".to_owned())]);
    view.workflows.get_mut("a").unwrap().busy = Some("claim");
    assert_eq!(claims(&view), []);
    // Nor does one take it that is older and was seen later.
    let older = at(Duration::from_secs(NOW - 1)).wall;
    let older = WorkflowSeen { name: "z".to_owned(), created: older, ..seen(21, State::Pending, None) };
    view.see_workflow(older, now());
    view.workflows.get_mut("z").unwrap().document = Some(Ok(document()));
    assert_eq!(claims(&view), []);
}

#[test]
fn what_a_pod_needs_and_may_still_come_is_waited_for_until_its_deadline() {
    let mut view = running(Phase::Configure, 0);
    let create = step(&view, &policy()).0.expect("the pod is wanted");
    assert!(matches!(create, Intent::CreatePod(_)), "{create:?}");
    view.workflows.get_mut("wf").unwrap().pods.entry("wf-configure-0".to_owned()).or_default().intended = true;
    let message = "error looking up service account jobs/default".to_owned();
    answered(&mut view, create.clone(), Err(Failure::NotYet { message }));
    let after = |view: &mut View, pause: Duration| {
        let later = at(now().mono + pause);
        let OwnLease::Held { since, .. } = &mut view.own_lease else { panic!("not held") };
        *since = later.mono;
        let wanted = |action: &Action| action.target == Target::Workflow("wf".to_owned());
        plan(view, &policy(), later).actions.into_iter().find(wanted).map(|action| action.intent)
    };
    assert_eq!(after(&mut view, Duration::from_secs(1)), None, "not in a hurry");
    assert_eq!(after(&mut view, Duration::from_secs(60)), Some(create), "it may have come");
    let Some(Intent::Write(write)) = after(&mut view, policy().waiting.start) else { panic!("it waits for ever") };
    assert_eq!(write.record.reason.as_deref(), Some("StartTimeout"));
    assert!(write.record.message.unwrap().contains("service account"));
}
