//! Pods: created once, followed to their end, ended, deleted, owned.

use super::{Subject, eventually, job, owner, spec, submitted};
use operator_engine::{
    cluster::Freshness,
    plan::{
        Failure,
        cohort::{Cohort, Cohorts},
        end::End,
        kind::Kind,
        look::Look,
        seen::{PodSeen, Progress, Uid},
    },
    workflow::{Stage, report},
};

/// A new workflow with a new pod for configure.
async fn pod_of(subject: &dyn Subject, name: &str) -> PodSeen {
    let owner = submitted(subject, name).await.uid;
    subject.cluster().create_pod(&spec(name, &owner, Stage::Configure, 0)).await.unwrap()
}

async fn shown(subject: &dyn Subject, look: Look, name: &str) -> Option<PodSeen> {
    let consistent = subject.cluster().list_pods(look, &Cohorts::All, Freshness::Consistent).await.unwrap();
    let cached =
        subject.cluster().list_pods(look, &Cohorts::All, Freshness::NotOlderThan(consistent.version)).await.unwrap();
    assert!(cached.version >= consistent.version);
    let mut found = [consistent, cached].map(|list| {
        for pod in &list.items {
            assert!(pod.version <= list.version, "{look:?}: {pod:?} is newer than its list");
            let ended = matches!(pod.progress, Progress::Ended(_));
            assert!(look == Look::AuditPods || ended, "{look:?} shows {pod:?}");
        }
        list.items.into_iter().filter(|pod| pod.name == name).collect::<Vec<_>>()
    });
    assert_eq!(found[0], found[1]);
    assert!(found[0].len() <= 1);
    found[0].pop()
}

async fn read(subject: &dyn Subject, name: &str) -> Option<PodSeen> {
    subject.cluster().read_pod(name).await.unwrap()
}

async fn gone(subject: &dyn Subject, name: &str) {
    eventually(subject, &format!("{name} is gone"), || async { read(subject, name).await.is_none().then_some(()) })
        .await;
    assert_eq!(shown(subject, Look::AuditPods, name).await, None);
}

pub(crate) async fn a_new_pod_waits_under_its_name_and_owner(subject: &dyn Subject) {
    let owner = submitted(subject, "new-pod").await.uid;
    for (stage, attempt) in [(Stage::Configure, 0), (Stage::Algorithm, 0), (Stage::Algorithm, 1), (Stage::Publish, 0)] {
        let pod = subject.cluster().create_pod(&spec("new-pod", &owner, stage, attempt)).await.unwrap();
        let name = format!("new-pod-{stage}-{attempt}");
        assert_eq!((&pod.name, pod.workflow.as_str(), &pod.owner), (&name, "new-pod", &Some(owner.clone())));
        assert!(matches!(pod.progress, Progress::Waiting(_)), "{pod:?}");
        let (seen, listed) =
            (read(subject, &name).await.unwrap(), shown(subject, Look::AuditPods, &name).await.unwrap());
        assert_eq!((&seen.uid, &listed.uid), (&pod.uid, &pod.uid));
        assert_eq!(shown(subject, Look::Finished, &name).await, None);
    }
}

pub(crate) async fn a_pod_is_created_once_whoever_asks(subject: &dyn Subject) {
    let first = pod_of(subject, "once").await;
    let stranger = submitted(subject, "once-stranger").await.uid;
    for owner in [first.owner.clone().unwrap(), stranger] {
        let again = subject.cluster().create_pod(&spec("once", &owner, Stage::Configure, 0)).await.unwrap();
        assert_eq!((&again.uid, &again.owner), (&first.uid, &first.owner), "the one that has the name is returned");
    }
    subject.finish_pod(&first.name, exit(0, "Completed", "")).await;
    let again = subject.cluster().create_pod(&spec("once", &first.owner.clone().unwrap(), Stage::Configure, 0)).await;
    let again = again.unwrap();
    assert_eq!(again.uid, first.uid, "one that has ended keeps its name");
    assert!(matches!(again.progress, Progress::Ended(_)), "{again:?}");
}

