//! Results read back from a folder, without a cluster.

use crate::bench::{Bench, document};
use operator_engine::workflow::digest::Sha256;
use serde_json::{Value, json};
use std::fs;

/// The key and its address are eth-account's test vectors.
const KEY: &str = "0x1111111111111111111111111111111111111111111111111111111111111111";
const ADDRESS: &str = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A";
const OTHER: &str = "0x1563915e194D8CfBA1943570603F7606A3115508";

/// A run of a job whose inputs and outputs are known; its results are in `out/wf`.
fn ran(key: Option<&str>) -> Bench {
    let bench = Bench::new();
    let mut job = document("sh $ALGO", "mkdir $OUTPUTS/a; cp $INPUTS/x/0 $OUTPUTS/a/b.csv; echo hello; env");
    job["stages"][0]["input"] = json!([{"id": "x", "url": "inline:data.csv"}]);
    bench.write("data.csv", "1,2\n").write("job.json", job.to_string());
    let mut program = bench.program(&["local", "job.json", "--out", "out", "--name", "wf", "-o", "json"]);
    if let Some(key) = key {
        program.env("OPERATOR_PRIVATE_KEY", key);
    }
    bench.end(program).with(0);
    bench
}

fn verdict(checks: &Value, name: &str) -> String {
    let check = checks["checks"].as_array().unwrap().iter().find(|check| check["name"] == name);
    check.unwrap_or_else(|| panic!("{name}: {checks}"))["verdict"].as_str().unwrap().to_owned()
}

#[test]
fn a_run_with_the_operators_key_is_signed_and_verified_to_the_last_byte() {
    let bench = ran(Some(KEY));
    let manifest: Value = serde_json::from_slice(&fs::read(bench.path("out/wf/manifest.json")).unwrap()).unwrap();
    assert_eq!((&manifest["signer"], &manifest["partial"]), (&json!(ADDRESS), &json!(false)));
    let data = json!({"path": "inputs/x/0", "size": 4, "sha256": Sha256::of("1,2\n")});
    assert!(manifest["inputs"].as_array().unwrap().contains(&data), "{manifest}");
    let log = fs::read_to_string(bench.path("out/wf/data/logs/algorithm.log")).unwrap();
    assert!(log.contains("INPUTS=") && !log.contains("1111"), "the algorithm sees no key: {log}");

    let verify = ["results", "wf", "--from", "out", "--verify", "-o", "json", "--signer"];
    let good = bench.run(&[&verify[..], &[ADDRESS]].concat()).with(0).json();
    assert_eq!(good["verified"], true);
    for name in ["signature", "files", "names", "nothing else", "results.json"] {
        assert_eq!(verdict(&good, name), "passed", "{good}");
    }
    assert_eq!(verdict(&good, "record"), "unchecked");
    let other = bench.run(&[&verify[..], &[OTHER]].concat()).with(8).json();
    assert_eq!((verdict(&other, "signature"), &other["exit"]), ("failed".to_owned(), &json!(8)));

    bench.write("out/wf/data/outputs/a/b.csv", "1,3\n");
    let changed = bench.run(&[&verify[..], &[ADDRESS]].concat()).with(8).json();
    assert_eq!(verdict(&changed, "files"), "failed");
    let people = bench.run(&["results", "wf", "--from", "out/wf", "--verify"]).with(8).out;
    assert!(people.contains("WRONG") && people.contains("outputs/a/b.csv"), "{people}");
}

#[test]
fn results_are_listed_and_downloaded_from_a_folder_and_nothing_is_written_over() {
    let bench = ran(None);
    let listed = bench.run(&["results", "wf", "--from", "out"]).with(0).out;
    assert!(listed.starts_with("wf: succeeded\n") && listed.contains("outputs/a/b.csv"), "{listed}");
    let all = bench.run(&["results", "wf", "--from", "out/wf", "-o", "json"]).with(0).json();
    assert_eq!((&all["job"], &all["outcome"]), (&json!("wf"), &json!("succeeded")));

    let to = ["results", "wf", "--from", "out", "--to", "copy"];
    bench.run(&to).with(0);
    assert_eq!(fs::read_to_string(bench.path("copy/wf/data/outputs/a/b.csv")).unwrap(), "1,2\n");
    bench.run(&["results", "wf", "--from", "copy", "--verify"]).with(0);
    let again = bench.run(&[&to[..], &["-o", "json"]].concat()).with(5);
    assert!(again.json()["error"].as_str().unwrap().contains("is there already"), "{again:?}");

    let array = bench.run(&["results", "wf", "--from", "out", "--array"]).with(0).json();
    let keys: Vec<_> = array[0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["filename", "filesize", "url", "type"]);
    assert_eq!(
        (&array[0]["filename"], &array[0]["filesize"], &array[0]["type"]),
        (&json!("b.csv"), &json!(4), &json!("output"))
    );
    assert!(array.as_array().unwrap().iter().any(|entry| entry["type"] == "configrationLog"), "{array}");
}

#[test]
fn what_is_not_there_is_told_by_exit_codes() {
    let bench = ran(None);
    bench.run(&["results", "other", "--from", "out"]).with(7);
    bench.run(&["results", "wf", "--from", "nowhere"]).with(1);
    bench.run(&["results", "wf", "--from", "out", "--links"]).with(1);
    bench.run(&["results", "wf", "--from", "out", "--to", "x", "--verify"]).with(2);
    bench.run(&["results", "wf", "--manifest"]).with(3);
    let refusal = bench.run(&["results", "wf", "--manifest", "-o", "json"]).with(3).json();
    assert_eq!(refusal["exit"], 3, "{refusal}");
    bench.write("out/wf/manifest.json", "{}");
    bench.run(&["results", "wf", "--from", "out"]).with(8);
}

#[test]
fn a_key_that_is_none_stops_a_run_before_it_begins_and_is_not_shown() {
    let bench = Bench::new();
    bench.write("job.json", document("sh $ALGO", "true").to_string());
    let mut program = bench.program(&["local", "job.json", "--out", "out"]);
    program.env("OPERATOR_PRIVATE_KEY", "0xs3cret");
    let ended = bench.end(program).with(3);
    assert!(ended.err.contains("OPERATOR_PRIVATE_KEY") && !ended.err.contains("s3cret"), "{}", ended.err);
    assert!(bench.list("out").is_empty());
}

#[test]
fn results_of_a_run_that_did_not_end_well_are_marked() {
    let bench = Bench::new();
    bench.local(&document("sh $ALGO", "echo half > $OUTPUTS/half; exit 3"), &["--name", "wf"]).with(10);
    let listed = bench.run(&["results", "wf", "--from", "out"]).with(0).out;
    assert!(listed.starts_with("wf: failed; they may be incomplete\n") && listed.contains("outputs/half"), "{listed}");
}
