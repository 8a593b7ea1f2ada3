//! Documents of several stages, with real processes.

use crate::bench::{Bench, document};
use serde_json::{Value, json};

/// Two stages: what the first puts out is the second's input.
fn two(first: &str, second: &str) -> Value {
    let mut job = document("sh $ALGO", first);
    let mut next = document("sh $ALGO", second)["stages"][0].take();
    next["input"] = json!([{"id": "before", "previousStage": true}]);
    job["stages"].as_array_mut().unwrap().push(next);
    job
}

#[test]
fn the_second_stage_reads_what_the_first_put_out_and_both_are_stored() {
    let bench = Bench::new();
    let first = "mkdir $OUTPUTS/deep; echo 6 > $OUTPUTS/deep/number; ln -s /etc/passwd $OUTPUTS/link; \
                 mkfifo $OUTPUTS/fifo; printf x > $OUTPUTS/.number.part; chmod 600 $OUTPUTS/.number.part";
    let second = "echo $(( 7 * $(cat $INPUTS/before/deep/number) )) > $OUTPUTS/answer; echo $DIDS; \
                  cd $INPUTS/before && find . -type f | sort; find . ! -type d ! -type f; ls $LOGS; ls $OUTPUTS";
    let ended = bench.local(&two(first, second), &["-o", "json", "--name", "wf", "--keep"]).with(0);
    let answer = ended.json();
    assert_eq!(ended.file("outputs/answer"), "42\n");
    assert_eq!(ended.log(), "[\"before\"]\n./.number.part\n./deep/number\nalgorithm.log\nanswer\n");
    assert!(answer["directory"].as_str().unwrap().ends_with("/wf_1"), "{answer}");
    let before = answer["earlier"][0].as_str().unwrap();
    assert!(before.ends_with("/wf"), "{answer}");
    assert_eq!(std::fs::read_to_string(format!("{before}/data/outputs/deep/number")).unwrap(), "6\n");

    let manifest = |folder: &str| -> Value {
        serde_json::from_slice(&std::fs::read(format!("{folder}/manifest.json")).unwrap()).unwrap()
    };
    let (one, other) = (manifest(before), manifest(answer["directory"].as_str().unwrap()));
    assert_eq!((&one["job"], &one["stage"]), (&json!("wf"), &Value::Null));
    assert_eq!((&other["job"], &other["stage"]), (&json!("wf"), &json!(1)));
    let given = |path: &str| other["inputs"].as_array().unwrap().iter().find(|input| input["path"] == path).cloned();
    let stored = one["files"].as_array().unwrap().iter().find(|file| file["path"] == "outputs/deep/number").unwrap();
    assert_eq!(given("inputs/before/deep/number").unwrap()["sha256"], stored["sha256"], "what was stored was given");
    for (stage, line) in [("0", "configure"), ("1", "publish")] {
        assert!(ended.err.contains(&format!("[{stage}] {line}")), "{}", ended.err);
    }
    let log =
        std::fs::read_to_string(format!("{}/data/adminlogs/configure.log", answer["directory"].as_str().unwrap()));
    assert!(log.unwrap().contains("left out \"link\": not a regular file"));
}

#[test]
fn what_one_stage_let_out_another_may_hand_on_and_what_it_did_not_reaches_none() {
    // A name that no store takes, and a line before the data, so that it is no copy.
    let hide = "touch $OUTPUTS/good; (echo; cat $INPUTS/aa/0) > \"$OUTPUTS/$(printf 'a\\tb')\"";
    let cases = [
        ("wc -l < $INPUTS/aa/0 > $OUTPUTS/good", "cp $INPUTS/before/* $OUTPUTS; ls $OUTPUTS", 0),
        (hide, "cp $INPUTS/before/* $OUTPUTS; ls $OUTPUTS", 0),
        ("cat $INPUTS/aa/0 > $OUTPUTS/good", "ls $INPUTS/before", 13),
    ];
    for (first, second, code) in cases {
        let bench = Bench::new();
        bench.write("data", "1,2,3\n4,5,6\n".repeat(200));
        let mut job = two(first, second);
        job["stages"][0]["input"] = json!([{"id": "aa", "url": "file:data"}]);
        bench.write("job.json", job.to_string());
        let mut local = bench.program(&["local", "job.json", "--out", "out", "--name", "wf", "-o", "json"]);
        local.env("OPERATOR_ENGINE__LEAKS__REFUSE_COPIES", "true");
        let ended = bench.end(local).with(code);
        if code == 0 {
            assert_eq!(ended.log(), "good\n", "{first}");
        } else {
            assert_eq!(
                (bench.list("out"), bench.list("out/wf/data")),
                (vec!["wf".to_owned()], vec!["adminlogs".to_owned()])
            );
        }
    }
}

#[test]
fn results_are_those_of_the_stage_that_is_asked_for() {
    let bench = Bench::new();
    bench.local(&two("echo one > $OUTPUTS/a", "echo two > $OUTPUTS/b"), &["--name", "wf"]).with(0);
    for (line, path) in [(&["--stage", "1"][..], "outputs/b"), (&["--stage", "0"], "outputs/a"), (&[], "outputs/a")] {
        let line = [&["results", "wf", "--from", "out", "-o", "json"], line].concat();
        assert_eq!(bench.run(&line).with(0).json()["files"][0]["path"], path, "{line:?}");
    }
    let verified = bench.run(&["results", "wf", "--from", "out", "--stage", "1", "--verify", "-o", "json"]).with(0);
    assert_eq!(verified.json()["verified"], json!(true));
    bench.run(&["results", "wf", "--from", "out", "--stage", "1", "--to", "down"]).with(0);
    assert_eq!(std::fs::read_to_string(bench.path("down/wf_1/data/outputs/b")).unwrap(), "two\n");
    // One stage's results do not pass for another's.
    std::fs::rename(bench.path("out/wf_1"), bench.path("out/wf_2")).unwrap();
    let ended = bench.run(&["results", "wf", "--from", "out", "--stage", "2"]).with(8);
    assert!(ended.err.contains("wf_1"), "{}", ended.err);
}

#[test]
fn a_stage_that_fails_is_the_last_and_says_which_it_was() {
    let bench = Bench::new();
    let ended = bench.local(&two("exit 3", "echo ran > $OUTPUTS/x"), &["-o", "json", "--name", "wf"]).with(10);
    let answer = ended.json();
    assert!(
        answer["message"].as_str().unwrap().starts_with("stages[0]: the algorithm ended with exit code 3"),
        "{answer}"
    );
    assert_eq!(bench.list("out"), ["wf"]);
}

#[test]
fn check_tells_every_stage() {
    let bench = Bench::new();
    bench.write("job.json", two("first", "second").to_string());
    let table = bench.run(&["check", "job.json"]).with(0).out;
    for part in ["stages[1]", "before/  the outputs of stages[0]"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let answer = bench.run(&["check", "job.json", "-o", "json"]).with(0).json();
    assert_eq!(answer["later"][0]["inputs"][0]["from"][0], "the outputs of stages[0]", "{answer}");
    let mut wrong = two("first", "second");
    wrong["stages"][0]["input"] = json!([{"previousStage": true}]);
    bench.write("job.json", wrong.to_string());
    let faults = bench.run(&["check", "job.json"]).with(14).out;
    assert!(faults.contains("stages[0].input[0].previousStage: "), "{faults}");
}