fn exit(code: i32, reason: &str, message: &str) -> End {
    End {
        exit_code: Some(code),
        reason: Some(reason.to_owned()),
        disrupted: false,
        message: message.to_owned(),
        image_id: None,
    }
}

pub(crate) async fn a_pod_is_followed_to_its_end(subject: &dyn Subject) {
    let created = pod_of(subject, "followed").await;
    subject.start_pod(&created.name).await;
    let running = read(subject, &created.name).await.unwrap();
    assert_eq!((&running.uid, &running.progress), (&created.uid, &Progress::Running));
    assert!(running.version > created.version);
    assert_eq!(shown(subject, Look::AuditPods, &created.name).await, Some(running.clone()));
    assert_eq!(shown(subject, Look::Finished, &created.name).await, None);

    let end = exit(3, "Error", "{\"a\": 1}\n");
    subject.finish_pod(&created.name, end.clone()).await;
    let ended = read(subject, &created.name).await.unwrap();
    assert_eq!((&ended.uid, &ended.progress), (&created.uid, &Progress::Ended(end)));
    assert!(ended.version > running.version);
    assert_eq!(shown(subject, Look::Finished, &created.name).await, Some(ended.clone()));
    assert_eq!(shown(subject, Look::AuditPods, &created.name).await, Some(ended));
}

pub(crate) async fn each_end_is_reported_as_it_was(subject: &dyn Subject) {
    let longest = format!("{}ä\u{1F427}", "x".repeat(report::MAX_LEN - 6));
    let evicted = End {
        exit_code: None,
        reason: Some("Evicted".to_owned()),
        disrupted: true,
        message: "The node was low on resource: memory.".to_owned(),
        image_id: None,
    };
    let ends = [
        ("end-ok", exit(0, "Completed", "")),
        ("end-long", exit(0, "Completed", &longest)),
        ("end-error", exit(1, "Error", "not \"JSON\"")),
        ("end-memory", exit(137, "OOMKilled", "")),
        ("end-evicted", evicted),
    ];
    for (name, end) in ends {
        let pod = pod_of(subject, name).await.name;
        subject.start_pod(&pod).await;
        subject.finish_pod(&pod, end.clone()).await;
        assert_eq!(shown(subject, Look::Finished, &pod).await.unwrap().progress, Progress::Ended(end), "{name}");
    }
}

pub(crate) async fn a_pod_that_is_asked_to_end_stays_to_be_seen(subject: &dyn Subject) {
    let pod = pod_of(subject, "ended").await;
    subject.start_pod(&pod.name).await;
    assert!(!subject.asked_to_end(&pod.name).await);
    for _ in 0..2 {
        subject.cluster().end_pod(&pod.name, &pod.uid).await.unwrap();
        eventually(subject, "the pod is asked to end", || async {
            subject.asked_to_end(&pod.name).await.then_some(())
        })
        .await;
        let seen = read(subject, &pod.name).await.unwrap();
        assert_eq!((&seen.uid, &seen.progress), (&pod.uid, &Progress::Running), "it has its grace");
    }
    subject.finish_pod(&pod.name, exit(143, "Error", "last words")).await;
    let ended = shown(subject, Look::Finished, &pod.name).await.unwrap();
    assert_eq!(ended.uid, pod.uid, "its object is left in place");
    let Progress::Ended(end) = &ended.progress else { panic!("{ended:?}") };
    assert_eq!((end.exit_code, end.message.as_str()), (Some(143), "last words"));
    subject.cluster().end_pod(&pod.name, &pod.uid).await.unwrap();
    assert_eq!(read(subject, &pod.name).await, Some(ended), "one that has ended cannot end again");
}

pub(crate) async fn a_pod_that_never_started_ends_or_goes(subject: &dyn Subject) {
    let pod = pod_of(subject, "unstarted").await;
    subject.cluster().end_pod(&pod.name, &pod.uid).await.unwrap();
    eventually(subject, "the pod is over", || async {
        match read(subject, &pod.name).await {
            None => Some(()),
            Some(seen) => matches!(seen.progress, Progress::Ended(_)).then_some(()),
        }
    })
    .await;
}

