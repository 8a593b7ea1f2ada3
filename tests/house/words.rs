//! What belongs to one machine or one workplace and not into a project.

use super::{assert_none, tree};

/// Where things lie on somebody's machine.
const PLACES: &[&str] = &["/work/", "/root/", "/home/", "/Users/", "/mnt/data/", ".cargo/registry"];

/// Settings that send a package manager to somebody's mirror.
const MIRRORS: &[&str] = &["replace-with", "index-url", "GOPROXY=", "artifactory", "nexus."];

/// Words of a workplace, not of this program. "Session", "agent" and "prompt" have honest uses and are not here.
const WORKPLACE: &[&str] = &[
    "subagent",
    "sub-agent",
    "worktree",
    "chatgpt",
    "claude",
    "anthropic",
    "language model",
    "context window",
    "the brief",
    "handover",
    "the seed's",
    "seed protocol",
    "seed-contract",
    "rust-deps",
    "anchors-style",
    "design.md",
    "style.md",
    "faults.md",
];

/// This file has to name what it looks for.
const SELF: &str = "tests/house/words.rs";

fn faults(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let lower = line.to_lowercase();
        let mut fault = |what: &str, why: &str| faults.push(format!("{path}:{}: {what:?} {why}", number + 1));
        for place in PLACES.iter().filter(|place| begins_a_path(line, place)) {
            fault(place, "is a place on one machine");
        }
        for mirror in MIRRORS.iter().filter(|mirror| line.contains(*mirror)) {
            fault(mirror, "is a setting of one network");
        }
        for word in WORKPLACE.iter().filter(|word| stands_alone(&lower, word)) {
            fault(word, "is a word of a workplace");
        }
    }
    faults
}

/// Whether `place` stands in the line where a path begins, and not within another one or a URL.
fn begins_a_path(line: &str, place: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | '*' | '…');
    line.match_indices(place)
        .any(|(at, _)| !place.starts_with('/') || !line.get(..at).unwrap_or_default().ends_with(inside))
}

fn stands_alone(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (line.get(..at), line.get(at + word.len()..));
        !before.unwrap_or_default().ends_with(char::is_alphanumeric)
            && !after.unwrap_or_default().starts_with(char::is_alphanumeric)
    })
}

/// Every package of the lock file comes from the public registry.
fn foreign_sources(lock: &str) -> Vec<String> {
    let sources = lock.lines().filter_map(|line| line.strip_prefix("source = "));
    let foreign = sources.filter(|source| *source != "\"registry+https://github.com/rust-lang/crates.io-index\"");
    foreign.map(|source| format!("Cargo.lock: a package comes from {source}")).collect()
}

#[test]
fn no_file_names_a_machine_or_a_workplace() {
    let files = tree::texts();
    let ours = files.iter().filter(|file| file.path != SELF);
    assert_none(&ours.flat_map(|file| faults(&file.path, &file.text)).collect::<Vec<_>>());
}

#[test]
fn every_package_comes_from_the_public_registry() {
    let files = tree::texts();
    let lock = files.iter().find(|file| file.path == "Cargo.lock").expect("Cargo.lock is part of the project");
    assert_none(&foreign_sources(&lock.text));
}

#[test]
fn places_mirrors_and_workplace_words_are_found() {
    for bad in [
        "see /work/x",
        "cd \"/home/ann\"",
        "PATH=/root/bin",
        "pip --index-url=x",
        "as Claude said",
        "in its worktree",
        "the seed's array",
    ] {
        assert_eq!(faults("a", bad).len(), 1, "{bad}");
    }
    for good in
        ["results/.work/x", "https://example.org/home/x", "the session token", "User-Agent", "seedling", "/data/work/x"]
    {
        assert_eq!(faults("a", good), Vec::<String>::new(), "{good}");
    }
    assert_eq!(foreign_sources("source = \"registry+https://mirror.example/index\"\n").len(), 1);
    assert_eq!(foreign_sources("source = \"git+https://github.com/a/b#c\"\n").len(), 1);
    assert_eq!(foreign_sources("source = \"registry+https://github.com/rust-lang/crates.io-index\"\n").len(), 0);
}
