//! `--out`, `--name`, `--keep`, and runs beside one another.

use crate::bench::{Bench, document};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt as _};

fn hello() -> Value {
    document("sh $ALGO", "echo hello > $OUTPUTS/hello")
}

#[test]
fn a_kept_work_folder_has_inputs_outputs_logs_and_what_each_stage_printed() {
    let bench = Bench::new();
    bench.write("a.txt", "data");
    let mut job = hello();
    job["stages"][0]["input"] = json!([{"id": "aa", "url": "inline:a.txt"}]);
    let answer = bench.local(&job, &["-o", "json", "--keep", "--name", "wf"]).with(0).json();
    let work = bench.path("out/.work/wf").canonicalize().unwrap();
    assert_eq!(answer["work"], work.to_str().unwrap());
    let read = |path: &str| fs::read_to_string(work.join(path)).unwrap();
    assert_eq!((read("data/inputs/aa/0"), read("data/outputs/hello")), ("data".to_owned(), "hello\n".to_owned()));
    assert!(read("pods/wf-configure-0.log").contains("inline:a.txt"));
    assert!(read("pods/wf-publish-0.log").contains("published wf/manifest.json"));
    assert!(read("data/logs/algorithm.log").is_empty() && read("pods/wf-algorithm-0.log").is_empty());
}

#[test]
fn a_job_id_that_has_results_is_not_run_again() {
    let bench = Bench::new();
    let line = ["-o", "json", "--name", "wf"];
    bench.local(&hello(), &line).with(0);
    let ended = bench.local(&document("sh $ALGO", "echo again > $OUTPUTS/hello"), &line).with(1);
    let error = ended.json()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("results of wf already") && error.contains("--name"), "{error}");
    assert_eq!(fs::read_to_string(bench.path("out/wf/data/outputs/hello")).unwrap(), "hello\n");
    assert_eq!(bench.list("out"), ["wf"]);
}

#[test]
fn of_two_runs_with_one_job_id_one_is_told() {
    let bench = Bench::new();
    let mut first = bench
        .start(&document("sh $ALGO", "echo ready; while ! [ -e $LOGS/go ]; do sleep 0.02; done"), &["--name", "wf"]);
    first.until("| ready");
    let ended = bench.local(&hello(), &["--name", "wf"]).with(1);
    assert!(ended.err.contains("work folder of wf") && ended.err.contains("--name"), "{}", ended.err);
    bench.write("out/.work/wf/data/logs/go", "");
    first.end().with(0);
    assert_eq!(bench.list("out"), ["wf"]);
}

#[test]
fn runs_beside_one_another_share_a_results_folder() {
    let bench = Bench::new();
    let runs: Vec<_> = (0..4).map(|_| bench.start(&hello(), &["-o", "json"])).collect();
    for run in runs {
        assert_eq!(run.end().with(0).file("outputs/hello"), "hello\n");
    }
    assert_eq!(bench.list("out").len(), 4, "each has its own folder and nothing else is left: {:?}", bench.list("out"));
}

#[test]
fn results_may_go_to_a_path_with_blanks_and_worse() {
    let bench = Bench::new();
    bench.write("my flows/it's \"one\" $HOME/workflow.json", hello().to_string());
    let line = ["local", "my flows/it's \"one\" $HOME/workflow.json", "--out", "a b/'c' $d/é;#", "-o", "json"];
    let ended = bench.run(&line).with(0);
    assert_eq!(ended.file("outputs/hello"), "hello\n");
    assert!(ended.json()["job"].as_str().unwrap().starts_with("it-s-one-home-"), "{}", ended.out);
}

#[test]
fn a_results_folder_that_is_a_file_is_named() {
    let bench = Bench::new();
    bench.write("file", "x");
    for out in ["file", "file/below"] {
        bench.write("job.json", hello().to_string());
        let ended = bench.run(&["local", "job.json", "--out", out, "-o", "json"]).with(1);
        let error = ended.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(out) && error.contains("--out"), "{error}");
    }
}

#[test]
fn results_that_cannot_be_stored_are_not_lost() {
    let bench = Bench::new();
    // A file lies where the results are to go, by the time they are there.
    let script = "echo precious > $OUTPUTS/result; : > $VOLUME/../../../wf";
    let ended = bench.local(&document("sh $ALGO", script), &["-o", "json", "--name", "wf"]).with(10);
    let answer = ended.json();
    assert_eq!((&answer["outcome"], &answer["reason"]), (&json!("failed"), &json!("PublishFailed")));
    let work = answer["work"].as_str().unwrap();
    assert_eq!(fs::read_to_string(format!("{work}/data/outputs/result")).unwrap(), "precious\n");
    let people = bench.local(&document("sh $ALGO", script), &["--name", "wf2"]);
    assert!(people.code == Some(0) || people.out.contains("work folder kept in"), "{people:?}");
}

#[test]
fn folders_that_nobody_may_write_do_not_keep_the_work_folder_alive() {
    let bench = Bench::new();
    let ended =
        bench.shell("mkdir -p $OUTPUTS/a/b; echo x > $OUTPUTS/a/b/c; chmod 500 $OUTPUTS/a/b $OUTPUTS/a").with(0);
    assert_eq!(ended.file("outputs/a/b/c"), "x\n");
    assert_eq!(bench.list("out").len(), 1, "{:?}", bench.list("out"));
    let mode = fs::metadata(ended.json()["manifest"].as_str().unwrap()).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0, "a manifest is no program");
}