pub(crate) async fn another_pod_of_that_name_is_left_alone(subject: &dyn Subject) {
    let pod = pod_of(subject, "other").await;
    subject.start_pod(&pod.name).await;
    let before = read(subject, &pod.name).await;
    let other = Uid("00000000-0000-4000-8000-000000000000".to_owned());
    assert_eq!(subject.cluster().end_pod(&pod.name, &other).await, Err(Failure::NotFound));
    assert!(!subject.asked_to_end(&pod.name).await);
    assert_eq!(read(subject, &pod.name).await, before);
}

pub(crate) async fn all_pods_of_the_workflows_named_go_and_no_others(subject: &dyn Subject) {
    // Names that begin alike, and one that looks like a pod's.
    let (named, others) = (["del-a", "del-b"], ["del", "del-a-configure-0", "del-a-b", "del-a.b"]);
    let mut owners = vec![owner("del-nothing", &Uid("nobody".to_owned()))];
    for name in named.iter().chain(&others) {
        let uid = submitted(subject, name).await.uid;
        if named.contains(name) {
            owners.push(owner(name, &uid));
        }
        for stage in [Stage::Configure, Stage::Algorithm] {
            subject.cluster().create_pod(&spec(name, &uid, stage, 0)).await.unwrap();
        }
        subject.start_pod(&format!("{name}-algorithm-0")).await;
        subject.finish_pod(&format!("{name}-configure-0"), exit(0, "Completed", "")).await;
    }
    for _ in 0..2 {
        subject.cluster().delete_pods(None, &owners).await.unwrap();
        for name in named {
            gone(subject, &format!("{name}-configure-0")).await;
            gone(subject, &format!("{name}-algorithm-0")).await;
        }
    }
    for name in others {
        for (stage, ended) in [(Stage::Configure, true), (Stage::Algorithm, false)] {
            let left = read(subject, &format!("{name}-{stage}-0")).await.unwrap();
            assert_eq!(matches!(left.progress, Progress::Ended(_)), ended, "{left:?}");
            assert!(!subject.asked_to_end(&left.name).await);
        }
    }
}

pub(crate) async fn what_belongs_to_another_workflow_of_that_name_stays(subject: &dyn Subject) {
    let pod = pod_of(subject, "namesake").await;
    // What an engine says that still knows an earlier workflow of this name.
    let earlier = owner("namesake", &Uid("earlier".to_owned()));
    for stage in [None, Some(Stage::Configure)] {
        subject.cluster().delete_pods(stage, std::slice::from_ref(&earlier)).await.unwrap();
        subject.tend().await;
        assert_eq!(
            read(subject, &pod.name).await.map(|seen| (seen.uid, seen.deleting)),
            Some((pod.uid.clone(), false))
        );
    }
}

pub(crate) async fn ended_pods_are_listed_by_cohort(subject: &dyn Subject) {
    let uid = submitted(subject, "cohort").await.uid;
    let [old, new, running] = [(Stage::Configure, 0), (Stage::Configure, 1), (Stage::Algorithm, 1)];
    let mut names = Vec::new();
    for (stage, attempt) in [old, new, running] {
        let wanted = spec("cohort", &uid, stage, attempt);
        let made = subject.cluster().create_pod(&wanted).await.unwrap();
        assert_eq!(made.cohort, Some(wanted.cohort));
        subject.start_pod(&made.name).await;
        names.push(made.name);
    }
    for ended in &names[..2] {
        subject.finish_pod(ended, exit(0, "Completed", "")).await;
    }
    let version =
        subject.cluster().list_pods(Look::AuditPods, &Cohorts::All, Freshness::Consistent).await.unwrap().version;
    for (cohorts, expected) in [
        (vec![1], vec![&names[0]]),
        (vec![2], vec![&names[1]]),
        (vec![1, 2], vec![&names[0], &names[1]]),
        (vec![3, 4], vec![]),
        (vec![], vec![]),
    ] {
        let these = Cohorts::These(cohorts.iter().copied().map(Cohort).collect());
        for freshness in [Freshness::Consistent, Freshness::NotOlderThan(version)] {
            let list = subject.cluster().list_pods(Look::Finished, &these, freshness).await.unwrap();
            assert!(list.items.iter().all(|pod| these.hold(pod.cohort)), "{list:?}");
            let found: Vec<_> = list.items.iter().filter(|pod| pod.workflow == "cohort").map(|pod| &pod.name).collect();
            assert_eq!(found, expected, "{cohorts:?}");
        }
    }
}

