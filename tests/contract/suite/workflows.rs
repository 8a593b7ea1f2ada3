//! Workflows: compare-and-swap, scopes, versions.

use super::{Subject, data, owner, read, record, status, submitted, write};
use operator_engine::{
    cluster::Freshness,
    plan::{
        Failure,
        look::Look,
        seen::{Uid, Version, WorkflowSeen},
    },
    workflow::{State, record::MAX_LEN},
};
use std::collections::BTreeMap;

const LOOKS: [(Look, &[State]); 3] = [
    (Look::Attention, &[State::Pending, State::Stopping]),
    (Look::Stopping, &[State::Stopping]),
    (Look::AuditWorkflows, &[State::Active]),
];

pub(crate) async fn what_is_submitted_waits_for_attention(subject: &dyn Subject) {
    let seen = submitted(subject, "submitted").await;
    assert_eq!((seen.name.as_str(), seen.state, &seen.status), ("submitted", Some(State::Pending), &None));
    assert!(!seen.deleting);
    let list = subject.cluster().list_workflows(Look::Attention, Freshness::Consistent).await.unwrap();
    assert!(list.items.contains(&seen), "the list and the read show the same: {list:?}");
}

pub(crate) async fn a_document_is_read_as_it_stands_or_refused_with_a_reason(subject: &dyn Subject) {
    let text = "{\"stages\": [] }\n# ä\r\n";
    let entry = |key: &str, value: &[u8]| (key.to_owned(), value.to_vec());
    let cases = [
        ("read-json", vec![entry("workflow.json", text.as_bytes()), entry("data.csv", b"a,b")], Ok(text)),
        ("read-yaml", vec![entry("workflow.yaml", text.as_bytes())], Ok(text)),
        ("read-both", vec![entry("workflow.json", b"{}"), entry("workflow.yaml", b"{}")], Err("two documents")),
        ("read-none", vec![entry("data.csv", b"a,b")], Err("no document")),
        ("read-latin", vec![entry("workflow.json", b"\xff\xfe")], Err("UTF-8")),
    ];
    for (name, data, expected) in cases {
        subject.submit(name, data.into_iter().collect()).await;
        let found = subject.cluster().read_document(name).await.unwrap().unwrap();
        assert_eq!(found.seen, read(subject, name).await);
        match (found.document, expected) {
            (Ok(found), Ok(text)) => assert_eq!(found, text, "{name}"),
            (Err(fault), Err(reason)) => assert!(fault.message.contains(reason), "{name}: {fault}"),
            (found, _) => panic!("{name}: {found:?}"),
        }
    }
}

pub(crate) async fn a_write_sets_state_and_record_and_nothing_else(subject: &dyn Subject) {
    let before = submitted(subject, "written").await;
    let mut seen = before.clone();
    for (n, state) in [State::Active, State::Stopping, State::Done].into_iter().enumerate() {
        let write = write(&seen, state, record(u32::try_from(n).unwrap()));
        let after = subject.cluster().write_workflow("written", &write).await.unwrap();
        assert!(after.version > seen.version, "a change is a new version");
        assert_eq!(status(&after).as_ref(), Some(&write.record));
        let expected =
            WorkflowSeen { version: after.version, state: Some(state), status: after.status.clone(), ..before.clone() };
        assert_eq!(after, expected);
        assert_eq!(read(subject, "written").await, after, "the answer is what is there");
        seen = after;
    }
    let document = subject.cluster().read_document("written").await.unwrap().unwrap().document;
    assert_eq!(document.unwrap().into_bytes(), data()["workflow.json"]);
}

pub(crate) async fn a_write_of_an_older_version_changes_nothing(subject: &dyn Subject) {
    let old = submitted(subject, "older").await;
    let now = subject.cluster().write_workflow("older", &write(&old, State::Active, record(1))).await.unwrap();
    for _ in 0..3 {
        let answer = subject.cluster().write_workflow("older", &write(&old, State::Done, record(2))).await;
        assert_eq!(answer, Err(Failure::Conflict));
        assert_eq!(read(subject, "older").await, now);
    }
    // Nor one that nobody has seen yet.
    let ahead = WorkflowSeen { version: Version(now.version.0 + 1), ..now.clone() };
    let answer = subject.cluster().write_workflow("older", &write(&ahead, State::Done, record(2))).await;
    assert!(answer.is_err(), "{answer:?}");
    assert_eq!(read(subject, "older").await, now);
}

pub(crate) async fn a_write_to_another_object_of_that_name_changes_nothing(subject: &dyn Subject) {
    let first = submitted(subject, "another").await;
    subject.delete_workflow("another").await;
    let answer = subject.cluster().write_workflow("another", &write(&first, State::Active, record(1))).await;
    assert_eq!(answer, Err(Failure::NotFound));
    assert_eq!(subject.cluster().read_workflow("another").await.unwrap(), None);

    let second = submitted(subject, "another").await;
    assert_ne!(first.uid, second.uid);
    for impostor in [first.clone(), WorkflowSeen { uid: first.uid.clone(), ..second.clone() }] {
        let answer = subject.cluster().write_workflow("another", &write(&impostor, State::Active, record(1))).await;
        assert_eq!(answer, Err(Failure::Conflict), "{impostor:?}");
        assert_eq!(read(subject, "another").await, second);
    }
    let nobody = WorkflowSeen { uid: Uid("00000000-0000-4000-8000-000000000000".to_owned()), ..second.clone() };
    let answer = subject.cluster().write_workflow("another", &write(&nobody, State::Active, record(1))).await;
    assert_eq!(answer, Err(Failure::Conflict));
}

