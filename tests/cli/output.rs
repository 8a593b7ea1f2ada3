//! What is said, where, and to whom: people, terminals, programs.

use crate::bench::{Bench, PROGRAM, document};
use serde_json::json;

#[test]
fn without_a_terminal_each_stage_has_one_line_at_its_begin_and_one_at_its_end() {
    let bench = Bench::new();
    let ended = bench.local(&document("sh $ALGO", "echo one; echo two"), &[]).with(0);
    for stage in ["configure", "algorithm", "publish  "] {
        for what in ["begins", "ended after"] {
            let lines = ended.err.lines().filter(|line| line.starts_with(&format!("{stage} {what}"))).count();
            assert_eq!(lines, 1, "{stage} {what}: {}", ended.err);
        }
    }
    assert!(ended.err.contains("\nalgorithm | one\nalgorithm | two\n"), "{}", ended.err);
    assert!(!ended.err.contains('\u{1b}'), "no terminal, no escapes: {:?}", ended.err);
    assert!(ended.err.contains("not in its container image"), "people are told that the image is not used");
}

#[test]
fn on_a_terminal_the_stage_in_hand_is_a_live_line() {
    let bench = Bench::new();
    bench.write("job.json", document("sh $ALGO", "echo one; sleep 0.4").to_string());
    let mut script = bench.command("script");
    let line = format!("stty cols 100; exec {PROGRAM} local job.json --out out");
    script.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").env("SHELL", "/bin/sh");
    let ended = bench.end(script).with(0);
    assert!(!ended.out.contains("begins"), "{:?}", ended.out);
    let live = ended.out.split('\r').filter(|line| line.contains("algorithm   0s")).count();
    assert!(live >= 2, "it moves: {:?}", ended.out);
    assert!(ended.out.contains("algorithm | one\r\n"), "{:?}", ended.out);
    assert!(ended.out.contains("algorithm ended after") && ended.out.contains("results in "), "{:?}", ended.out);
}

#[test]
fn people_get_a_summary_that_names_files_sizes_and_places() {
    let bench = Bench::new();
    let script = "echo hello > $OUTPUTS/a; mkdir $OUTPUTS/b; head -c 123456 /dev/zero > $OUTPUTS/b/zeros; ln -s /etc/passwd $OUTPUTS/link";
    let ended = bench.local(&document("sh $ALGO", script), &["--name", "wf"]).with(0);
    let out = bench.path("out").canonicalize().unwrap();
    let text = ended.out.replace(out.to_str().unwrap(), "OUT");
    let measured = |line: &str| match line.split_once("ran for") {
        Some((before, _)) => format!("{before}ran for …"),
        // The log of configure has times in it.
        None if line.contains("configure.log") => line.replace(|c: char| c.is_ascii_digit(), "9"),
        None => line.to_owned(),
    };
    insta::assert_snapshot!("summary", text.lines().map(measured).collect::<Vec<_>>().join("\n"));
}

#[test]
fn standard_output_is_one_json_document_in_every_outcome() {
    let bench = Bench::new();
    let script = |text| document("sh $ALGO", text).to_string();
    bench.write("good.json", script("echo said")).write("bad.json", script("exit 3"));
    bench.write("slow.json", script("exec sleep 1000")).write("refused.json", "{}").write("broken.json", b"\xff");
    bench.write("site.toml", "nonsense = 1");
    for (code, line) in [
        (0, &["local", "good.json"][..]),
        (10, &["local", "bad.json"]),
        (12, &["local", "slow.json", "--timeout", "200ms"]),
        (14, &["local", "refused.json"]),
        (14, &["local", "broken.json"]),
        (14, &["local", "missing.json"]),
        (3, &["local", "good.json", "--config", "site.toml"]),
        (1, &["local", "good.json", "--out", "good.json"]),
        (0, &["check"]),
        (0, &["check", "good.json"]),
        (14, &["check", "refused.json"]),
        (14, &["check", "broken.json"]),
        (3, &["check", "--config", "site.toml"]),
    ] {
        let ended = bench.run(&[line, &["-o", "json"]].concat()).with(code);
        let answer = ended.json();
        if code == 14 && line[0] == "local" {
            assert_eq!(answer["outcome"], "refused", "{line:?}");
        }
        assert!(answer.get("error").is_none_or(|error| ended.err.contains(error.as_str().unwrap())), "{ended:?}");
    }
}

#[test]
fn what_an_algorithm_prints_cannot_take_over_the_terminal() {
    let bench = Bench::new();
    let script = r#"printf '\033[2J\033]0;title\007red\r\nnul\0\x9b1m\n\377\376 binary\n'; echo after"#;
    let ended = bench.local(&document("sh $ALGO", script), &["-o", "json"]).with(0);
    let algorithm: Vec<_> = ended.err.lines().filter(|line| line.starts_with("algorithm | ")).collect();
    assert!(algorithm.iter().all(|line| !line.contains(char::is_control)), "{algorithm:?}");
    assert_eq!(algorithm.last(), Some(&"algorithm | after"), "the rest is still shown");
    let log =
        std::fs::read(format!("{}/data/logs/algorithm.log", ended.json()["directory"].as_str().unwrap())).unwrap();
    assert!(log.starts_with(b"\x1b[2J\x1b]0;title\x07red\r\nnul\0"), "the log has what was printed");
}

#[test]
fn a_flood_of_lines_is_cut_on_the_terminal_and_whole_in_the_log() {
    let bench = Bench::new();
    let ended = bench.shell("i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done").with(0);
    assert!(ended.err.contains("the rest is in the log") && !ended.err.contains("line 2999"), "{}", ended.err.len());
    assert_eq!(ended.log().lines().count(), 3000);
}

#[test]
fn a_line_without_an_end_is_shown_too() {
    let bench = Bench::new();
    let ended = bench.shell("printf 'whole\nno end'").with(0);
    assert!(ended.err.contains("algorithm | whole\nalgorithm | no end\n"), "{}", ended.err);
}

#[test]
fn the_engine_says_nothing_of_its_own_unless_asked() {
    let bench = Bench::new();
    let quiet = bench.local(&document("sh $ALGO", "true"), &["-o", "json"]).with(0);
    assert!(
        quiet
            .err
            .lines()
            .all(|line| ["job-", "configure", "algorithm", "publish"].iter().any(|stage| line.starts_with(stage))),
        "{}",
        quiet.err
    );
    let verbose = bench.local(&document("sh $ALGO", "true"), &["-o", "json", "-v"]).with(0);
    assert!(verbose.err.contains("INFO"), "{}", verbose.err);
    assert_eq!(verbose.json()["outcome"], json!("succeeded"));
}
