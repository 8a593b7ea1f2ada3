//! What clients old and new send, each fault with its path, and what strangers may try.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

mod hostile;
mod stages;

/// What a provider of today submits for two published data sets and a published algorithm.
fn from_provider() -> Value {
    json!({
        "stages": [{
            "index": 0,
            "input": [
                {"index": 0, "id": "did:op:aa", "remote": {"txId": "0x01", "serviceId": "s1", "userdata": {"age": 3}}},
                {"index": 1, "id": "did:op:bb", "remote": {"txId": "0x02", "serviceId": "s2"}}
            ],
            "compute": {"Instances": 1, "namespace": "ocean-compute", "maxtime": 3600},
            "algorithm": {
                "id": "did:op:cc",
                "rawcode": "",
                "container": {
                    "entrypoint": "python3 $ALGO", "image": "oceanprotocol/algo_dockers", "tag": "python-branin",
                    "checksum": format!("sha256:{}", "8".repeat(64))
                },
                "algouserdata": null,
                "remote": {"serviceEndpoint": "https://p", "txId": "0x03", "serviceId": "s3", "userData": {"k": [1, 2.5]}},
                "algocustomdata": null
            },
            "output": {"metadataUri": "https://v4.aquarius.oceanprotocol.com"}
        }]
    })
}

fn from_person() -> Value {
    json!({"stages": [{
        "input": [{"id": "penguins", "url": "inline:penguins.csv"}],
        "algorithm": {"url": "inline:a.py", "container": {"entrypoint": "python3 $ALGO", "image": "python", "tag": "3.12"}}
    }]})
}

fn parse(value: &Value) -> Result<Document, Vec<Fault>> {
    Document::parse(&value.to_string())
}

/// `value` with what stands at `pointer` replaced or, for an `input[]` or object that lacks it, added.
fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match value.pointer_mut(parent).unwrap() {
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = new,
        object => object[key] = new,
    }
    value
}

fn faults(value: &Value) -> Vec<String> {
    parse(value).unwrap_err().iter().map(Fault::to_string).collect()
}

fn paths(value: &Value) -> Vec<String> {
    parse(value).unwrap_err().into_iter().map(|fault| fault.path).collect()
}

#[test]
fn a_providers_document_is_read_in_full() {
    let value = from_provider();
    let document = parse(&value).unwrap();
    let remote = |tx: &str, service: &str, user_data| {
        Source::Remote(Remote { tx_id: tx.to_owned(), service_id: service.to_owned(), user_data, sha256: Vec::new() })
    };
    let input = |id: &str, source| Input { id: id.parse().unwrap(), did: format!("did:op:{id}"), source };
    let expected = Document {
        later: Vec::new(),
        inputs: vec![
            input("aa", remote("0x01", "s1", Some(json!({"age": 3})))),
            input("bb", remote("0x02", "s2", None)),
        ],
        algorithm: Algorithm {
            id: Some("cc".parse().unwrap()),
            did: Some("did:op:cc".to_owned()),
            source: AlgorithmSource::Files(remote("0x03", "s3", Some(json!({"k": [1, 2.5]})))),
            container: Container {
                image: "oceanprotocol/algo_dockers".to_owned(),
                tag: Some("python-branin".to_owned()),
                digest: Some(format!("sha256:{}", "8".repeat(64))),
                entrypoint: "python3 $ALGO".to_owned(),
            },
            custom_data: None,
        },
        max_time: Some(Duration::from_secs(3600)),
        storage_expiry: None,
        wish: Default::default(),
        valid_until: None,
        metadata_uri: Some("https://v4.aquarius.oceanprotocol.com".to_owned()),
        secret: None,
        chain_id: None,
        sha256: Sha256::of(value.to_string()),
        ignored: [
            "stages[0].input[0].index",
            "stages[0].input[1].index",
            "stages[0].algorithm.remote.serviceEndpoint",
            "stages[0].algorithm.rawcode",
            "stages[0].algorithm.algouserdata",
            "stages[0].compute.Instances",
            "stages[0].compute.namespace",
            "stages[0].index",
        ]
        .map(str::to_owned)
        .to_vec(),
        notes: Vec::new(),
    };
    assert_eq!(document, expected);
}

