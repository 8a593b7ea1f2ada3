//! The project's files.

use super::tokens::{Code, code};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A file and its text.
#[derive(Debug, Clone)]
pub(crate) struct File {
    /// Below the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file that belongs to the project: what git tracks or would track, and without git what lies here.
pub(crate) fn texts() -> Vec<File> {
    let files: Vec<_> = listed().unwrap_or_else(walked).into_iter().filter_map(|path| read(&path)).collect();
    assert!(files.iter().any(|file| file.path == "src/lib.rs"), "the project's files were not found in {:?}", root());
    files
}

/// Every Rust file.
pub(crate) fn sources() -> Vec<File> {
    texts().into_iter().filter(|file| file.path.ends_with(".rs")).collect()
}

/// The program's own files with their code, without tests and the modules that only tests see.
pub(crate) fn program() -> Vec<(File, Code)> {
    let files = sources().into_iter().filter(|file| file.path.starts_with("src/"));
    let files: Vec<_> = files.map(|file| (code(&file.text), file)).collect();
    let only_tests: Vec<_> = files
        .iter()
        .flat_map(|(code, file)| {
            let folder = file.path.trim_end_matches(".rs").trim_end_matches("/lib").to_owned();
            code.test_modules.iter().map(move |module| format!("{folder}/{module}"))
        })
        .collect();
    let is_test = |path: &str| {
        let stem = path.trim_end_matches(".rs");
        only_tests
            .iter()
            .any(|test| stem.strip_prefix(test.as_str()).is_some_and(|r| r.is_empty() || r.starts_with('/')))
    };
    files.into_iter().filter(|(_, file)| !is_test(&file.path)).map(|(code, file)| (file, code)).collect()
}

fn read(path: &str) -> Option<File> {
    let bytes = fs::read(root().join(path)).ok()?;
    // What is not text has nothing to read: pictures, archives. A file that git tracks and that is deleted is no file.
    Some(File { path: path.to_owned(), text: String::from_utf8(bytes).ok()? })
}

fn listed() -> Option<BTreeSet<String>> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(arguments).current_dir(root()).output().ok()?;
    let names = String::from_utf8(output.stdout).ok()?;
    let names: BTreeSet<_> = names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    (output.status.success() && !names.is_empty()).then_some(names)
}

/// For a copy without git: everything but what programs make.
fn walked() -> BTreeSet<String> {
    let (mut found, mut folders) = (BTreeSet::new(), vec![PathBuf::new()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).into_iter().flatten().flatten() {
            let path = folder.join(entry.file_name());
            let made = matches!(path.to_str(), Some(".git" | "target" | "results"));
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !made => folders.push(path),
                Ok(kind) if kind.is_file() => found.extend(path.to_str().map(str::to_owned)),
                _ => {}
            }
        }
    }
    found
}

#[test]
fn a_copy_without_git_has_the_same_sources() {
    let sources = |names: BTreeSet<String>| -> Vec<String> {
        names.into_iter().filter(|name| name.starts_with("src/") && root().join(name).exists()).collect()
    };
    if let Some(listed) = listed() {
        assert_eq!(sources(walked()), sources(listed));
    }
    assert!(walked().contains("Cargo.toml"));
}

#[test]
fn modules_that_only_tests_see_are_not_the_program() {
    let program = program();
    assert!(program.iter().any(|(file, _)| file.path == "src/config.rs"));
    assert!(!program.iter().any(|(file, _)| file.path.starts_with("src/config/tests")));
}
