//! Files a workflow may be in, right and wrong.

use super::*;
use std::{error::Error as _, fs, os::unix::fs::symlink};

const DOCUMENT: &str = r#"{"stages": [{
    "input": [{"id": "a", "url": ["inline:a.csv", "inline:b.csv"]}],
    "algorithm": {"url": "inline:run.sh", "container": {"image": "x", "entrypoint": "sh $ALGO"}}}]}"#;

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

/// Loads `text` as `name`, alone in its folder.
fn load_text(name: &str, text: &str) -> Result<Loaded, LoadError> {
    let folder = folder(&[(name, text.as_bytes())]);
    load(&folder.path().join(name))
}

fn message(error: LoadError) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

fn manifest(data: &serde_json::Value) -> serde_json::Value {
    serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "wf-1", "labels": {"operator-engine/state": "pending"}, "annotations": {"operator-engine/owner": "0x1"}},
        "data": data
    })
}

#[test]
fn a_bare_document_takes_along_what_its_inline_urls_name_and_nothing_else() {
    let files: [(&str, &[u8]); 5] =
        [("job.json", DOCUMENT.as_bytes()), ("a.csv", b"1"), ("b.csv", b"22"), ("run.sh", b"id"), ("other", b"x")];
    let folder = folder(&files);
    let loaded = load(&folder.path().join("job.json")).unwrap();
    assert_eq!(loaded.data.keys().collect::<Vec<_>>(), ["a.csv", "b.csv", "run.sh", "workflow.json"]);
    assert_eq!(loaded.data["b.csv"], b"22");
    assert_eq!((loaded.name, loaded.stem.as_str(), loaded.document_key.as_str()), (None, "job", "workflow.json"));
    assert_eq!(loaded.folder, folder.path().canonicalize().unwrap());
}

