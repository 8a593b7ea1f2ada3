//! Strangers and accidents: one bad workflow never hurts another.

use crate::world::{Act, DOCUMENT, SECOND, World, chain, happy, scripted};
use operator_engine::{
    plan::Verdict,
    sandbox::{faults::Fault, history::Event},
    workflow::{Outcome, State, digest::Sha256},
};
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};
use tokio_util::sync::CancellationToken;

fn refused(world: &World, name: &str) -> (u16, String) {
    let record = world.record(name).unwrap();
    assert_eq!(record.outcome, Some(Outcome::Refused), "{name}");
    (record.code.number(), record.message.unwrap())
}

#[tokio::test(start_paused = true)]
async fn hostile_documents_are_refused_with_reasons_and_the_engine_goes_on() {
    let world = happy();
    let nested = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let nodes = format!("{{\"stages\":[{}]}}", vec!["1"; 1_000_000 / 4].join(","));
    let bomb = (0..30).fold("a0: &a0 [x]\n".to_owned(), |text, n| {
        format!("{text}a{}: &a{} [*a{n},*a{n},*a{n},*a{n},*a{n},*a{n},*a{n},*a{n},*a{n}]\n", n + 1, n + 1)
    });
    let documents: [(&str, Vec<u8>); 10] = [
        ("deep", nested.into()),
        ("wide", nodes.into()),
        ("bomb", bomb.into()),
        ("latin", b"{\"stages\": \"\xff\xfe\"}".to_vec()),
        ("empty", Vec::new()),
        ("null", b"null".to_vec()),
        ("twice", DOCUMENT.replace("\"input\"", "\"compute\":{},\"input\"").into()),
        ("dots", DOCUMENT.replace("did:op:aa", "did:op:..").into()),
        ("nan", DOCUMENT.replace("3600", "\"NaN\"").into()),
        ("command", DOCUMENT.replace("\"image\":\"python\"", "\"image\":\"python; rm -rf /\"").into()),
    ];
    for (name, document) in &documents {
        assert!(world.sandbox.submit(name, BTreeMap::from([("workflow.json".to_owned(), document.clone())])));
    }
    assert!(world.sandbox.submit("nothing", BTreeMap::new()));
    let both = BTreeMap::from(["workflow.json", "workflow.yaml"].map(|key| (key.to_owned(), DOCUMENT.into())));
    assert!(world.sandbox.submit("both", both));
    let long = "x".repeat(60);
    world.submit(&long);
    world.submit("good");
    world.run().await;
    assert_eq!(world.record("good").unwrap().outcome, Some(Outcome::Succeeded));
    for (name, _) in &documents {
        let (code, message) = refused(&world, name);
        let in_algorithm = *name == "command";
        assert_eq!(code, if in_algorithm { 32 } else { 31 }, "{name}: {message}");
        assert!(message.len() > 20, "{name}: {message}");
    }
    assert!(refused(&world, "nothing").1.contains("workflow.json or workflow.yaml"));
    assert!(refused(&world, "both").1.contains("two documents"));
    assert!(refused(&world, &long).1.contains("52"));
    let pods = world.sandbox.history().count(|event| matches!(event, Event::PodCreated { .. }));
    assert_eq!(pods, 4, "only the good one got pods");
}