#[test]
fn an_expiry_has_a_unit_and_a_bare_number_is_hours_with_a_word_on_its_three_readings() {
    let expiry = |value: Value| {
        let document = parse(&with(from_provider(), "/stages/0/compute/storageExpiry", value)).unwrap();
        (document.storage_expiry.map(|expiry| expiry.as_secs()), document.notes)
    };
    assert_eq!(expiry(json!("48h")), (Some(172_800), vec![]));
    assert_eq!(expiry(json!("7d 12h")), (Some(648_000), vec![]));
    for nothing in [json!(0), json!("0"), json!(""), json!(null)] {
        assert_eq!(expiry(nothing), (None, vec![]), "the old engine's default: for ever");
    }
    for bare in [json!(48), json!("48"), json!(48.0)] {
        let (seconds, notes) = expiry(bare);
        assert_eq!((seconds, notes.len()), (Some(172_800), 1));
        let note = notes[0].to_string();
        for word in ["stages[0].compute.storageExpiry", "hours (2d)", "seconds", "divided by 60", "h\" to be sure"] {
            assert!(note.contains(word), "{note}");
        }
    }
}

#[test]
fn the_old_body_gives_secret_and_chain_and_its_paths_are_its_own() {
    let mut inner = from_provider();
    inner["chainId"] = json!(137);
    let body = json!({
        "apiVersion": "v0.0.1", "kind": "WorkFlow",
        "metadata": {"name": "x", "namespace": "n", "labels": {"workflow": "x"}, "secret": "0123"},
        "spec": {"metadata": inner}
    });
    let document = parse(&body).unwrap();
    assert_eq!((document.secret.as_deref(), document.chain_id), (Some("0123"), Some(137)));
    assert_eq!(document.inputs.len(), 2);
    for path in ["apiVersion", "kind", "metadata.name", "spec.metadata.stages[0].input[0].index"] {
        assert!(document.ignored.iter().any(|ignored| ignored == path), "{path}: {:?}", document.ignored);
    }

    let broken = with(body, "/spec/metadata/stages/0/algorithm/container/image", json!("a b"));
    let faults = parse(&broken).unwrap_err();
    assert_eq!(faults[0].path, "spec.metadata.stages[0].algorithm.container.image");
    assert!(faults[0].is_in_algorithm());
}

#[test]
fn raw_code_as_providers_send_it_wins_over_an_empty_url_and_id() {
    let algorithm = json!({
        "id": "", "url": "", "rawcode": "print(1)",
        "container": {"entrypoint": "python3 $ALGO", "image": "python", "tag": "3.12", "checksum": ""}
    });
    let document = parse(&with(from_provider(), "/stages/0/algorithm", algorithm)).unwrap();
    assert_eq!(document.algorithm.source, AlgorithmSource::Raw("print(1)".to_owned()));
    assert_eq!((document.algorithm.id, document.algorithm.did.as_deref()), (None, Some("")));
    assert_eq!(document.algorithm.container.reference(), "python:3.12");
}

#[test]
fn raw_code_of_one_character_counts() {
    let document = parse(&with(from_person(), "/stages/0/algorithm/rawcode", json!(":"))).unwrap();
    assert_eq!(document.algorithm.source, AlgorithmSource::Raw(":".to_owned()));
    assert_eq!(document.ignored, ["stages[0].algorithm.url"]);
}

#[test]
fn an_older_client_with_urls_and_old_output_keys_is_understood() {
    let old = json!({"stages": [{
        "index": 0,
        "input": [{"id": "did:op:87", "url": ["https://h/a?token=1", "https://h/b"], "index": 0}],
        "compute": {"Instances": 1, "namespace": "withgpu", "maxtime": "3600"},
        "algorithm": {
            "id": "did:op:88", "url": "https://h/c", "rawcode": null,
            "container": {"image": "node", "tag": "10", "entrypoint": "node $ALGO"}
        },
        "output": {
            "nodeUri": "https://n", "brizoUri": "https://b", "brizoAddress": "0x4aaa",
            "metadata": {"name": "Workflow output"}, "metadataUri": "https://aquarius.example", "owner": "0xC41",
            "publishOutput": 1, "publishAlgorithmLog": true, "whitelist": ["0x00"]
        }
    }]});
    let document = parse(&old).unwrap();
    let file = |url: &str| FileRef { url: url.to_owned(), sha256: None };
    assert_eq!(document.inputs[0].source, Source::Urls(vec![file("https://h/a?token=1"), file("https://h/b")]));
    assert_eq!(document.max_time, Some(Duration::from_secs(3600)));
    assert_eq!(document.metadata_uri.as_deref(), Some("https://aquarius.example"));
    assert!(document.ignored.contains(&"stages[0].output.nodeUri".to_owned()), "{:?}", document.ignored);
}