#[test]
fn a_manifest_in_yaml_or_json_is_taken_as_it_is() {
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: wf-1\n  labels: {operator-engine/state: pending}\n  \
                annotations: {operator-engine/owner: '0x1'}\ndata:\n  workflow.yaml: |\n    stages: []\n  a.csv: '1'\n";
    let json = manifest(&serde_json::json!({"workflow.yaml": "stages: []\n", "a.csv": "1"})).to_string();
    let list = format!(r#"{{"apiVersion": "v1", "kind": "List", "items": [{{"kind": "Namespace"}}, {json}]}}"#);
    let several = format!("---\napiVersion: v1\nkind: Namespace\n---\n{yaml}---\n");
    for text in [yaml, &json, &list, &several] {
        let loaded = load_text("x.yaml", text).unwrap();
        assert_eq!(loaded.name.as_ref().map(JobId::as_str), Some("wf-1"), "{text}");
        assert_eq!(loaded.labels["operator-engine/state"], "pending");
        assert_eq!(loaded.annotations["operator-engine/owner"], "0x1");
        assert_eq!((loaded.document_key.as_str(), &*loaded.text()), ("workflow.yaml", "stages: []\n"));
        assert_eq!(loaded.data["a.csv"], b"1");
    }
}

#[test]
fn a_secret_is_a_workflow_if_it_has_a_document_and_its_plain_text_counts() {
    let secret = "kind: Secret\nmetadata: {name: wf-1, labels: {operator-engine/state: pending}}\n";
    let both = format!("{secret}data: {{workflow.yaml: c3RhZ2VzOiBbXQo=, a.csv: /w==}}\nstringData: {{a.txt: '1'}}\n");
    let credentials = "kind: Secret\nmetadata: {name: keys}\ndata: {token: czNjcjN0}\n";
    let covered = format!("{secret}data: {{workflow.yaml: e30=}}\nstringData: {{workflow.yaml: 'stages: []\n\n'}}\n");
    for text in [both.clone(), format!("{both}---\n{credentials}"), covered] {
        let loaded = load_text("x.yaml", &text).unwrap();
        assert_eq!((loaded.kind, loaded.name.as_ref().map(JobId::as_str)), (Kind::Secret, Some("wf-1")));
        assert_eq!((loaded.text().trim(), loaded.oddities()), ("stages: []", vec![]));
    }
    assert_eq!(load_text("x.yaml", &both).unwrap().data["a.csv"], b"\xff");
    let config_map = manifest(&serde_json::json!({"workflow.yaml": "stages: []\n"}));
    let beside = load_text("x.yaml", &format!("{config_map}\n---\n{credentials}")).unwrap();
    assert_eq!(beside.kind, Kind::ConfigMap, "credentials beside it are nobody's workflow");
    assert!(load_text("x.yaml", &format!("{config_map}\n---\n{both}")).is_err(), "which of the two is meant?");
}

#[test]
fn a_text_beyond_repair_is_left_for_the_document_to_refuse() {
    for text in ["stages: [", "{\"stages\": [", "", "[]", "stages: []\nstages: []\n"] {
        let loaded = load_text("workflow.yaml", text).unwrap();
        assert_eq!(loaded.text(), text);
        assert!(Document::parse(&loaded.text()).is_err());
    }
}

#[test]
fn an_old_body_is_a_bare_document() {
    let loaded = load_text("x.json", r#"{"kind": "WorkFlow", "spec": {"metadata": {"stages": []}}}"#).unwrap();
    assert_eq!(loaded.document_key, "workflow.json");
}

#[test]
fn manifests_that_are_no_single_workflow_are_refused_with_the_reason() {
    let one = manifest(&serde_json::json!({"workflow.json": "{}"}));
    let with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut value = one.clone();
        change(&mut value);
        value.to_string()
    };
    for (text, expected) in [
        (format!("{one}\n---\n{one}\n"), "2 ConfigMaps"),
        (format!(r#"{{"kind": "ConfigMapList", "items": [{one}, {one}, {one}]}}"#), "3 ConfigMaps"),
        (r#"{"kind": "List", "items": []}"#.to_owned(), "0 ConfigMaps"),
        ("kind: Namespace\n---\nkind: Role\n".to_owned(), "0 ConfigMaps"),
        ("kind: Secret\ndata: {}\n".to_owned(), "no document"),
        ("kind: Secret\ndata: {workflow.json: '{}'}\n".to_owned(), "data[\"workflow.json\"] is not base64"),
        ("kind: Secret\nstringData: {workflow.json: 5}\n".to_owned(), "stringData[\"workflow.json\"] must be a text"),
        ("kind: Deployment\nspec: {}\n".to_owned(), "\"Deployment\""),
        (with(&|v| v["metadata"]["name"] = "Not_A_Name".into()), "metadata.name is no job id: a job id consists"),
        (with(&|v| v["metadata"]["name"] = "x".repeat(53).into()), "1 to 52 characters"),
        (with(&|v| v["metadata"]["name"] = 5.into()), "metadata.name must be a text"),
        (with(&|v| v["metadata"]["labels"]["a"] = 5.into()), "metadata.labels[\"a\"] must be a text"),
        (with(&|v| v["metadata"]["annotations"] = "x".into()), "metadata.annotations must be a mapping"),
        (with(&|v| v["data"] = serde_json::Value::Null), "no document"),
        (with(&|v| v["data"]["workflow.yaml"] = "x".into()), "two documents"),
        (with(&|v| v["data"]["x"] = serde_json::json!({})), "data[\"x\"] must be a text"),
        (with(&|v| v["data"]["../x"] = "x".into()), "data[\"../x\"] is no key"),
        (with(&|v| v["data"]["x"] = "x".repeat(MAX_DATA_BYTES).into()), "a ConfigMap holds 1048576"),
        (with(&|v| v["binaryData"] = serde_json::json!({"x": "AA=="})), "binaryData is not supported"),
    ] {
        let found = message(load_text("x.yaml", &text).unwrap_err());
        assert!(found.contains(expected), "{found}\nwhere {expected:?} was expected");
    }
}

#[test]
fn unreadable_files_are_refused_with_the_reason() {
    let folder = folder(&[("bad", b"ab\xff"), ("large", &vec![b' '; MAX_FILE_BYTES + 1])]);
    let at = |name: &str| message(load(&folder.path().join(name)).unwrap_err());
    assert!(at("missing").contains("missing: No such file"), "{}", at("missing"));
    assert!(at("").contains("neither workflow.yaml nor workflow.json"), "{}", at(""));
    assert!(at("bad").contains("byte 2 is the first that is not"), "{}", at("bad"));
    assert!(at("large").contains("more than 4 MiB"), "{}", at("large"));
}

#[test]
fn a_file_beside_the_document_must_be_there_be_regular_and_stay_in_the_folder() {
    let outside = folder(&[("secret", b"s")]);
    let folder = folder(&[("job.json", DOCUMENT.as_bytes()), ("b.csv", b"2"), ("run.sh", b"id"), ("real.csv", b"1")]);
    let file = folder.path().join("job.json");
    let inline = folder.path().join("a.csv");
    let refused = || message(load(&file).unwrap_err());

    assert!(refused().contains("no such file beside the document"), "{}", refused());
    symlink(outside.path().join("secret"), &inline).unwrap();
    assert!(refused().contains("leads out of the folder"), "{}", refused());
    fs::remove_file(&inline).unwrap();
    fs::create_dir(&inline).unwrap();
    assert!(refused().contains("no regular file"), "{}", refused());
    fs::remove_dir(&inline).unwrap();
    fs::write(&inline, b"\xff").unwrap();
    assert!(load(&file).is_ok(), "a ConfigMap holds binary data as well");
    fs::remove_file(&inline).unwrap();
    symlink("real.csv", &inline).unwrap();
    assert_eq!(load(&file).unwrap().data["a.csv"], b"1", "a link within the folder is a file like any other");
}

#[test]
fn files_may_fill_a_config_map_to_its_last_byte() {
    let folder = folder(&[("job.json", DOCUMENT.as_bytes()), ("a.csv", b"1"), ("b.csv", b"2")]);
    let room = MAX_DATA_BYTES - DOCUMENT.len() - 2;
    let fill = |bytes| {
        fs::write(folder.path().join("run.sh"), vec![b'x'; bytes]).unwrap();
        load(&folder.path().join("job.json"))
    };
    assert_eq!(size(&fill(room).unwrap().data), MAX_DATA_BYTES);
    assert!(matches!(fill(room + 1), Err(LoadError::DataTooLarge { bytes }) if bytes == MAX_DATA_BYTES + 1));
}

#[test]
fn a_document_may_name_itself_but_not_a_second_document() {
    let text = DOCUMENT.replace("inline:a.csv", "inline:workflow.json").replace("inline:b.csv", "inline:workflow.yaml");
    let files: [(&str, &[u8]); 3] = [("workflow.json", text.as_bytes()), ("workflow.yaml", b"x"), ("run.sh", b"id")];
    let folder = folder(&files);
    assert!(matches!(load(&folder.path().join("workflow.json")), Err(LoadError::Documents { both: true })));
}

#[test]
fn stems_are_job_ids() {
    for (path, folder, expected) in [
        ("workflow.yaml", "/x/Penguins of Palmer", "penguins-of-palmer"),
        ("a/My_Job.v2.json", "/x/a", "my-job-v2"),
        ("workflow.json", "/", "workflow"),
        ("日本.yaml", "/x", "workflow"),
        ("--a--.yaml", "/x", "a"),
        (&format!("{}-b.json", "a".repeat(39)), "/x", &"a".repeat(39)),
    ] {
        let stem = stem(Path::new(path), Path::new(folder));
        assert_eq!(stem, expected);
        assert!(stem.parse::<JobId>().is_ok());
    }
}

fn example(name: &str) -> Loaded {
    load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/examples").join(name)).unwrap()
}

#[test]
fn the_examples_are_workflows_without_a_word_that_nothing_reads() {
    for (name, stem) in [("hello/workflow.yaml", "hello"), ("penguins/workflow.yaml", "penguins")] {
        let loaded = example(name);
        let document = Document::parse(&loaded.text()).unwrap();
        assert_eq!((loaded.stem.as_str(), document.ignored), (stem, vec![]));
    }
}

#[test]
fn kustomize_sends_of_the_penguins_what_the_local_mode_reads() {
    let loaded = example("penguins/workflow.yaml");
    let text = fs::read_to_string(loaded.folder.join("kustomization.yaml")).unwrap();
    let kustomization: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    let generator = &kustomization["configMapGenerator"][0];
    let mut files: Vec<_> = generator["files"].as_array().unwrap().iter().map(|file| file.as_str().unwrap()).collect();
    files.sort_unstable();
    assert_eq!(files, loaded.data.keys().collect::<Vec<_>>());
    assert_eq!(generator["name"], loaded.stem);
    assert_eq!(generator["options"]["labels"]["operator-engine/state"], "pending");
}

#[test]
fn hostile_files_cost_no_more_than_their_size() {
    let many = |part: &str| part.repeat(MAX_FILE_BYTES / part.len());
    let bomb: String =
        (1..9).map(|i| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 9].join(","))).collect();
    for text in [
        many("["),
        many("{\"a\":"),
        many("- "),
        many("---\n"),
        many("--- [\n"),
        many("kind: List\n---\n"),
        many("a: b\n"),
        many("&a [*a,"),
        format!("kind: ConfigMap\na0: &a0 [x]\n{bomb}"),
        format!("[{}0]", many("0,").split_at(MAX_FILE_BYTES / 2).0),
    ] {
        let start = std::time::Instant::now();
        let outcome = load_text("x.yaml", &text).map(|loaded| Document::parse(&loaded.text()).is_err());
        assert!(!matches!(outcome, Ok(false)), "{:?} was accepted", &text[..12]);
        assert!(start.elapsed().as_secs() < 30, "{:?} took {:?}", &text[..12], start.elapsed());
    }
}

#[test]
fn a_folder_stands_for_the_one_document_in_it() {
    let files: [(&str, &[u8]); 4] =
        [("workflow.json", DOCUMENT.as_bytes()), ("a.csv", b"1"), ("b.csv", b"2"), ("run.sh", b"x")];
    let folder = folder(&files);
    let loaded = load(folder.path()).unwrap();
    assert_eq!(loaded.data.len(), 4);
    fs::write(folder.path().join("workflow.yaml"), "x").unwrap();
    assert!(matches!(load(folder.path()), Err(LoadError::Documents { both: true })));
    for name in ["workflow.yaml", "workflow.json"] {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    let error = message(load(folder.path()).unwrap_err());
    assert!(error.contains("neither workflow.yaml nor workflow.json"), "{error}");
}

#[test]
fn a_manifest_that_no_engine_would_see_is_odd_and_a_bare_document_is_not() {
    let mut value = manifest(&serde_json::json!({"workflow.yaml": "stages: []\n"}));
    let odd = |value: &serde_json::Value| load_text("x.json", &value.to_string()).unwrap().oddities();
    assert_eq!(odd(&value), [""; 0]);
    value["metadata"]["labels"]["operator-engine/state"] = "pendign".into();
    assert!(odd(&value)[0].contains("\"pendign\""), "{:?}", odd(&value));
    value["metadata"] = serde_json::json!({});
    let both = odd(&value);
    assert!(both.len() == 2 && both[0].contains("no name") && both[1].contains("operator-engine/state"), "{both:?}");
    assert_eq!(load_text("workflow.yaml", "stages: []\n").unwrap().oddities(), [""; 0]);
}
