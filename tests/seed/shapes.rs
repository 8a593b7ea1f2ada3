//! Documents in every shape that clients send, from the text to the results.
//!
//! Each document is run by `local`, which runs the very stages that pods run, against a market: a registry of metadata, a
//! provider that checks orders, nonces and signatures, and a plain server. And each is asked for the pods it would get in a
//! cluster whose admin kept the old engine's variables. What came of it is told in one page, which is compared.

use crate::{
    market::Market,
    program::{self, OLD},
    workflow::digest::Sha256,
};
use serde_json::Value;
use std::{collections::BTreeMap, fmt::Write as _, fs, os::unix::fs::PermissionsExt as _, path::Path};

/// An algorithm that says what it was given.
const ALGORITHM: &str = r#"#!/bin/sh
env | grep -E '^(DIDS|TRANSFORMATION_DID|VOLUME|LOGS|INPUTS|OUTPUTS|secret)=' | sort
cat "$INPUTS"/*/* > "$OUTPUTS/all"
mkdir "$OUTPUTS/deep"
echo '{}' > "$OUTPUTS/deep/more.json"
"#;

async fn market() -> Market {
    let market = Market::new(&["first\n", "second\n"]).await;
    let market = market.with("did:op:bb", &["other\n"]).with("did:op:cc", &[ALGORITHM, "a library\n"]);
    market.with("files/a.csv", &["1,2\n"]).with("files/b.csv", &["3,4\n"]).with("files/algorithm.sh", &[ALGORITHM])
}

/// What came of one document, as a page.
async fn page(name: &str) -> String {
    let market = market().await;
    let folder = program::documents_for(&market.url());
    let environment = [&OLD[..], &[("OPERATOR_ENGINE__FETCH__ALLOW_NETWORKS", "127.0.0.0/8")]].concat();
    let arguments = ["local", name, "--out", "out", "--name", "wf-1", "--keep", "-o", "json"];
    let output = program::run(folder.path(), &arguments, &environment).await;
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let mut page = String::new();
    record(&mut page, &answer, output.status.code());
    let root = folder.path().join("out/.work/wf-1/data");
    if answer["outcome"] == "refused" {
        assert!(market.paths().is_empty() && !root.exists(), "nothing is done for it");
    } else {
        tree(&mut page, &root);
        asked(&mut page, &market);
        results(&mut page, &folder.path().join("out/wf-1"), &root);
        pods(&mut page, &folder.path().join(name), &environment).await;
    }
    let work = fs::canonicalize(folder.path()).unwrap();
    let page = page.replace(&root.display().to_string(), "/data").replace(&market.url(), "{market}");
    page.replace(&work.display().to_string(), "{folder}")
}

fn record(page: &mut String, answer: &Value, exit: Option<i32>) {
    writeln!(page, "RECORD").unwrap();
    for key in ["outcome", "code", "text", "reason", "message", "error", "exitCode"] {
        if let Some(value) = answer.get(key).filter(|value| key != "error" || Some(*value) != answer.get("message")) {
            writeln!(page, "  {key}: {value}").unwrap();
        }
    }
    writeln!(page, "  exit code of the command: {}", exit.unwrap()).unwrap();
    for fault in answer["faults"].as_array().into_iter().flatten() {
        writeln!(page, "  fault: {}: {}", fault["path"].as_str().unwrap(), fault["message"].as_str().unwrap()).unwrap();
    }
}

/// Every file of the volume, with its text where that is short and the same on every run, and its mode unless the algorithm chose
/// that.
fn tree(page: &mut String, root: &Path) {
    writeln!(page, "\nFILES").unwrap();
    for (path, bytes) in files(root) {
        if path == "bin/operator-engine" || path == "inputs.json" {
            continue;
        }
        let mode = fs::metadata(root.join(&path)).unwrap().permissions().mode() & 0o777;
        let text = String::from_utf8(bytes).unwrap();
        // Where the system shows nobody a folder as /data, its log begins with a word on that.
        let text: String =
            text.split_inclusive('\n').filter(|line| !line.starts_with("[operator-engine: /data is")).collect();
        let shown = match path.split('/').next().unwrap() {
            "adminlogs" => "…".to_owned(),
            "ddos" => serde_json::from_str::<Value>(&text).unwrap()["id"].to_string(),
            _ if text == ALGORITHM => "the algorithm".to_owned(),
            _ => format!("{text:?}"),
        };
        let mode = if path.starts_with("outputs/") { "   ".to_owned() } else { format!("{mode:o}") };
        writeln!(page, "  {mode} {path} = {shown}").unwrap();
    }
}

/// What the market was asked, in order; of a download's query the names, and the data that went along.
fn asked(page: &mut String, market: &Market) {
    writeln!(page, "\nREQUESTS").unwrap();
    for path in market.paths() {
        writeln!(page, "  {path}").unwrap();
    }
    for query in market.downloads() {
        let names: Vec<_> = query.split('&').map(|pair| pair.split_once('=').unwrap().0).collect();
        let data = crate::market::parameter(&query, "userdata").unwrap_or_else(|| "-".to_owned());
        writeln!(page, "  download {} with user data {data}", names.join(" ")).unwrap();
    }
    assert_eq!(market.refused(), 0, "nonces and signatures are right at once");
}

/// Manifest and array, each checked against the files themselves.
fn results(page: &mut String, stored: &Path, root: &Path) {
    let read = |name: &str| -> Value { serde_json::from_slice(&fs::read(stored.join(name)).unwrap()).unwrap() };
    let (manifest, array) = (read("manifest.json"), read("results.json"));
    writeln!(page, "\nMANIFEST").unwrap();
    for key in ["job", "outcome", "reason", "exitCode", "image", "partial", "signer"] {
        if let Some(value) = manifest.get(key) {
            writeln!(page, "  {key}: {value}").unwrap();
        }
    }
    for input in manifest["inputs"].as_array().into_iter().flatten() {
        let bytes = fs::read(root.join(input["path"].as_str().unwrap())).unwrap();
        assert_eq!(input["sha256"], digest(&bytes));
        writeln!(page, "  given {}", input["path"].as_str().unwrap()).unwrap();
    }
    let on_disk = files(&stored.join("data"));
    let listed = manifest["files"].as_array().unwrap();
    assert_eq!(listed.len(), on_disk.len(), "every file is listed and no other");
    for (file, entry) in listed.iter().zip(array.as_array().unwrap()) {
        let bytes = &on_disk[file["path"].as_str().unwrap()];
        assert_eq!(file["sha256"], digest(bytes), "{file}");
        assert_eq!((&file["size"], &entry["filesize"]), (&bytes.len().into(), &bytes.len().into()), "{file}");
        let names: Vec<_> = entry.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["filename", "filesize", "url", "type"], "as the old engine's array has them");
        let text = |key: &str| entry[key].as_str().unwrap();
        writeln!(page, "  {} as {}, {}, at {}", text("type"), text("filename"), file["contentType"], text("url"))
            .unwrap();
    }
    assert_eq!(listed.len(), array.as_array().unwrap().len());
}

/// What pods get in a cluster: those that differ from document to document, and for one document all.
async fn pods(page: &mut String, document: &Path, environment: &[(&str, &str)]) {
    writeln!(page, "\nPODS").unwrap();
    let [configure, algorithm, filter, publish] = program::pods(document, environment).await;
    pod(page, &configure);
    pod(page, &algorithm);
    let variables = |pod: &Value| pod["spec"]["containers"][0]["env"].clone();
    assert_eq!(variables(&filter), variables(&algorithm), "the filter has the same seven");
    if document.ends_with("provider.json") {
        pod(page, &filter);
        pod(page, &publish);
    }
}

fn pod(page: &mut String, pod: &Value) {
    let container = &pod["spec"]["containers"][0];
    writeln!(page, "  {}: image {}", pod["metadata"]["name"].as_str().unwrap(), container["image"]).unwrap();
    if let Some(command) = container["command"].as_array() {
        let words: Vec<_> = command.iter().map(|word| word.as_str().unwrap()).collect();
        let after = |option: &str| words.iter().position(|word| *word == option).map(|at| words[at + 1]);
        writeln!(page, "    runs {}", words[..2].join(" ")).unwrap();
        for option in ["--max-time", "--"] {
            after(option).into_iter().for_each(|word| writeln!(page, "    {option} {word}").unwrap());
        }
    }
    for variable in container["env"].as_array().into_iter().flatten() {
        let (name, from) = (variable["name"].as_str().unwrap(), &variable["valueFrom"]["secretKeyRef"]["name"]);
        match from.as_str() {
            Some(secret) => writeln!(page, "    {name} from the Secret {secret}"),
            None => writeln!(page, "    {name}={}", variable["value"].as_str().unwrap_or_default()),
        }
        .unwrap();
    }
    let mounts = container["volumeMounts"].as_array().unwrap();
    let mount = |mount: &Value| {
        let writable = if mount["readOnly"] == true { "ro" } else { "rw" };
        format!("{}:{writable}", mount["mountPath"].as_str().unwrap())
    };
    writeln!(page, "    mounts {}", mounts.iter().map(mount).collect::<Vec<_>>().join(" ")).unwrap();
    writeln!(page, "    gets {}", container["resources"]["limits"]).unwrap();
    writeln!(page, "    for {} s in all", pod["spec"]["activeDeadlineSeconds"]).unwrap();
}

/// Files below a folder, by their paths.
fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                found.insert(path.strip_prefix(root).unwrap().display().to_string(), fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found
}

fn digest(bytes: &[u8]) -> String {
    Sha256::of(bytes).to_string()
}

/// A test for each document, and one that none is left out.
macro_rules! shapes {
    ($($test:ident: $file:literal,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                insta::assert_snapshot!(stringify!($test), page($file).await);
            }
        )*

        #[test]
        fn every_document_is_run() {
            let there = fs::read_dir(program::documents()).unwrap();
            let mut there: Vec<_> = there.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            there.retain(|name| name.ends_with(".json") || name.ends_with(".yaml"));
            there.sort();
            let mut run = vec![$($file),*];
            run.sort_unstable();
            assert_eq!(there, run);
        }
    };
}

shapes! {
    a_provider_of_today: "provider.json",
    a_provider_of_today_with_raw_code: "provider-raw.json",
    the_body_that_operator_service_stored: "operator-service.json",
    an_older_client_with_urls: "older-client.json",
    numbers_as_texts_and_the_shortest_code: "numbers-as-texts.yaml",
    a_custom_resource_of_older_days: "custom-resource.yaml",
    one_document_stored_twice_is_asked_for_once: "stored-twice.yaml",
    bare_stages_whose_image_holds_everything: "bare.yaml",
    user_data_in_each_spelling: "user-data.json",
    ids_without_prefix_and_one_twice: "without-prefixes.json",
    files_that_travel_along: "inline.yaml",
    an_input_that_is_not_there: "missing-file.json",
    an_algorithm_that_is_not_there: "missing-algorithm.json",
    an_algorithm_that_fails: "failing-algorithm.json",
    a_pipe_whose_last_command_counts: "pipe.json",
    what_was_skipped_or_ended_in_an_exception: "missing-ids.json",
}
