//! Order, names and modes of the tree, as algorithm images know them.

use super::{server::Server, *};
use crate::{storage::manifest::Input as Placed, workflow::document::Remote};

fn remote() -> Source {
    Source::Remote(Remote { tx_id: "0x1".to_owned(), service_id: "s".to_owned(), user_data: None, sha256: Vec::new() })
}

#[tokio::test]
async fn files_are_named_by_position_and_an_asset_named_twice_goes_on() {
    let server = Server::start(|_, head| super::server::ok(head.split(' ').nth(1).unwrap())).await;
    let mut case = Case::new()
        .with_key("k.csv", "inline")
        .with_input("aa", &[&server.url("/a"), "inline:k.csv"])
        .with_input("bb", &[&server.url("/b")])
        .with_input("aa", &[&server.url("/c")]);
    case.task.document.metadata_uri = Some(server.url("/meta/"));
    case.task.document.algorithm.id = Some("alg".parse().unwrap());
    case.task.document.algorithm.did = Some("did:op:alg".to_owned());
    let urls = ["/code", "/lib", "/more"].map(|path| file(&server.url(path)));
    case.task.document.algorithm.source = AlgorithmSource::Files(Source::Urls(urls.to_vec()));
    let done = case.run().await;
    assert_eq!((done.fine().files, done.fine().bytes), (7, 2 + 6 + 2 + 2 + 5 + 4 + 5));
    let (list, tree): (Vec<_>, Vec<_>) =
        case.tree().into_iter().filter(|(_, (_, text))| !text.is_empty()).partition(|(path, _)| path == "inputs.json");
    let told: Vec<Placed> = serde_json::from_str(&list[0].1.1).unwrap();
    let there = tree.iter().map(|(path, (_, text))| Placed {
        path: path.clone(),
        size: text.len() as u64,
        sha256: Sha256::of(text),
        stage: None,
    });
    assert_eq!(told, there.collect::<Vec<_>>(), "publish is told of each with its digest");
    let expected = [
        ("ddos/aa", 0o644, "/meta/api/aquarius/assets/ddo/did:op:aa"),
        ("ddos/alg", 0o644, "/meta/api/aquarius/assets/ddo/did:op:alg"),
        ("ddos/bb", 0o644, "/meta/api/aquarius/assets/ddo/did:op:bb"),
        ("inputs/aa/0", 0o644, "/a"),
        ("inputs/aa/1", 0o644, "inline"),
        ("inputs/aa/2", 0o644, "/c"),
        ("inputs/bb/0", 0o644, "/b"),
        ("transformations/1", 0o644, "/lib"),
        ("transformations/2", 0o644, "/more"),
        ("transformations/algorithm", 0o777, "/code"),
    ];
    assert_eq!(tree, expected.map(|(path, mode, text)| (path.to_owned(), (mode, text.to_owned()))));
    let asked = server.requests().iter().filter(|head| head.contains("did:op:aa")).count();
    assert_eq!(asked, 1, "a DDO is asked for once");
}

#[tokio::test]
async fn a_failed_input_keeps_no_other_from_being_tried_but_the_algorithm() {
    let server = Server::of("x").await;
    let mut case = Case::new()
        .with_key("k", "x")
        .with_input("aa", &["inline:absent", "inline:k"])
        .with_input("bb", &["inline:k"])
        .with_input("cc", &["inline:gone"]);
    case.task.document.algorithm.source = AlgorithmSource::Files(Source::Urls(vec![file(&server.url("/a"))]));
    case.task.document.algorithm.custom_data = Some(serde_json::json!(1));
    let done = case.run().await;
    assert_eq!(done.fault(), (31, "NotFound"));
    let message = &done.report.fault.as_ref().unwrap().message;
    assert!(
        message.starts_with("input aa, file 0 (inline:absent): ") && message.ends_with("(1 more: see configure.log)")
    );
    assert!(case.exists("inputs/bb/0") && !case.exists("inputs/aa/1") && !case.exists("inputs/algoCustomData.json"));
    assert!(server.requests().is_empty());
    assert!(case.read("adminlogs/configure.log").contains("input cc, file 0"));
}

#[tokio::test]
async fn a_failed_algorithm_is_a_fault_of_its_own() {
    let mut case = Case::new().with_key("k", "x").with_input("aa", &["inline:k"]);
    case.task.document.algorithm.source = AlgorithmSource::Files(Source::Urls(vec![file("inline:absent")]));
    let done = case.run().await;
    assert_eq!((done.fault(), done.report.files), ((32, "NotFound"), 1));
    case.task.document.algorithm.source = AlgorithmSource::Files(remote());
    assert_eq!(case.run().await.fault(), (32, "DdoUnusable"));
    case.task.document.algorithm.source = AlgorithmSource::Files(Source::Urls(Vec::new()));
    assert_eq!(case.run().await.fault(), (32, "NothingToFetch"));
}