#[test]
fn a_persons_yaml_needs_nothing_it_does_not_use() {
    let text = "stages:\n- algorithm:\n    container: {image: 'registry:5000/a/b:1.0', entrypoint: run.sh}\n";
    let document = Document::parse(text).unwrap();
    assert_eq!(document.inputs, []);
    assert_eq!(document.algorithm.source, AlgorithmSource::Image);
    assert_eq!(document.algorithm.container.reference(), "registry:5000/a/b:1.0");
    assert_eq!((document.max_time, document.metadata_uri, document.ignored), (None, None, vec![]));
}

#[test]
fn one_did_may_stand_twice_for_two_of_its_services() {
    let value = with(from_provider(), "/stages/0/input/1/id", json!("did:op:aa"));
    assert_eq!(parse(&value).unwrap().inputs.len(), 2);
}

#[test]
fn the_first_spelling_of_user_data_that_is_there_counts() {
    for (remote, expected) in [
        (json!({"userData": 1, "userdata": 2, "algouserdata": 3}), 3),
        (json!({"userData": 1, "userdata": 2, "algouserdata": null}), 2),
        (json!({"userData": 1}), 1),
    ] {
        let mut remote = remote;
        remote["txId"] = json!("0x1");
        remote["serviceId"] = json!("s");
        let document = parse(&with(from_provider(), "/stages/0/input/0/remote", remote)).unwrap();
        let Source::Remote(remote) = &document.inputs[0].source else { panic!("{document:?}") };
        assert_eq!(remote.user_data, Some(json!(expected)));
    }
}

#[test]
fn a_digest_that_is_misspelt_is_not_left_unchecked() {
    let url = json!({"url": "https://h/a", "sha-256": "0"});
    let faults = faults(&with(from_person(), "/stages/0/input/0/url", url));
    assert_eq!(faults, ["stages[0].input[0].url.sha-256: is not known here; url and sha256 are"]);
}

#[test]
fn expected_digests_of_files_are_read() {
    let digest = Sha256::of("x");
    let url = json!([{"url": "https://h/a", "sha256": digest.to_string()}, "https://h/b"]);
    let document = parse(&with(from_person(), "/stages/0/input/0/url", url)).unwrap();
    let Source::Urls(files) = &document.inputs[0].source else { panic!("{document:?}") };
    assert_eq!((files[0].sha256, files[1].sha256), (Some(digest), None));
}

#[test]
fn a_digest_wins_and_a_checksum_of_another_kind_is_ignored() {
    let upper =
        with(from_person(), "/stages/0/algorithm/container/checksum", json!(format!("sha256:{}", "AB".repeat(32))));
    assert_eq!(parse(&upper).unwrap().algorithm.container.reference(), format!("python@sha256:{}", "ab".repeat(32)));
    let other = with(from_person(), "/stages/0/algorithm/container/checksum", json!("md5:00"));
    let document = parse(&other).unwrap();
    assert_eq!(document.algorithm.container.reference(), "python:3.12");
    assert_eq!(document.ignored, ["stages[0].algorithm.container.checksum"]);
}

#[test]
fn custom_data_is_kept_unless_it_is_null() {
    let custom = |value| with(from_person(), "/stages/0/algorithm/algocustomdata", value);
    assert_eq!(parse(&custom(json!(null))).unwrap().algorithm.custom_data, None);
    for value in [json!(0), json!(""), json!({"a": [null, {}]})] {
        assert_eq!(parse(&custom(value.clone())).unwrap().algorithm.custom_data, Some(value));
    }
}

#[test]
fn inline_keys_come_from_inputs_and_algorithm() {
    assert_eq!(parse(&from_person()).unwrap().inline_keys(), BTreeSet::from(["a.py", "penguins.csv"]));
    assert_eq!(parse(&from_provider()).unwrap().inline_keys(), BTreeSet::new());
}

