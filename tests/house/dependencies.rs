//! Every dependency says why it is there.

use super::{assert_none, tree};

fn faults(manifest: &str) -> Vec<String> {
    let (mut section, mut faults, mut seen) = ("", Vec::new(), 0);
    for (number, line) in manifest.lines().enumerate() {
        let mut fault = |what: &str| faults.push(format!("Cargo.toml:{}: {what}", number + 1));
        if let Some(name) = line.trim().strip_prefix('[') {
            section = name.trim_end_matches(']');
            if section.contains("dependencies.") {
                fault("a dependency with a section of its own has no room for its reason; write it on one line");
            }
            continue;
        }
        if !section.ends_with("dependencies") || line.trim().is_empty() || line.trim().starts_with('#') {
            continue;
        }
        seen += 1;
        let reason = line.rsplit_once("# ").map(|(_, reason)| reason.split_whitespace().count());
        if reason.is_none_or(|words| words < 2) {
            fault("this dependency does not say why it is there; end its line with `# reason`");
        }
        if line.contains("\"*\"") || line.contains("git = ") || line.contains("path = ") {
            fault("a dependency has a version of the public registry");
        }
    }
    if seen == 0 {
        faults.push("Cargo.toml: no dependency was found".to_owned());
    }
    faults
}

#[test]
fn every_dependency_says_why_it_is_there() {
    let files = tree::texts();
    let manifest = files.iter().find(|file| file.path == "Cargo.toml").expect("Cargo.toml is part of the project");
    assert_none(&faults(&manifest.text));
}

#[test]
fn a_dependency_without_a_reason_is_found_in_every_form() {
    assert_eq!(faults("[dependencies]\nserde = \"1\"  # every document and record\n").len(), 0);
    for bad in [
        "[dependencies]\nserde = \"1\"\n",
        "[dependencies]\nserde = \"1\" # serde\n",
        "[target.'cfg(unix)'.dependencies]\nnix = \"1\"\n",
        "[dev-dependencies]\ninsta = { version = \"1\", features = [\"a\"] }\n",
        "[dependencies]\na = \"*\"  # why it is there\n",
        "[dependencies]\na = { git = \"https://example.org\" }  # why it is there\n",
        "[package]\nname = \"x\"\n",
    ] {
        assert_eq!(faults(bad).len(), 1, "{bad}");
    }
    assert!(!faults("[dependencies.serde]\nversion = \"1\"\n").is_empty());
}
