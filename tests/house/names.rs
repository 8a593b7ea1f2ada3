//! Names, headers and lengths of files.

use super::{
    assert_none,
    tokens::{Code, code},
    tree,
};

/// Names that say nothing, and so collect everything.
const VAGUE: &[&str] =
    &["base", "common", "core", "helper", "helpers", "manager", "misc", "shared", "stuff", "types", "util", "utils"];

/// The most lines of a file, tests not counted: what one person holds in mind at once, with some room.
const MAX_LINES: usize = 300;

fn vague(path: &str) -> Option<String> {
    let stem = path.trim_end_matches(".rs");
    let part = stem.split('/').find(|part| VAGUE.contains(part))?;
    Some(format!("{path}: \"{part}\" says nothing; name it for the one idea in it"))
}

fn headless(path: &str, text: &str) -> Option<String> {
    let first = text.lines().next().unwrap_or_default();
    let words = first.strip_prefix("//!").map_or(0, |header| header.split_whitespace().count());
    (words < 2).then(|| format!("{path}: begin it with a `//!` that says what it is for"))
}

/// Lines without those of tests.
fn lines(text: &str, code: &Code) -> usize {
    text.lines().count().saturating_sub(code.test_lines)
}

fn long(path: &str, lines: usize) -> Option<String> {
    (lines > MAX_LINES).then(|| format!("{path}: {lines} lines without its tests, {MAX_LINES} at most; make two of it"))
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    assert_none(&tree::sources().iter().filter_map(|file| vague(&file.path)).collect::<Vec<_>>());
}

#[test]
fn every_file_says_what_it_is_for() {
    assert_none(&tree::sources().iter().filter_map(|file| headless(&file.path, &file.text)).collect::<Vec<_>>());
}

#[test]
fn no_file_is_longer_than_one_idea() {
    let program = tree::program();
    assert_none(
        &program.iter().filter_map(|(file, code)| long(&file.path, lines(&file.text, code))).collect::<Vec<_>>(),
    );
}

#[test]
fn vague_names_missing_headers_and_long_files_are_found() {
    assert!(vague("src/plan/utils.rs").is_some() && vague("src/common/lease.rs").is_some());
    assert!(vague("src/plan/lease.rs").is_none() && vague("src/commonwealth.rs").is_none());
    assert!(headless("a.rs", "use std::fs;\n").is_some() && headless("a.rs", "//! a\n").is_some());
    assert!(headless("a.rs", "").is_some() && headless("a.rs", "//! What it is for.\n").is_none());
    assert!(long("a.rs", MAX_LINES).is_none() && long("a.rs", MAX_LINES + 1).is_some());
    let text = "fn f() {}\n#[cfg(test)]\nmod tests {\n    fn g() {}\n}\n";
    assert_eq!(lines(text, &code(text)), 1);
}