#[test]
fn what_needs_keys_is_known_from_the_document() {
    let document = parse(&from_provider()).unwrap();
    assert!(document.is_remote() && document.buckets().is_empty());
    let urls = json!(["s3://data/a", {"url": "S3://more/b/c", "sha256": null}, "https://s3.example/x"]);
    let mut value = with(from_person(), "/stages/0/input", json!([{"id": "aa", "url": urls}]));
    value["stages"][0]["algorithm"]["url"] = json!("s3://code/x");
    value["stages"][0]["algorithm"]["rawcode"] = json!("");
    let document = parse(&value).unwrap();
    assert_eq!(document.buckets().into_iter().collect::<Vec<_>>(), ["code", "data", "more"]);
    assert!(!document.is_remote());
}

#[test]
fn digests_of_a_providers_files_are_read_by_position() {
    let read = |sha256: Value| {
        let mut value = from_provider();
        value["stages"][0]["input"][0]["remote"]["sha256"] = sha256;
        let document = parse(&value).map_err(|faults| faults[0].path.clone())?;
        let Source::Remote(remote) = &document.inputs[0].source else { panic!("{document:?}") };
        Ok(remote.sha256.clone())
    };
    let digest = Sha256::of("x");
    assert_eq!(read(json!(digest)), Ok(vec![Some(digest)]));
    assert_eq!(read(json!([null, digest])), Ok(vec![None, Some(digest)]));
    for wrong in [json!("x"), json!(7), json!([true]), json!({})] {
        assert_eq!(read(wrong), Err("stages[0].input[0].remote.sha256".to_owned()));
    }
}

#[test]
fn each_fault_names_its_path() {
    const ALGORITHM: &str = "stages[0].algorithm";
    for (pointer, new, path) in [
        ("/stages", json!([]), "stages"),
        ("/stages", json!({}), "stages"),
        ("/stages/0", json!(7), "stages[0]"),
        ("/stages/0/input", json!({}), "stages[0].input"),
        ("/stages/0/input/0", json!("x"), "stages[0].input[0]"),
        ("/stages/0/input/0/id", json!(null), "stages[0].input[0].id"),
        ("/stages/0/input/0/id", json!(5), "stages[0].input[0].id"),
        ("/stages/0/input/0/id", json!(".."), "stages[0].input[0].id"),
        ("/stages/0/input/0/id", json!("did:op:../../etc"), "stages[0].input[0].id"),
        ("/stages/0/input/0/url", json!(null), "stages[0].input[0].url"),
        ("/stages/0/input/0/url", json!(""), "stages[0].input[0].url"),
        ("/stages/0/input/0/url", json!([]), "stages[0].input[0].url"),
        ("/stages/0/input/0/url", json!(["https://h/", 1]), "stages[0].input[0].url[1]"),
        ("/stages/0/input/0/url", json!(["https://h/", ""]), "stages[0].input[0].url[1]"),
        ("/stages/0/input/0/url", json!("gopher://h/"), "stages[0].input[0].url"),
        ("/stages/0/input/0/url", json!({"url": "inline:a/b"}), "stages[0].input[0].url.url"),
        ("/stages/0/input/0/url", json!({"url": "ar://x", "sha256": "1"}), "stages[0].input[0].url.sha256"),
        ("/stages/0/algorithm", json!(null), ALGORITHM),
        ("/stages/0/algorithm/id", json!("a b"), "stages[0].algorithm.id"),
        ("/stages/0/algorithm/rawcode", json!(1), "stages[0].algorithm.rawcode"),
        ("/stages/0/algorithm/url", json!(null), "stages[0].algorithm.url"),
        ("/stages/0/algorithm/url", json!(true), "stages[0].algorithm.url"),
        ("/stages/0/algorithm/container", json!(null), "stages[0].algorithm.container"),
        ("/stages/0/algorithm/container/image", json!(" "), "stages[0].algorithm.container.image"),
        ("/stages/0/algorithm/container/image", json!("a@b"), "stages[0].algorithm.container.image"),
        ("/stages/0/algorithm/container/image", json!("python:3.11"), "stages[0].algorithm.container.image"),
        ("/stages/0/algorithm/container/tag", json!("a b"), "stages[0].algorithm.container.tag"),
        ("/stages/0/algorithm/container/checksum", json!("sha256:1"), "stages[0].algorithm.container.checksum"),
        ("/stages/0/algorithm/container/entrypoint", json!(""), "stages[0].algorithm.container.entrypoint"),
        ("/stages/0/algorithm/container/entrypoint", json!("a\0b"), "stages[0].algorithm.container.entrypoint"),
        (
            "/stages/0/algorithm/container/entrypoint",
            json!("x".repeat(40_000)),
            "stages[0].algorithm.container.entrypoint",
        ),
        ("/stages/0/compute", json!([]), "stages[0].compute"),
        ("/stages/0/compute", json!({"maxtime": 0}), "stages[0].compute.maxtime"),
        ("/stages/0/compute", json!({"maxtime": -1}), "stages[0].compute.maxtime"),
        ("/stages/0/compute", json!({"maxtime": 1e300}), "stages[0].compute.maxtime"),
        ("/stages/0/compute", json!({"maxtime": 1e-300}), "stages[0].compute.maxtime"),
        ("/stages/0/compute", json!({"maxtime": "1h"}), "stages[0].compute.maxtime"),
        ("/stages/0/compute", json!({"storageExpiry": "soon"}), "stages[0].compute.storageExpiry"),
        ("/stages/0/compute", json!({"storageExpiry": "2 fortnights"}), "stages[0].compute.storageExpiry"),
        ("/stages/0/compute", json!({"storageExpiry": "1ms"}), "stages[0].compute.storageExpiry"),
        ("/stages/0/compute", json!({"storageExpiry": -48}), "stages[0].compute.storageExpiry"),
        ("/stages/0/compute", json!({"storageExpiry": 1e300}), "stages[0].compute.storageExpiry"),
        ("/stages/0/compute", json!({"storageExpiry": 2_592_000}), "stages[0].compute.storageExpiry"),
        ("/stages/0/compute", json!({"storageExpiry": true}), "stages[0].compute.storageExpiry"),
        ("/stages/0/compute", json!({"maxtime": "NaN"}), "stages[0].compute.maxtime"),
        ("/stages/0/compute", json!({"maxtime": "inf"}), "stages[0].compute.maxtime"),
        ("/stages/0/compute", json!({"maxtime": true}), "stages[0].compute.maxtime"),
        ("/stages/0/output", json!({"metadataUri": "file:///x"}), "stages[0].output.metadataUri"),
        ("/chainId", json!(-1), "chainId"),
        ("/chainId", json!(1.5), "chainId"),
    ] {
        assert_eq!(paths(&with(from_person(), pointer, new.clone())), [path], "{pointer} = {new}");
    }
    for key in ["txId", "serviceId"] {
        for new in [json!(null), json!(""), json!(1), json!("a\nb"), json!("x".repeat(1025))] {
            let value = with(from_provider(), &format!("/stages/0/input/1/remote/{key}"), new);
            assert_eq!(paths(&value), [format!("stages[0].input[1].remote.{key}")]);
        }
    }
}

