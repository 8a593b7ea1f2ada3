//! What is linked in may be given away: every package's licence is one that is allowed here, and some packages never come in.

use super::{assert_none, tree};
use std::{collections::BTreeSet, process::Command};

/// Licences under which parts of the program may stand. Each is needed by some package that offers no other one.
const ALLOWED: &[&str] =
    &["Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-3-Clause", "ISC", "MIT", "Unicode-3.0", "Zlib"];

/// Packages that stay out, and why.
const BANNED: &[(&str, &str)] = &[
    ("aws-lc-sys", "one TLS library, and that is ring; it would need cmake as well"),
    ("kube-runtime", "it is for watches, and there are none here"),
    ("native-tls", "TLS is rustls"),
    ("openssl-sys", "TLS is rustls, and a static binary has no OpenSSL to find"),
    ("serde_yaml", "given up by its author, and without limits against alias bombs"),
];

/// Whether one may take the package under `allowed` licences only, going by its SPDX expression. What cannot be read is not
/// allowed.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    // Before SPDX, Cargo wrote "or" as a slash.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<_> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let value = any(&mut rest, allowed);
    value == Some(true) && rest.is_empty()
}

/// `all OR all …`; none where it is not that.
fn any(rest: &mut &[&str], allowed: &[&str]) -> Option<bool> {
    let mut value = all(rest, allowed)?;
    while let ["OR", tail @ ..] = *rest {
        *rest = tail;
        value |= all(rest, allowed)?;
    }
    Some(value)
}

/// `one AND one …`.
fn all(rest: &mut &[&str], allowed: &[&str]) -> Option<bool> {
    let mut value = one(rest, allowed)?;
    while let ["AND", tail @ ..] = *rest {
        *rest = tail;
        value &= one(rest, allowed)?;
    }
    Some(value)
}

/// A licence, one with an exception, or an expression in brackets.
fn one(rest: &mut &[&str], allowed: &[&str]) -> Option<bool> {
    match *rest {
        ["(", tail @ ..] => {
            *rest = tail;
            let value = any(rest, allowed)?;
            let [")", tail @ ..] = *rest else { return None };
            *rest = tail;
            Some(value)
        }
        [licence, "WITH", exception, tail @ ..] => {
            *rest = tail;
            Some(allowed.contains(&format!("{licence} WITH {exception}").as_str()))
        }
        ["AND" | "OR" | ")", ..] | [] => None,
        [licence, tail @ ..] => {
            *rest = tail;
            Some(allowed.contains(licence))
        }
    }
}

/// Name, version and licence of every package that is built for this machine, those for tests among them.
fn packages() -> Vec<(String, String)> {
    let rustc = Command::new("rustc").arg("-vV").output().expect("rustc is there, it has built this");
    let rustc = String::from_utf8(rustc.stdout).unwrap();
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host");
    // What is built for other systems was not fetched, and nobody links it here. A locked graph with all packages at hand
    // needs no network, so this is not told to stay offline: a package that is only named, and not built, may be missing.
    let arguments = ["metadata", "--locked", "--format-version", "1", "--filter-platform", host];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(tree::root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "cargo metadata names {} packages only", packages.len());
    packages.iter().map(|package| (text(&package["name"]), text(&package["license"]))).collect()
}

#[test]
fn every_package_may_be_given_away() {
    let packages = packages();
    let refused = packages.iter().filter(|(_, licence)| !is_allowed(licence, ALLOWED));
    assert_none(
        &refused.map(|(name, licence)| format!("{name}: its licence {licence:?} is not allowed")).collect::<Vec<_>>(),
    );
    let unused: BTreeSet<_> = ALLOWED
        .iter()
        .filter(|unused| {
            let others: Vec<_> = ALLOWED.iter().copied().filter(|other| other != *unused).collect();
            packages.iter().all(|(_, licence)| is_allowed(licence, &others))
        })
        .collect();
    assert!(unused.is_empty(), "no package needs {unused:?}; take it out of the list");
}

#[test]
fn some_packages_never_come_in() {
    let packages = packages();
    let found = BANNED.iter().filter(|(banned, _)| packages.iter().any(|(name, _)| name == banned));
    assert_none(
        &found
            .map(|(name, why)| format!("{name}: {why}; `cargo tree -i {name}` shows who wants it"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn a_licence_is_allowed_when_its_expression_can_be_met() {
    let allowed = |expression: &str| is_allowed(expression, &["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"]);
    for good in [
        "MIT",
        "GPL-3.0 OR MIT",
        "Unlicense/MIT",
        "Apache-2.0 / MIT",
        "MIT AND ISC",
        "(GPL-3.0 OR MIT) AND ISC",
        "Apache-2.0 WITH LLVM-exception",
        "GPL-3.0 AND X OR MIT",
    ] {
        assert!(allowed(good), "{good}");
    }
    for bad in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT OR ISC) AND GPL-3.0",
        "Apache-2.0",
        "MIT WITH Some-exception",
        "(MIT",
        "MIT MIT",
        "MIT OR",
        "OR",
        "MIT)",
    ] {
        assert!(!allowed(bad), "{bad}");
    }
}
