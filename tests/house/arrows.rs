//! Arrows only go down: who may name whom among the top-level modules.

use super::{
    assert_none,
    tokens::{Token, code, paths},
    tree,
};

/// From top to bottom. A module may name modules of lower layers, and none of its own layer or above.
///
/// `pod` lies below `cluster`: what runs inside pods never talks to the cluster, and it is `cluster` that writes the command
/// lines which `pod` reads.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["supervisor", "sandbox", "sweep", "notify", "announce", "http", "config", "telemetry"],
    &["cluster"],
    &["pod"],
    &["storage", "clock", "exit"],
    &["ethereum"],
    &["plan"],
    &["workflow"],
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// The faults of a file at `path`, `src/a/b.rs`.
fn faults(path: &str, tokens: &[Token]) -> Vec<String> {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs");
    let (module, depth) = (inside.split('/').next().unwrap_or_default(), inside.split('/').count());
    if module == "lib" {
        return Vec::new();
    }
    let Some(own) = layer(module) else {
        return vec![format!("{path}: the module {module} has no layer; give it one in {}", file!())];
    };
    let mut faults = Vec::new();
    for (line, parts) in paths(tokens) {
        let ups = parts.iter().take_while(|part| *part == "super").count();
        let named = match parts.first().map(String::as_str) {
            Some("crate" | "operator_engine") => parts.get(1),
            Some("super") if ups == depth => parts.get(ups).filter(|name| layer(name).is_some()),
            _ => None,
        };
        let Some(named) = named.filter(|named| *named != module) else { continue };
        let problem = match layer(named) {
            Some(other) if other > own => continue,
            Some(other) if other == own => "is of its own layer",
            Some(_) => "lies above it",
            None => "has no layer",
        };
        faults.push(format!("{path}:{line}: {module} names {named}, which {problem}; move what both need down"));
    }
    faults
}

#[test]
fn arrows_only_go_down() {
    let program = tree::program();
    assert_none(&program.iter().flat_map(|(file, code)| faults(&file.path, &code.tokens)).collect::<Vec<_>>());
}

#[test]
fn an_arrow_up_or_sideways_is_found_however_it_is_written() {
    let check = |path: &str, source: &str| faults(path, &code(source).tokens).len();
    assert_eq!(check("src/plan/lease.rs", "use crate::{workflow::Stage, cluster::Cluster};"), 1);
    assert_eq!(check("src/plan/lease.rs", "fn f() { crate::supervisor::act() }"), 1);
    assert_eq!(check("src/plan/lease.rs", "use super::super::cluster::Cluster;"), 1);
    assert_eq!(check("src/workflow.rs", "use super::plan::Plan;"), 1);
    assert_eq!(check("src/sandbox.rs", "use crate::supervisor::Supervisor;"), 1);
    assert_eq!(check("src/pod/publish.rs", "use crate::cluster::Cluster;"), 1);
    assert_eq!(check("src/unheard_of.rs", ""), 1);
    assert_eq!(check("src/main.rs", "use operator_engine::cli::run;"), 0);
    assert_eq!(
        check("src/plan/lease.rs", "use crate::workflow::Stage; use crate::plan::View; use super::view::View;"),
        0
    );
    assert_eq!(check("src/plan/lease.rs", "// use crate::cluster\n#[cfg(test)] mod tests { use crate::cluster; }"), 0);
}
