//! Help as people read it, and the configuration as it is without a file: what changes here changes for users.

use crate::bench::Bench;

fn said(line: &[&str]) -> String {
    let bench = Bench::new();
    bench.run(line).with(0).out
}

#[test]
fn help_teaches_what_the_program_is_and_does() {
    insta::assert_snapshot!("program", said(&["--help"]));
    insta::assert_snapshot!("local", said(&["local", "--help"]));
    insta::assert_snapshot!("check", said(&["check", "--help"]));
    insta::assert_snapshot!("sweep", said(&["sweep", "--help"]));
}

#[test]
fn every_command_has_help_and_no_line_is_too_long_for_a_terminal() {
    let commands = "run local check submit list show logs results stop delete sweep configure exec publish";
    let long = commands.split(' ').take(11).map(|command| vec![command, "--help"]);
    let short = commands.split(' ').map(|command| vec![command, "-h"]);
    for line in long.chain(short).chain([vec!["-h"], vec!["--help"]]) {
        let text = said(&line);
        assert!(text.contains("Usage: operator-engine"), "{line:?}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{line:?}: {text}");
        assert!(!text.contains('`'), "no markup in {line:?}: {text}");
    }
}

#[test]
fn check_shows_every_default_and_says_that_it_is_one() {
    let text = said(&["check"]);
    let mut lines = text.lines();
    assert_eq!(lines.next().unwrap().split_whitespace().collect::<Vec<_>>(), ["KEY", "VALUE", "SOURCE"]);
    assert!(lines.clone().count() > 50 && lines.all(|line| line.ends_with("  default")), "{text}");
}

#[test]
fn check_says_what_the_example_would_run() {
    let bench = Bench::new();
    bench.copy("penguins", "penguins");
    let text = bench.run(&["check", "penguins/workflow.yaml"]).with(0).out;
    for part in
        ["penguins/0  inline:penguins.csv", "inline:algorithm.py", "python:3.12-slim", "python3 $ALGO", "may run for"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
}