pub(crate) async fn what_people_change_in_between_is_not_overwritten(subject: &dyn Subject) {
    let seen = submitted(subject, "between").await;
    subject.label("between", State::Stopping).await;
    let answer = subject.cluster().write_workflow("between", &write(&seen, State::Active, record(1))).await;
    assert_eq!(answer, Err(Failure::Conflict), "a person wants it to stop");
    let seen = read(subject, "between").await;
    assert_eq!(seen.state, Some(State::Stopping));

    subject.edit("between", BTreeMap::from([("workflow.json".to_owned(), b"{}".to_vec())])).await;
    let answer = subject.cluster().write_workflow("between", &write(&seen, State::Active, record(1))).await;
    assert_eq!(answer, Err(Failure::Conflict), "a claim is of the document that was read");
    assert_eq!(read(subject, "between").await.status, None);
}

pub(crate) async fn a_record_that_is_too_long_is_refused(subject: &dyn Subject) {
    let seen = submitted(subject, "long").await;
    let mut long = record(1);
    long.message = Some("x".repeat(MAX_LEN));
    let answer = subject.cluster().write_workflow("long", &write(&seen, State::Active, long)).await;
    assert!(matches!(answer, Err(Failure::Refused { .. })), "{answer:?}");
    assert_eq!(read(subject, "long").await, seen);
}

pub(crate) async fn each_list_holds_its_scope_and_no_other(subject: &dyn Subject) {
    let cluster = subject.cluster();
    let states = [State::Pending, State::Active, State::Stopping, State::Done];
    // Two of each, one of them with a record whose phase says something else: lists go by the label.
    let mut newest = Version(0);
    for state in states {
        for with_record in [false, true] {
            let name = format!("scope-{}-{with_record}", state.as_str());
            let seen = submitted(subject, &name).await;
            if with_record {
                cluster.write_workflow(&name, &write(&seen, state, record(0))).await.unwrap();
            } else {
                subject.label(&name, state).await;
            }
            newest = newest.max(read(subject, &name).await.version);
        }
    }
    for freshness in [Freshness::Consistent, Freshness::NotOlderThan(newest)] {
        for (look, scope) in LOOKS {
            let list = cluster.list_workflows(look, freshness).await.unwrap();
            for seen in &list.items {
                assert!(scope.contains(&seen.state.unwrap()), "{look:?} shows {seen:?}");
            }
            for state in states {
                for with_record in [false, true] {
                    let name = format!("scope-{}-{with_record}", state.as_str());
                    let found: Vec<_> = list.items.iter().filter(|seen| seen.name == name).collect();
                    let expected = read(subject, &name).await;
                    assert_eq!(found, if scope.contains(&state) { vec![&expected] } else { vec![] }, "{look:?}");
                }
            }
        }
    }
}

pub(crate) async fn a_list_is_no_older_than_asked_and_no_older_than_its_objects(subject: &dyn Subject) {
    let cluster = subject.cluster();
    let mut seen = submitted(subject, "fresh").await;
    for n in 0..20 {
        let state = if n % 2 == 0 { State::Active } else { State::Stopping };
        seen = cluster.write_workflow("fresh", &write(&seen, state, record(n))).await.unwrap();
        for freshness in [Freshness::NotOlderThan(seen.version), Freshness::Consistent] {
            for (look, scope) in LOOKS {
                let list = cluster.list_workflows(look, freshness).await.unwrap();
                assert!(list.version >= seen.version, "{look:?}, {freshness:?}");
                assert!(list.items.iter().all(|item| item.version <= list.version), "{look:?}: {list:?}");
                let shown = list.items.iter().find(|item| item.name == "fresh");
                assert_eq!(shown, scope.contains(&state).then_some(&seen), "{look:?}, {freshness:?}");
            }
        }
    }
}

pub(crate) async fn versions_grow_over_all_workflows(subject: &dyn Subject) {
    let cluster = subject.cluster();
    let a = submitted(subject, "grow-a").await;
    let b = submitted(subject, "grow-b").await;
    assert!(a.version < b.version);
    let a = cluster.write_workflow("grow-a", &write(&a, State::Active, record(0))).await.unwrap();
    assert!(b.version < a.version);
    subject.label("grow-b", State::Stopping).await;
    let b = read(subject, "grow-b").await;
    assert!(a.version < b.version);
    subject.delete_workflow("grow-b").await;
    let list = cluster.list_workflows(Look::Attention, Freshness::Consistent).await.unwrap();
    assert!(list.version > b.version, "a deletion is a change");
    assert!(list.items.iter().all(|seen| seen.name != "grow-b"));
    let b = submitted(subject, "grow-b").await;
    assert!(list.version < b.version, "the new one is newer than the end of the old one");
}

pub(crate) async fn what_is_not_there_is_answered_so(subject: &dyn Subject) {
    let cluster = subject.cluster();
    assert_eq!(cluster.read_workflow("nothing").await.unwrap(), None);
    assert!(cluster.read_document("nothing").await.unwrap().is_none());
    assert_eq!(cluster.read_pod("nothing").await.unwrap(), None);
    let seen = submitted(subject, "something").await;
    let answer = cluster.write_workflow("nothing", &write(&seen, State::Active, record(0))).await;
    assert_eq!(answer, Err(Failure::NotFound));
    let uid = Uid("00000000-0000-4000-8000-000000000000".to_owned());
    assert_eq!(cluster.end_pod("nothing", &uid).await, Err(Failure::NotFound));
    let nobody = owner("nothing", &uid);
    assert_eq!(cluster.delete_pods(None, std::slice::from_ref(&nobody)).await, Ok(()));
    assert_eq!(cluster.delete_volumes(&[nobody]).await, Ok(()));
}
