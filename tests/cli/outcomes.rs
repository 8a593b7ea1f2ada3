//! Every way a workflow can end has its exit code, its record and what is stored.

use crate::bench::{Bench, document};
use serde_json::json;
use std::time::Duration;

#[test]
fn a_failing_algorithm_is_exit_ten_and_its_status_is_recorded() {
    let bench = Bench::new();
    let ended = bench.shell("echo half > $OUTPUTS/half; echo oh no >&2; exit 3").with(10);
    let answer = ended.json();
    assert_eq!((&answer["outcome"], &answer["exitCode"]), (&json!("failed"), &json!(3)));
    assert_eq!(answer["code"], 70, "as the old engine: an algorithm that failed is a finished job");
    assert_eq!(answer["reason"], "AlgorithmFailed");
    assert!(answer["message"].as_str().unwrap().contains("exit code 3"), "{answer}");
    assert_eq!((ended.file("outputs/half"), ended.log()), ("half\n".to_owned(), "oh no\n".to_owned()));
    let manifest = std::fs::read_to_string(answer["manifest"].as_str().unwrap()).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!((&manifest["outcome"], &manifest["exitCode"]), (&json!("failed"), &json!(3)));
}

#[test]
fn an_algorithm_killed_by_a_signal_says_by_which() {
    let bench = Bench::new();
    let answer = bench.shell("kill -KILL $$").with(10).json();
    assert_eq!((&answer["exitCode"], &answer["reason"]), (&json!(137), &json!("AlgorithmFailed")));
    assert!(answer["message"].as_str().unwrap().contains("signal 9"), "{answer}");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let bench = Bench::new();
    let answer = bench.local(&document("no-such-program $ALGO", "x"), &["-o", "json"]).with(10).json();
    assert_eq!((&answer["exitCode"], &answer["reason"]), (&json!(127), &json!("CannotStart")));
    assert!(answer["message"].as_str().unwrap().contains("no-such-program"), "{answer}");
}

#[test]
fn time_that_is_up_is_exit_twelve_and_what_there_is_comes_out() {
    let bench = Bench::new();
    let job = document("sh $ALGO", "echo part > $OUTPUTS/part; echo begun; exec sleep 1000");
    let ended = bench.local(&job, &["-o", "json", "--timeout", "500ms"]).with(12);
    let answer = ended.json();
    assert_eq!((&answer["outcome"], &answer["reason"]), (&json!("timed-out"), &json!("MaxTimeExceeded")));
    assert_eq!((ended.file("outputs/part"), ended.log()), ("part\n".to_owned(), "begun\n".to_owned()));
    assert!(ended.took < Duration::from_secs(10), "{:?}", ended.took);
}

#[test]
fn a_document_may_ask_for_less_time_than_it_could_have() {
    let bench = Bench::new();
    let mut job = document("sh $ALGO", "exec sleep 1000");
    job["stages"][0]["compute"] = json!({"maxtime": 1});
    bench.local(&job, &["-o", "json", "--timeout", "1h"]).with(12);
}

#[test]
fn a_refused_document_is_exit_fourteen_with_all_its_faults() {
    let bench = Bench::new();
    let mut job = document("", "x");
    job["stages"][0]["algorithm"]["container"]["image"] = json!("a b");
    job["stages"][0]["input"] = json!([{"id": "../x", "url": "ftp://example.org/a"}]);
    let paths = [
        "stages[0].input[0].id",
        "stages[0].input[0].url",
        "stages[0].algorithm.container.image",
        "stages[0].algorithm.container.entrypoint",
    ];
    let ended = bench.local(&job, &["-o", "json"]).with(14);
    let answer = ended.json();
    assert_eq!((&answer["outcome"], &answer["code"]), (&json!("refused"), &json!(31)));
    let faults = answer["faults"].as_array().unwrap();
    for path in paths {
        assert!(faults.iter().any(|fault| fault["path"] == path), "{path}: {answer}");
    }
    let people = bench.local(&job, &[]).with(14).out;
    for path in paths {
        assert!(people.contains(&format!("\n  {path}: ")), "{path}: {people}");
    }
    assert!(!people.contains("stored"), "nobody expects results: {people}");
    assert!(bench.list("out").is_empty(), "{:?}", bench.list("out"));
    assert_eq!(bench.run(&["check", "job.json"]).with(14).out.lines().count(), 1 + faults.len());
}

#[test]
fn more_faults_than_a_record_holds_are_all_shown() {
    let bench = Bench::new();
    let mut job = document("sh $ALGO", "x");
    job["stages"][0]["input"] = (0..60).map(|n| json!({"id": format!("/{n}"), "url": "inline:a"})).collect();
    let answer = bench.local(&job, &["-o", "json"]).with(14).json();
    assert_eq!(answer["faults"].as_array().unwrap().len(), 60, "{answer}");
    assert!(answer["message"].as_str().unwrap().len() <= 1024);
}

#[test]
fn a_configuration_that_cannot_be_used_is_exit_three() {
    let bench = Bench::new();
    bench.write("site.toml", "[limits]\nmax_jobz = 1\n");
    bench.write("job.json", document("sh $ALGO", "echo ran").to_string());
    for command in ["local", "check"] {
        let ended = bench.run(&[command, "job.json", "--config", "site.toml", "-o", "json"]).with(3);
        let error = ended.json()["error"].as_str().unwrap().to_owned();
        for part in ["limits.max_jobz", "limits.max_jobs", "site.toml"] {
            assert!(error.contains(part) && ended.err.contains(part), "{part}: {error}\n{}", ended.err);
        }
    }
    assert!(bench.list("out").is_empty());
}

#[test]
fn a_command_line_that_cannot_be_understood_is_exit_two() {
    let bench = Bench::new();
    for line in [&["local"][..], &["local", "x", "--timeout", "soon"], &["local", "x", "--name", "A/b"], &["fly"], &[]]
    {
        let ended = bench.run(line).with(2);
        assert!(ended.out.is_empty() && !ended.err.is_empty(), "{ended:?}");
    }
}
