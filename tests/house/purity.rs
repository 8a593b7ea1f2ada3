//! `plan`, `workflow` and what decides in `sweep`: they name nothing that acts, waits, or tells the time.

use super::{
    assert_none,
    tokens::{Token, code, paths},
    tree,
};

/// Whole libraries that have no business there, and parts of the standard one.
const OUTSIDE: &[&[&str]] = &[
    &["tokio"],
    &["tokio_util"],
    &["futures"],
    &["kube"],
    &["k8s_openapi"],
    &["object_store"],
    &["reqwest"],
    &["axum"],
    &["nix"],
    &["rand"],
    &["tracing"],
    &["std", "env"],
    &["std", "fs"],
    &["std", "io"],
    &["std", "net"],
    &["std", "os"],
    &["std", "process"],
    &["std", "thread"],
];

fn faults(path: &str, tokens: &[Token]) -> Vec<String> {
    let mut faults = Vec::new();
    for (line, parts) in paths(tokens) {
        let outside = OUTSIDE
            .iter()
            .any(|outside| parts.len() >= outside.len() && parts.iter().zip(*outside).all(|(a, b)| a == b));
        let clock = parts.iter().any(|part| matches!(part.as_str(), "SystemTime" | "Instant"))
            || (parts.len() > 1 && parts.last().is_some_and(|last| last == "now"));
        if outside || clock {
            let named = parts.join("::");
            faults.push(format!("{path}:{line}: {named} in the decision core; take what it tells as an argument"));
        }
    }
    faults
}

fn is_core(path: &str) -> bool {
    ["src/plan", "src/workflow", "src/sweep/decide", "src/sweep/memory", "src/sweep/clocks"]
        .iter()
        .any(|core| path.strip_prefix(core).is_some_and(|rest| rest.starts_with(['.', '/'])))
}

#[test]
fn the_decision_core_names_nothing_outside_of_it() {
    let program = tree::program();
    let core: Vec<_> = program.iter().filter(|(file, _)| is_core(&file.path)).collect();
    assert!(core.len() > 20, "the core was not found");
    assert_none(&core.iter().flat_map(|(file, code)| faults(&file.path, &code.tokens)).collect::<Vec<_>>());
}

/// Libraries that one place alone speaks to, so that another one could take theirs.
const ONLY_IN: &[(&str, &str)] = &[
    ("kube", "src/cluster/kube"),
    ("k8s_openapi", "src/cluster/"),
    ("prometheus_client", "src/http"),
    ("axum", "src/http"),
    ("indicatif", "src/cli/"),
    ("croner", "src/clock"),
    ("chrono", "src/clock"),
    ("tokio_cron_scheduler", "src/sweep/scheduled"),
];

fn out_of_place(path: &str, tokens: &[Token]) -> Vec<String> {
    let mut faults = Vec::new();
    for (line, parts) in paths(tokens).iter().filter(|(_, parts)| parts.len() > 1) {
        let rule = ONLY_IN.iter().find(|(library, place)| parts[0] == *library && !path.starts_with(place));
        if let Some((library, place)) = rule {
            faults.push(format!("{path}:{line}: {library} is spoken to in {place} alone"));
        }
    }
    faults
}

#[test]
fn each_library_is_spoken_to_in_its_own_place() {
    let program = tree::program();
    assert_none(&program.iter().flat_map(|(file, code)| out_of_place(&file.path, &code.tokens)).collect::<Vec<_>>());
}

#[test]
fn a_library_out_of_its_place_is_found() {
    let check = |path: &str, source: &str| out_of_place(path, &code(source).tokens).len();
    assert_eq!(check("src/supervisor.rs", "use kube::{Api, Client};"), 2);
    assert_eq!(check("src/plan.rs", "fn f(bar: indicatif::ProgressBar) {}"), 1);
    assert_eq!(check("src/cluster/kube/lists.rs", "use kube::Api; use k8s_openapi::api;"), 0);
    assert_eq!(check("src/cli/run.rs", "use crate::{cluster::kube::{Kube, connect}, http};"), 0);
}

#[test]
fn what_acts_or_tells_the_time_is_found_however_it_is_written() {
    let check = |source: &str| faults("src/plan.rs", &code(source).tokens).len();
    for bad in [
        "use tokio::time::sleep;",
        "use std::{collections::BTreeMap, fs};",
        "fn f() { std::env::var(\"x\"); }",
        "use std::time::{Duration, SystemTime};",
        "fn f() { jiff::Timestamp::now(); }",
        "use jiff::Timestamp as T; fn f() { T::now(); }",
        "fn f() { ::rand::random() }",
        "use std::time; fn f() { time::Instant::now(); }",
    ] {
        assert!(check(bad) > 0, "{bad}");
    }
    for good in [
        "use std::time::Duration; fn f(now: Now) { now.mono; plan.now(); }",
        "//! tokio::spawn and std::fs are not named here.\nfn f() { let text = \"Timestamp::now\"; }",
        "#[cfg(test)] mod tests { fn f() { std::fs::read(); } }",
    ] {
        assert_eq!(check(good), 0, "{good}");
    }
}