#[test]
fn all_faults_are_reported_at_once() {
    let value = json!({"chainId": "x", "stages": [{
        "input": [{"id": "..", "url": "ftp://h/"}, {"id": "a"}],
        "algorithm": {"container": {"image": "A", "entrypoint": "sh $ALGO"}},
        "compute": {"maxtime": "soon"}
    }, {}]});
    let expected = [
        "chainId",
        "stages[0].input[0].id",
        "stages[0].input[0].url",
        "stages[0].input[1].url",
        "stages[0].algorithm.container.image",
        "stages[0].compute.maxtime",
        "stages[1].algorithm",
    ];
    assert_eq!(paths(&value), expected);
    let in_algorithm = parse(&value).unwrap_err().iter().filter(|fault| fault.is_in_algorithm()).count();
    assert_eq!(in_algorithm, 2);
}

#[test]
fn an_algorithm_without_code_is_refused_only_where_the_entrypoint_runs_it() {
    let mut value = from_person();
    value["stages"][0]["algorithm"]["url"] = json!(null);
    assert_eq!(paths(&value), ["stages[0].algorithm.url"]);
    value["stages"][0]["algorithm"]["container"]["entrypoint"] = json!("/bin/fit");
    assert_eq!(parse(&value).unwrap().algorithm.source, AlgorithmSource::Image);
}

#[test]
fn a_manifest_given_as_its_own_document_is_recognised() {
    let message = &faults(&json!({"kind": "ConfigMap", "data": {"workflow.json": "{}"}}))[0];
    assert!(message.contains("workflow.json"), "{message}");
}