pub(crate) async fn the_pods_of_one_stage_go_and_those_of_others_stay(subject: &dyn Subject) {
    let named = ["stage-a", "stage-b"];
    let mut owners = Vec::new();
    for name in named {
        let uid = submitted(subject, name).await.uid;
        owners.push(owner(name, &uid));
        for stage in [Stage::Configure, Stage::Algorithm] {
            subject.cluster().create_pod(&spec(name, &uid, stage, 0)).await.unwrap();
        }
        subject.finish_pod(&format!("{name}-configure-0"), exit(0, "Completed", "")).await;
    }
    subject.cluster().delete_pods(Some(Stage::Configure), &owners).await.unwrap();
    for name in named {
        gone(subject, &format!("{name}-configure-0")).await;
        let left = read(subject, &format!("{name}-algorithm-0")).await.unwrap();
        assert!(!subject.asked_to_end(&left.name).await, "{left:?}");
    }
}

pub(crate) async fn a_deletion_that_names_nobody_is_refused(subject: &dyn Subject) {
    let pod = pod_of(subject, "nobody").await;
    subject.cluster().create_volume(&job("nobody"), &pod.owner.clone().unwrap(), Kind::ConfigMap).await.unwrap();
    let answer = subject.cluster().delete_pods(None, &[]).await;
    assert!(matches!(answer, Err(Failure::Refused { .. })), "{answer:?}");
    let answer = subject.cluster().delete_volumes(&[]).await;
    assert!(matches!(answer, Err(Failure::Refused { .. })), "{answer:?}");
    subject.tend().await;
    assert_eq!(read(subject, &pod.name).await.map(|seen| seen.uid), Some(pod.uid));
    let volumes = subject.cluster().list_volumes().await.unwrap().items;
    assert!(volumes.iter().any(|volume| volume.workflow == "nobody"));
}

pub(crate) async fn what_a_deleted_workflow_owns_goes(subject: &dyn Subject) {
    let (pod, other) = (pod_of(subject, "owner").await, pod_of(subject, "owner-2").await);
    for (name, pod) in [("owner", &pod), ("owner-2", &other)] {
        subject.cluster().create_volume(&job(name), &pod.owner.clone().unwrap(), Kind::ConfigMap).await.unwrap();
        subject.start_pod(&pod.name).await;
    }
    subject.delete_workflow("owner").await;
    gone(subject, &pod.name).await;
    let volumes = || async { subject.cluster().list_volumes().await.unwrap().items };
    eventually(subject, "the volume is gone", || async {
        volumes().await.iter().all(|volume| volume.workflow != "owner").then_some(())
    })
    .await;
    assert_eq!(read(subject, &other.name).await.map(|seen| seen.progress), Some(Progress::Running));
    assert!(volumes().await.iter().any(|volume| volume.workflow == "owner-2"));
}

pub(crate) async fn a_pod_made_for_a_workflow_that_is_gone_goes(subject: &dyn Subject) {
    let owner = submitted(subject, "late").await.uid;
    subject.delete_workflow("late").await;
    // A request that was under way when the workflow was deleted.
    match subject.cluster().create_pod(&spec("late", &owner, Stage::Configure, 0)).await {
        Ok(pod) => gone(subject, &pod.name).await,
        Err(failure) => assert!(matches!(failure, Failure::NotFound | Failure::Refused { .. }), "{failure:?}"),
    }
    match subject.cluster().create_volume(&job("late"), &owner, Kind::ConfigMap).await {
        Ok(_) => {
            eventually(subject, "the volume is gone", || async {
                let volumes = subject.cluster().list_volumes().await.unwrap().items;
                volumes.iter().all(|volume| volume.workflow != "late").then_some(())
            })
            .await;
        }
        Err(failure) => assert!(matches!(failure, Failure::NotFound | Failure::Refused { .. }), "{failure:?}"),
    }
}