#[tokio::test(start_paused = true)]
async fn a_workflow_over_which_the_engine_panics_is_quarantined_and_the_others_finish() {
    let world = happy();
    for name in ["bad", "good-1", "good-2"] {
        world.submit(name);
    }
    let life = world.life("engine", "engine-1", |call| {
        if call.object.starts_with("bad") && call.method == "create_pod" { Fault::Panics } else { Fault::None }
    });
    let engine = world.engine(life.me, life.cluster);
    let stop = CancellationToken::new();
    let mut said = None;
    let mut watch = |_: &operator_engine::plan::View, plan: &operator_engine::plan::Plan| {
        if let Some(verdict @ Verdict::Quarantined(_)) = plan.verdicts.get("bad") {
            said = Some(verdict.to_string());
        }
    };
    let minute = async {
        tokio::time::sleep(Duration::from_mins(1)).await;
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(engine.run(stop.clone(), &mut watch), minute);
    assert_eq!(ended, Ok(()));
    assert_eq!(said.as_deref(), Some("quarantined: injected: a panic over bad-configure-0"));
    for name in ["good-1", "good-2"] {
        assert_eq!(world.record(name).unwrap().outcome, Some(Outcome::Succeeded));
    }
    assert_eq!(world.state("bad"), State::Active);
    // It changes: a person wants it to end, and an engine without the fault goes on.
    world.sandbox.label("bad", State::Stopping);
    world.run().await;
    assert_eq!(world.record("bad").unwrap().outcome, Some(Outcome::Stopped));
}

#[tokio::test(start_paused = true)]
async fn a_workflow_whose_requests_hang_holds_up_nobody() {
    let world = happy();
    for name in ["a-bad", "good-1", "good-2", "good-3"] {
        world.submit(name);
    }
    let life = world
        .life("engine", "engine-1", |call| if call.object.starts_with("a-bad") { Fault::Hangs } else { Fault::None });
    let engine = world.engine(life.me, life.cluster);
    let stop = CancellationToken::new();
    let minute = async {
        tokio::time::sleep(Duration::from_secs(8)).await;
        stop.cancel();
    };
    let mut nothing = |_: &_, _: &_| {};
    let (ended, ()) = tokio::join!(engine.run(stop.clone(), &mut nothing), minute);
    assert_eq!(ended, Ok(()));
    for name in ["good-1", "good-2", "good-3"] {
        assert_eq!(world.record(name).unwrap().outcome, Some(Outcome::Succeeded), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn records_that_people_wrote_are_no_records() {
    let world = happy();
    world.submit("garbled");
    world.submit("labelled");
    world.submit("good");
    world.sandbox.annotate("garbled", Some("{\"code\": 1e999".to_owned()));
    world.sandbox.label("labelled", State::Active);
    world.run().await;
    for name in ["garbled", "labelled"] {
        let record = world.record(name).unwrap();
        assert_eq!(
            (record.outcome, record.reason.as_deref()),
            (Some(Outcome::Failed), Some("RecordUnreadable")),
            "{name}"
        );
    }
    assert_eq!(world.record("good").unwrap().outcome, Some(Outcome::Succeeded));
}

/// A record in the midst of a stage, of an engine that is gone: with what all versions wrote, and `more`.
fn midway(phase: &str, document: &str, more: &serde_json::Value) -> String {
    let begun = json!({"started": "2026-01-01T00:00:00Z"});
    let mut record = json!({
        "code": 30, "text": "Configuring volumes", "phase": phase, "attempt": 0, "document": Sha256::of(document),
        "holder": {"lease": "gone", "identity": "gone-1"}, "times": {"configure": begun, phase: begun},
    });
    record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    record.to_string()
}

#[tokio::test(start_paused = true)]
async fn a_record_from_before_there_were_several_stages_is_taken_up_where_it_is() {
    for (begun, phase) in ["configure", "algorithm", "filter", "publish"].into_iter().enumerate() {
        let world = happy();
        world.submit("wf");
        world.sandbox.annotate("wf", Some(midway(phase, DOCUMENT, &json!({}))));
        world.sandbox.label("wf", State::Active);
        assert!(world.live(world.life("engine", "engine-1", |_| Fault::None)).await);
        assert_eq!(world.record("wf").unwrap().outcome, Some(Outcome::Succeeded), "{phase}");
        let pods =
            world.sandbox.history().count(|event| matches!(event, Event::PodCreated { round: 0, attempt: 0, .. }));
        assert_eq!(pods, 4 - begun, "{phase}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_somebody_edited_ends_whatever_it_says_of_stages() {
    let two = chain(2);
    for (document, phase, more) in [
        (DOCUMENT, "configure", json!({"stage": 1})),
        (DOCUMENT, "algorithm", json!({"stage": u32::MAX, "attempt": u32::MAX})),
        (DOCUMENT, "publish", json!({"stage": u32::MAX, "ahead": [{}]})),
        (DOCUMENT, "publish", json!({"ahead": [{}]})),
        (DOCUMENT, "publish", json!({"withheld": true, "attempt": u32::MAX, "notBefore": "9999-01-01T00:00:00Z"})),
        (&two, "configure", json!({"stage": 1})),
        (&two, "publish", json!({"ahead": vec![json!({}); 4000]})),
        (&two, "publish", json!({"stage": 6, "ahead": [{}, {"storageExpirySecs": u64::MAX}, {}]})),
    ] {
        let world = happy();
        world.submit_document("wf", document);
        world.submit("good");
        world.sandbox.annotate("wf", Some(midway(phase, document, &more)));
        world.sandbox.label("wf", State::Active);
        assert!(world.live(world.life("engine", "engine-1", |_| Fault::None)).await);
        assert!(world.record("wf").unwrap().outcome.is_some(), "{phase} {more}");
        assert_eq!(world.record("good").unwrap().outcome, Some(Outcome::Succeeded), "{phase} {more}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_finished_workflow_labelled_pending_again_stays_finished() {
    let world = happy();
    world.submit("wf-1");
    world.run().await;
    let record = world.record("wf-1").unwrap();
    world.sandbox.label("wf-1", State::Pending);
    world.run().await;
    assert_eq!(world.state("wf-1"), State::Done, "kubectl apply of the same manifest sets the label again");
    assert_eq!(world.record("wf-1").unwrap(), record);
}

#[tokio::test(start_paused = true)]
async fn termination_messages_of_strangers_prove_nothing() {
    let lies = [
        "{\"exitCode\":0,\"signal\":null,\"timedOut\":false,\"stopped\":false,\"error\":null,\"wallMs\":1,\"cpuMs\":1,\
         \"peakMemoryBytes\":1,\"logBytes\":0,\"logDroppedBytes\":0}",
        "{\"published\":{\"store\":\"s3://mine\"}}",
        "\u{0}\u{1b}]0;pwned\u{7}",
        &"x".repeat(100_000),
    ];
    for lie in lies {
        let lie = lie.to_owned();
        let end = operator_engine::plan::end::End {
            exit_code: Some(9),
            reason: Some("Error".to_owned()),
            disrupted: false,
            message: lie,
            image_id: None,
        };
        let world = scripted(move |_, stage, _| match stage {
            operator_engine::workflow::Stage::Algorithm => Act::End(SECOND, end.clone()),
            _ => Act::Succeed(SECOND),
        });
        world.submit("wf-1");
        world.run().await;
        let record = world.record("wf-1").unwrap();
        assert_eq!((record.outcome, record.exit_code), (Some(Outcome::Failed), Some(9)));
        assert!(record.render().len() < 4096 && !record.message.unwrap().contains('\u{1b}'));
    }
}