#[test]
fn a_yaml_number_where_a_text_belongs_asks_for_quotes() {
    let text = "stages: [{algorithm: {container: {image: python, tag: 3.10, entrypoint: x}}}]";
    let faults = Document::parse(text).unwrap_err();
    assert_eq!(faults[0].path, "stages[0].algorithm.container.tag");
    assert!(faults[0].message.contains("quotes"), "{}", faults[0]);
    let text = "stages: [{algorithm: {rawcode: yes, container: {image: python, tag: 017, entrypoint: x}}}]";
    let document = Document::parse(text).unwrap();
    assert_eq!(document.algorithm.source, AlgorithmSource::Raw("yes".to_owned()));
    assert_eq!(document.algorithm.container.tag.as_deref(), Some("017"));
}

#[test]
fn only_the_algorithms_own_section_counts_as_the_algorithms() {
    let fault = |path: &str| Fault { path: path.to_owned(), message: String::new() };
    assert!(fault("stages[0].algorithm").is_in_algorithm());
    assert!(fault("spec.metadata.stages[0].algorithm.id").is_in_algorithm());
    assert!(!fault("stages[0].algorithms").is_in_algorithm());
    assert!(!fault("stages[0].input[0][\"x.algorithm\"]").is_in_algorithm());
}

#[test]
fn config_map_keys_are_names_without_a_path() {
    for key in ["a", "penguins.csv", ".hidden", "A_b-C.9", &"x".repeat(253)] {
        assert!(is_config_map_key(key), "{key}");
    }
    for key in ["", ".", "..", "..a", "a/b", "a b", "é", "a\0", &"x".repeat(254)] {
        assert!(!is_config_map_key(key), "{key}");
    }
}

fn text() -> impl Strategy<Value = Value> {
    prop_oneof!["\\PC{0,12}", "yes|no|on|null|~|017|1_000|1e3|0x1F|3\\.10|<<|- a|a: b|#x| x|'|\""].prop_map(Value::from)
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e12..1e12).prop_map(Value::from),
        text(),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::hash_map("\\PC{0,8}|stages|id|url|container", inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A document that can be run, with texts and custom data that YAML could mistake for something else.
fn valid() -> impl Strategy<Value = Value> {
    let ids = proptest::collection::vec("(did:op:)?[A-Za-z0-9_-]{1,20}", 0..5);
    (ids, "\\PC{1,40}", any_json(), 1..1_000_000_u32, "[a-z0-9]{1,8}", text()).prop_map(
        |(ids, code, custom, maxtime, tag, extra)| {
            let inputs: Vec<_> =
                ids.iter().map(|id| json!({"id": id, "url": "https://h/a?b=c#d", "x": extra})).collect();
            json!({"chainId": 1, "stages": [{
                "input": inputs,
                "compute": {"maxtime": maxtime},
                "algorithm": {
                    "rawcode": code, "algocustomdata": custom,
                    "container": {"image": "h:5000/a", "tag": tag, "entrypoint": "sh -c 'x: y' $ALGO # z"}
                }
            }]})
        },
    )
}

proptest! {
    #[test]
    fn any_text_gives_a_document_or_faults(text in "\\PC{0,200}|[\\[\\]{}:,\"'&*!|>%@`#\\- \na-c0-9]{0,200}") {
        if let Err(faults) = Document::parse(&text) {
            prop_assert!(!faults.is_empty());
        }
    }

    #[test]
    fn any_value_anywhere_in_a_document_gives_a_document_or_faults(new in any_json(), place in 0..12_usize) {
        let pointer = [
            "/stages", "/stages/0", "/stages/0/input", "/stages/0/input/0", "/stages/0/input/0/remote",
            "/stages/0/input/0/url", "/stages/0/algorithm", "/stages/0/algorithm/container",
            "/stages/0/algorithm/remote/userData", "/stages/0/compute", "/stages/0/output", "/chainId",
        ][place];
        if let Err(faults) = parse(&with(from_provider(), pointer, new)) {
            prop_assert!(!faults.is_empty());
        }
    }

    #[test]
    fn a_document_means_the_same_in_json_and_in_yaml(value in valid()) {
        let from_json = parse(&value).unwrap();
        let yaml = serde_saphyr::to_string(&value).unwrap();
        let from_yaml = Document::parse(&yaml).map_err(|faults| TestCaseError::fail(format!("{faults:?}\n{yaml}")))?;
        prop_assert_eq!(Document { sha256: from_json.sha256, ..from_yaml }, from_json);
    }
}
