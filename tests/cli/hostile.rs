//! Documents that nobody writes by accident: refused with a reason, quickly, and without a panic.

use crate::bench::{Bench, document};
use std::{fmt::Write as _, time::Duration};

/// A YAML document around `value`.
fn around(value: &str) -> String {
    format!(
        "stages:\n- algorithm:\n    rawcode: x\n    algocustomdata: {value}\n    container: {{image: a, tag: b, entrypoint: c}}\n"
    )
}

fn alias_bomb() -> String {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let _ = writeln!(text, "a{n}: &a{n} [{}]", vec![format!("*a{}", n - 1); 10].join(", "));
    }
    text + &around("*a11")
}

/// A file, its bytes, and a part of the reason.
type Hostile = (&'static str, Vec<u8>, &'static str);

/// What costs a parser most.
fn bombs() -> Vec<Hostile> {
    vec![
        ("deep.yaml", around(&"[".repeat(100_000)).into_bytes(), "limit"),
        ("deep.json", format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000)).into_bytes(), "levels"),
        ("million.yaml", around(&format!("[{}0]", "0,".repeat(1_000_000))).into_bytes(), "1048576"),
        ("many.yaml", around(&format!("[{}0]", "0,".repeat(500_000))).into_bytes(), "values"),
        ("aliases.yaml", alias_bomb().into_bytes(), "a"),
    ]
}

fn oddities() -> Vec<Hostile> {
    let valid = document("sh $ALGO", "echo ran").to_string();
    let with_id = |id: &str| {
        let input = format!("{{\"input\": [{{\"id\": {id:?}, \"url\": \"inline:a\"}}], \"algorithm\"");
        valid.replacen("{\"algorithm\"", &input, 1).into_bytes()
    };
    vec![
        ("latin1.json", [valid.as_bytes(), b"\xe9\xff"].concat(), "UTF-8"),
        ("parent.json", with_id(".."), "stages[0].input[0].id"),
        ("slash.json", with_id("did:op:../../etc"), "stages[0].input[0].id"),
        (
            "twice.json",
            valid.replacen("\"entrypoint\"", "\"image\":\"b\",\"entrypoint\"", 1).into_bytes(),
            "more than once",
        ),
        ("empty.yaml", Vec::new(), "empty"),
        ("blank.yaml", b" \n\n".to_vec(), "empty"),
        ("nothing.json", b"{}".to_vec(), "stages"),
        ("list.json", b"[]".to_vec(), "mapping"),
        ("text.yaml", b"just text".to_vec(), "mapping"),
        ("nan.yaml", around(".nan").into_bytes(), "finite"),
        ("large.json", format!("{valid}{}", " ".repeat(5 << 20)).into_bytes(), "4 MiB"),
        ("zeros", vec![0; 4096], "YAML"),
    ]
}

fn assert_refused(command: &str, documents: Vec<Hostile>) {
    let bench = Bench::new();
    for (name, bytes, reason) in documents {
        bench.write(name, bytes);
        let ended = bench.run(&[command, name]).with(14);
        let said = format!("{}{}", ended.out, ended.err);
        assert!(said.contains(reason), "{command} {name}: {said}");
        assert!(said.len() < 20_000, "{command} {name} says {} bytes", said.len());
        // Without optimisation, beside other tests.
        assert!(ended.took < Duration::from_secs(20), "{command} {name} took {:?}", ended.took);
    }
    assert!(bench.list("results").is_empty(), "nothing is left: {:?}", bench.list("results"));
}

#[test]
fn bombs_are_refused_by_check() {
    assert_refused("check", bombs());
}

#[test]
fn bombs_are_refused_by_local() {
    assert_refused("local", bombs());
}

#[test]
fn oddities_are_refused_by_check() {
    assert_refused("check", oddities());
}

#[test]
fn oddities_are_refused_by_local() {
    assert_refused("local", oddities());
}

#[test]
fn what_is_no_file_is_refused_with_advice() {
    let bench = Bench::new();
    bench.write("flow/notes.txt", "x");
    for command in ["check", "local"] {
        let ended = bench.run(&[command, "flow"]).with(14);
        assert!(ended.err.contains("the folder flow has neither workflow.yaml nor workflow.json"), "{}", ended.err);
        let ended = bench.run(&[command, "no/such/file"]).with(14);
        assert!(ended.err.contains("no/such/file") && ended.err.contains("o such file"), "{}", ended.err);
        let ended = bench.run(&[command, "/dev/zero"]).with(14);
        assert!(ended.err.contains("4 MiB"), "{}", ended.err);
    }
}

#[test]
fn a_manifest_of_something_else_is_refused() {
    let bench = Bench::new();
    bench.write("pod.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n");
    let ended = bench.run(&["local", "pod.yaml"]).with(14);
    assert!(ended.err.contains("ConfigMap"), "{}", ended.err);
}
