//! Algorithms of the old kind, and of a kind that one does not want to meet.

use crate::bench::{Bench, document};

#[test]
fn an_entrypoint_may_be_a_pipeline_and_name_the_algorithm_twice() {
    let bench = Bench::new();
    let entrypoint = "wc -c < $ALGO && (cat $ALGO; echo) | tr a-z A-Z | tee $OUTPUTS/upper";
    let ended = bench.local(&document(entrypoint, "some text"), &["-o", "json"]).with(0);
    assert_eq!(ended.log(), "9\nSOME TEXT\n");
    assert_eq!(ended.file("outputs/upper"), "SOME TEXT\n");
    // The status is that of the pipeline's last program, as in any shell: not one of a `tee` around it.
    bench.local(&document("echo x | sh $ALGO", "exit 4"), &["-o", "json"]).with(10);
}

#[test]
fn the_seven_variables_are_there_and_the_engines_own_are_not() {
    let bench = Bench::new();
    bench.write("job.json", document("sh $ALGO", "env").to_string());
    let mut local = bench.program(&["local", "job.json", "-o", "json"]);
    local.env("AWS_SECRET_ACCESS_KEY", "s3cret").env("OPERATOR_ENGINE__LIMITS__CPUS", "2").env("ANY", "thing");
    let log = bench.end(local).with(0).log();
    for name in ["DIDS=[]", "TRANSFORMATION_DID=", "VOLUME=/", "LOGS=/", "INPUTS=/", "OUTPUTS=/", "secret="] {
        assert!(log.lines().any(|line| line.starts_with(name)), "{name}: {log}");
    }
    assert!(!log.contains("s3cret") && !log.contains("OPERATOR_ENGINE") && !log.contains("ANY"), "{log}");
}

#[test]
fn inputs_are_copies_that_an_algorithm_may_spoil() {
    // In a pod they are mounted read-only. Here they are the workflow's own copies: spoiling them spoils nothing else.
    let bench = Bench::new();
    bench.write("a.txt", "original");
    let mut job = document("sh $ALGO", "echo spoilt > $INPUTS/aa/0; cat $INPUTS/aa/0");
    job["stages"][0]["input"] = serde_json::json!([{"id": "aa", "url": "file:a.txt"}]);
    assert_eq!(bench.local(&job, &["-o", "json"]).with(0).log(), "spoilt\n");
    assert_eq!(std::fs::read_to_string(bench.path("a.txt")).unwrap(), "original");
}

#[test]
fn a_child_left_in_the_background_neither_delays_the_end_nor_outlives_it() {
    let bench = Bench::new();
    let ended = bench.shell("sleep 1000 & (setsid sleep 1000 &) ; echo done").with(0);
    assert_eq!(ended.log(), "done\n");
    assert!(ended.took.as_secs() < 10, "{:?}", ended.took);
    assert!(bench.processes().is_empty(), "{:#?}", bench.processes());
}

#[test]
fn a_log_beyond_its_cap_keeps_its_head_and_its_tail_and_says_so() {
    let bench = Bench::new();
    let script = "echo first; head -c 300000 /dev/zero | tr '\\0' x; echo; echo last";
    bench.write("job.json", document("sh $ALGO", script).to_string());
    let mut local = bench.program(&["local", "job.json", "-o", "json"]);
    local.env("OPERATOR_ENGINE__LIMITS__MAX_LOG", "64Ki");
    let log = bench.end(local).with(0).log();
    assert!(log.starts_with("first\nxxx") && log.ends_with("xxx\nlast\n"), "{} bytes", log.len());
    assert!(log.contains("bytes left out here; the limit is 65536]"), "it says what is missing");
    assert!((60_000..70_000).contains(&log.len()), "{} bytes", log.len());
}

#[test]
fn links_pipes_and_odd_names_are_refused_by_name_and_the_rest_is_stored() {
    let bench = Bench::new();
    let script = "cd $OUTPUTS; echo good > 'a b é %41 #1.csv'; ln -s /etc/passwd link; ln -s . loop; mkfifo pipe
        : > \"$(printf 'new\\nline')\"; : > \"$(printf 'esc\\033[31m')\"; mkdir -p empty/dir; ln a* hard
        python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"socket\")'";
    let ended = bench.local(&document("sh $ALGO", script), &["-o", "json", "--name", "wf"]).with(0);
    let outputs: Vec<_> = ended.paths().into_iter().filter(|path| path.starts_with("outputs")).collect();
    assert_eq!(outputs, ["outputs/a b é %41 #1.csv", "outputs/hard"]);
    assert_eq!(ended.file("outputs/a b é %41 #1.csv"), "good\n");
    let answer = ended.json();
    let refused = answer["refused"].as_array().unwrap();
    let names: Vec<_> = refused.iter().map(|refused| refused["path"].as_str().unwrap()).collect();
    let expected = [
        "outputs/esc\\u{1b}[31m",
        "outputs/link",
        "outputs/loop",
        "outputs/new\\nline",
        "outputs/pipe",
        "outputs/socket",
    ];
    assert_eq!(names, expected);
    assert!(refused.iter().all(|refused| !refused["reason"].as_str().unwrap().is_empty()));
    let manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(answer["manifest"].as_str().unwrap()).unwrap()).unwrap();
    assert_eq!(manifest["refused"], answer["refused"]);
    assert!(ended.file("adminlogs/publish.log").contains("refuse outputs/link: a symbolic link"));
}

#[test]
fn an_algorithm_cannot_lead_publish_out_of_its_folder() {
    let bench = Bench::new();
    bench.write("outside/secret.txt", "s3cret");
    let script = format!("rm -r $OUTPUTS $LOGS; ln -s {} $OUTPUTS; ln -s {0} $LOGS", bench.path("outside").display());
    let ended = bench.local(&document("sh $ALGO", &script), &["-o", "json", "--name", "wf"]);
    let stored = bench.command("grep").args(["-r", "s3cret", "out"]).output().unwrap();
    assert!(stored.stdout.is_empty(), "{}", String::from_utf8_lossy(&stored.stdout));
    assert!(ended.json()["outcome"].is_string(), "{ended:?}");
    assert_eq!(bench.list("outside"), ["secret.txt"], "nothing is written through the link, or removed");
}

#[test]
fn a_report_forged_by_the_algorithm_opens_no_gate() {
    let bench = Bench::new();
    let script = r#"echo '{"exitCode":0,"signal":null,"timedOut":false,"stopped":false,"error":null,"wallMs":1,"cpuMs":1,
        "peakMemoryBytes":1,"logBytes":0,"logDroppedBytes":0}' > $VOLUME/../pods/*-algorithm-0.termination; exit 5"#;
    let answer = bench.shell(script).with(10).json();
    assert_eq!(answer["exitCode"], 5);
}

#[test]
fn much_output_and_many_files_are_no_problem() {
    let bench = Bench::new();
    let script = "i=0; while [ $i -lt 400 ]; do echo $i > $OUTPUTS/$i; i=$((i+1)); done";
    let ended = bench.local(&document("sh $ALGO", script), &[]).with(0);
    assert!(ended.out.contains("and 370 more files") && ended.out.lines().count() < 50, "{}", ended.out);
}
