//! Documents of several stages.

use super::*;

/// A document of `count` stages, each but the first with the outputs of the one before.
fn chain(count: usize) -> Value {
    let stage = |index: usize| {
        let input = if index == 0 { json!({"id": "a", "url": "https://h/a"}) } else { json!({"previousStage": true}) };
        json!({"input": [input], "algorithm": {"rawcode": format!("{index}"), "container": {"image": "i", "entrypoint": "sh $ALGO"}}})
    };
    json!({"stages": (0..count).map(stage).collect::<Vec<_>>()})
}

/// A chain of three with this as the last stage's second input.
fn with_input(input: Value) -> Value {
    let mut value = chain(3);
    value["stages"][2]["input"].as_array_mut().unwrap().push(input);
    value
}

#[test]
fn each_stage_is_read_like_a_document_of_its_own() {
    let mut value = chain(3);
    value["chainId"] = json!(1);
    value["stages"][0]["output"] = json!({"metadataUri": "https://first"});
    value["stages"][2]["output"] = json!({"metadataUri": "https://last"});
    value["stages"][1]["compute"] = json!({"maxtime": 7, "storageExpiry": 60, "resources": {"requests_cpu": "500m"}});
    let document = parse(&value).unwrap();
    assert_eq!(document.stages().count(), 3);
    assert_eq!(document.stage(3), None);
    for (index, stage) in document.stages().enumerate() {
        assert_eq!(stage.algorithm.source, AlgorithmSource::Raw(index.to_string()));
        assert_eq!((stage.chain_id, stage.sha256), (Some(1), document.sha256));
        assert_eq!(document.stage(u32::try_from(index).unwrap()), Some(stage));
    }
    let [first, second, third] = document.stages().collect::<Vec<_>>()[..] else { panic!() };
    assert_eq!((first.max_time, second.max_time), (None, Some(Duration::from_secs(7))));
    assert_eq!(second.wish.cpu_millis, Some(500));
    assert_eq!(second.metadata_uri.as_deref(), Some("https://first"), "said once, it holds for those after");
    assert_eq!(third.metadata_uri.as_deref(), Some("https://last"));
    assert_eq!((first.takes(), second.takes(), third.takes()), (BTreeSet::new(), [0].into(), [1].into()));
    assert_eq!((second.inputs[0].id.as_str(), second.inputs[0].did.as_str()), ("stage-0", "stage-0"));
}

#[test]
fn the_old_bodys_secret_is_every_stages() {
    let value = json!({"metadata": {"secret": "s"}, "spec": {"metadata": chain(2)}});
    let document = parse(&value).unwrap();
    assert!(document.stages().all(|stage| stage.secret.as_deref() == Some("s")));
    let mut broken = value;
    broken["spec"]["metadata"]["stages"][1]["algorithm"]["container"]["image"] = json!("A");
    let faults = parse(&broken).unwrap_err();
    assert_eq!(faults[0].path, "spec.metadata.stages[1].algorithm.container.image");
    assert!(faults[0].is_in_algorithm());
}

#[test]
fn an_earlier_stage_is_named_in_every_spelling() {
    for (input, stage, id) in [
        (json!({"previousStage": 0}), 0, "stage-0"),
        (json!({"index": 1, "previousStage": 0}), 0, "stage-0"),
        (json!({"previousIndexStage": 0}), 0, "stage-0"),
        (json!({"previousStage": true, "id": "did:op:x"}), 1, "x"),
        (json!({"previousStage": true, "id": ""}), 1, "stage-1"),
    ] {
        let mut value = with_input(input.clone());
        value["stages"][2]["input"].as_array_mut().unwrap().remove(0);
        let document = parse(&value).unwrap_or_else(|faults| panic!("{input}: {faults:?}"));
        let [read] = &document.stage(2).unwrap().inputs[..] else { panic!() };
        assert_eq!((&read.source, read.id.as_str()), (&Source::Earlier(stage), id), "{input}");
    }
}

#[test]
fn a_stage_that_has_no_outputs_by_then_is_a_fault_at_its_place() {
    let at = |key: &str| format!("stages[2].input[1].{key}");
    for (input, path) in [
        (json!({"previousStage": 2}), at("previousStage")),
        (json!({"previousStage": 3}), at("previousStage")),
        (json!({"previousStage": -1}), at("previousStage")),
        (json!({"previousStage": 0.5}), at("previousStage")),
        (json!({"previousStage": "0"}), at("previousStage")),
        (json!({"previousIndexStage": [0]}), at("previousIndexStage")),
        (json!({"previousStage": 0, "url": "https://h/"}), at("url")),
        (json!({"previousStage": 0, "remote": {}}), at("remote")),
        (json!({"previousStage": 0, "id": ".."}), at("id")),
        (json!({"previousStage": false, "id": "x"}), at("url")),
        // The first input is called that already.
        (json!({"previousStage": true}), at("id").replace("[1].id", "[0].id")),
        (json!({"id": "stage-1", "url": "https://h/"}), at("id").replace("[1].id", "[0].id")),
    ] {
        let faults = paths(&with_input(input.clone()));
        assert_eq!(faults.first(), Some(&path), "{input}: {faults:?}");
    }
    let mut value = chain(1);
    for input in [json!({"previousStage": true}), json!({"previousStage": 0})] {
        value["stages"][0]["input"][0] = input;
        assert_eq!(paths(&value), ["stages[0].input[0].previousStage"]);
    }
}

#[test]
fn there_is_at_least_one_stage_and_there_are_not_too_many() {
    assert!(parse(&chain(Document::MAX_STAGES)).is_ok());
    for count in [0, Document::MAX_STAGES + 1] {
        assert_eq!(paths(&chain(count)), ["stages"]);
    }
}

#[test]
fn stages_numbered_otherwise_than_they_stand_are_refused_and_one_alone_may_say_what_it_likes() {
    let mut value = chain(2);
    (value["stages"][0]["index"], value["stages"][1]["index"]) = (json!(0), json!(1));
    assert_eq!(parse(&value).unwrap().ignored, Vec::<String>::new());
    (value["stages"][0]["index"], value["stages"][1]["index"]) = (json!(1), json!("1"));
    assert_eq!(paths(&value), ["stages[0].index", "stages[1].index"]);
    let mut alone = chain(1);
    alone["stages"][0]["index"] = json!(5);
    assert_eq!(parse(&alone).unwrap().ignored, ["stages[0].index"]);
}

#[test]
fn what_a_stage_needs_is_its_own_and_inline_keys_are_all_stages() {
    let mut value = chain(2);
    value["stages"][0]["input"][0]["url"] = json!("inline:a.csv");
    let more = json!({"id": "b", "url": ["inline:b.csv", "s3://bucket/key"]});
    value["stages"][1]["input"].as_array_mut().unwrap().push(more);
    let document = parse(&value).unwrap();
    assert_eq!(document.inline_keys(), BTreeSet::from(["a.csv", "b.csv"]));
    assert!(document.buckets().is_empty());
    assert_eq!(document.stage(1).unwrap().buckets(), BTreeSet::from(["bucket"]));
}
