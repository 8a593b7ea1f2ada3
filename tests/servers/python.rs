//! The Python of `tests/servers`, which has what tests use from PyPI.

use std::{path::Path, process::Command};

/// Where it is. Panics if `tests/servers/build` does not say.
pub(crate) fn python() -> String {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/build");
    let output = Command::new(build).args(["--list", "python"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("python ")).unwrap_or_else(|| panic!("{text}"));
    line.to_owned()
}
