//! Volumes: created once, deleted by name.

use super::{Subject, eventually, job, owner, submitted};
use operator_engine::plan::{
    kind::Kind,
    seen::{Uid, VolumeSeen},
};

async fn volume(subject: &dyn Subject, name: &str) -> Option<VolumeSeen> {
    let list = subject.cluster().list_volumes().await.unwrap();
    assert!(list.items.iter().all(|volume| volume.version <= list.version), "{list:?}");
    let mut found: Vec<_> = list.items.into_iter().filter(|volume| volume.workflow == name).collect();
    assert!(found.len() <= 1, "{found:?}");
    found.pop()
}

pub(crate) async fn a_volume_is_created_once_whoever_asks(subject: &dyn Subject) {
    let owner = submitted(subject, "vol").await.uid;
    assert_eq!(volume(subject, "vol").await, None);
    let first = subject.cluster().create_volume(&job("vol"), &owner, Kind::ConfigMap).await.unwrap();
    assert_eq!((first.workflow.as_str(), &first.owner), ("vol", &Some(owner.clone())));
    let stranger = submitted(subject, "vol-stranger").await.uid;
    for owner in [&owner, &stranger] {
        let again = subject.cluster().create_volume(&job("vol"), owner, Kind::ConfigMap).await.unwrap();
        assert_eq!((&again.uid, &again.owner), (&first.uid, &first.owner), "the one that has the name is returned");
    }
    assert_eq!(volume(subject, "vol").await.map(|seen| seen.uid), Some(first.uid));
}

pub(crate) async fn the_volumes_of_the_workflows_named_go_and_no_others(subject: &dyn Subject) {
    let (named, others) = (["vol-a", "vol-b"], ["vol-a-b", "vol-a.b", "vol-a-data"]);
    let mut owners = vec![owner("vol-nothing", &Uid("nobody".to_owned()))];
    for name in named.iter().chain(&others) {
        let uid = submitted(subject, name).await.uid;
        if named.contains(name) {
            owners.push(owner(name, &uid));
        }
        subject.cluster().create_volume(&job(name), &uid, Kind::ConfigMap).await.unwrap();
    }
    for _ in 0..2 {
        subject.cluster().delete_volumes(&owners).await.unwrap();
        for name in named {
            eventually(subject, "the volume is gone", || async { volume(subject, name).await.is_none().then_some(()) })
                .await;
        }
    }
    for name in others {
        assert!(volume(subject, name).await.is_some(), "{name} is left");
    }
}

pub(crate) async fn the_volume_of_another_workflow_of_that_name_stays(subject: &dyn Subject) {
    let uid = submitted(subject, "vol-namesake").await.uid;
    let made = subject.cluster().create_volume(&job("vol-namesake"), &uid, Kind::ConfigMap).await.unwrap();
    subject.cluster().delete_volumes(&[owner("vol-namesake", &Uid("earlier".to_owned()))]).await.unwrap();
    assert_eq!(volume(subject, "vol-namesake").await, Some(made));
}