#[tokio::test]
async fn an_asset_that_brings_nothing_is_no_success() {
    let mut case = Case::new().with_input("aa", &[]);
    assert_eq!(case.run().await.fault(), (31, "NothingToFetch"));
    case.task.document.inputs[0].source = remote();
    assert_eq!(case.run().await.fault(), (31, "DdoUnusable"));
}

#[tokio::test]
async fn raw_code_of_any_length_and_parameters_are_written_as_they_are() {
    let mut case = Case::new();
    let long = "é\n".repeat(100_000);
    for code in ["x", &long] {
        case.task.document.algorithm.source = AlgorithmSource::Raw(code.to_owned());
        case.task.document.algorithm.custom_data = serde_json::from_str(r#"{ "b": [1, 2.50], "a": "é" }"#).unwrap();
        case.run().await.fine();
        assert_eq!(case.read("transformations/algorithm"), code);
        assert_eq!(case.read("inputs/algoCustomData.json"), r#"{"b":[1,2.5],"a":"é"}"#);
        assert_eq!(case.tree()["transformations/algorithm"].0, 0o777);
    }
    case.task.document.algorithm.custom_data = Some(serde_json::Value::Null);
    case.task.document.algorithm.source = AlgorithmSource::Image;
    case.run().await.fine();
    assert!(!case.exists("inputs/algoCustomData.json") && !case.exists("transformations/algorithm"));
}

#[tokio::test]
async fn an_input_cannot_take_the_name_of_the_parameters() {
    let case = Case::new().with_key("k", "x").with_input("algoCustomData.json", &["inline:k"]);
    assert_eq!(case.run().await.fault(), (31, "NameTaken"));
}

#[tokio::test]
async fn a_failed_ddo_is_tolerated() {
    let server = Server::start(|_, _| super::server::raw("404 Not Found", &[], "")).await;
    let mut case = Case::new().with_key("k", "x").with_input("aa", &["inline:k"]);
    for uri in [server.url(""), "not a url".to_owned()] {
        case.task.document.metadata_uri = Some(uri);
        let done = case.run().await;
        done.fine();
        assert!(done.out.contains("going on without it") && !case.exists("ddos/aa"));
    }
}

#[tokio::test]
async fn files_of_the_local_mode_stay_below_their_folder() {
    let mut case = Case::new().with_input("aa", &["file:a.csv"]);
    let folder = case.dir.path().join("workflow");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a.csv"), "local").unwrap();
    fs::write(case.dir.path().join("secret"), "secret").unwrap();
    case.task.local_folder = Some(folder);
    case.run().await.fine();
    assert_eq!(case.read("inputs/aa/0"), "local");
    case.task.document.inputs[0].source = Source::Urls(vec![file("file:../secret")]);
    assert_eq!(case.run().await.fault(), (31, "OutsideFolder"));
}

#[tokio::test]
async fn running_again_over_any_remains_gives_the_same_tree() {
    let mut case = Case::new().with_key("k", "x").with_input("aa", &["inline:k", "inline:k"]);
    case.task.document.algorithm.custom_data = Some(serde_json::json!({"a": 1}));
    case.task.program = Some(case.dir.path().join("program"));
    fs::write(case.dir.path().join("program"), "not so long").unwrap();
    case.run().await.fine();
    let first = case.tree();
    case.run().await.fine();
    assert_eq!(case.tree(), first);

    let root = case.task.layout.root().to_owned();
    fs::write(root.join("inputs/aa/.1.part"), "half").unwrap();
    fs::write(root.join("inputs/aa/7"), "stale").unwrap();
    fs::write(root.join("inputs/aa/0"), "of another time").unwrap();
    fs::create_dir_all(root.join("inputs/old/deep")).unwrap();
    fs::create_dir(root.join("transformations/algorithm.d")).unwrap();
    fs::write(root.join("bin/operator-engine.part"), "half").unwrap();
    fs::remove_dir_all(root.join("outputs")).unwrap();
    fs::set_permissions(root.join("logs"), fs::Permissions::from_mode(0o700)).unwrap();
    case.run().await.fine();
    assert_eq!(case.tree(), first);
    let log = case.read("adminlogs/configure.log");
    assert_eq!(log.matches("configure: done").count(), 3, "the log of earlier attempts stays");
}

#[tokio::test]
async fn a_volume_that_cannot_be_written_is_a_fault_and_no_panic() {
    let case = Case::new();
    fs::write(case.task.layout.root(), "a file where the volume should be").unwrap();
    assert_eq!(case.run().await.fault(), (31, "VolumeFailed"));
}
