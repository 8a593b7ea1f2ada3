//! Manifests between this program and the libraries that others have (PyPI's eth-account and web3): either checks what the other
//! signed. (Requests to providers and plain texts: `tests/inputs`; notifications: `tests/kubernetes`.)

use crate::{
    program::{self, OLD},
    python::python,
};
use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

/// A folder with the results of a workflow, signed by the operator, in `out/wf-1`.
async fn signed() -> TempDir {
    let folder = program::documents_for("https://market.example.org");
    let arguments = ["local", "inline.yaml", "--out", "out", "--name", "wf-1"];
    let output = program::run(folder.path(), &arguments, &OLD).await;
    assert!(output.status.success(), "{output:?}");
    folder
}

fn run(folder: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut python = Command::new(python());
    python.args(arguments).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut python = python.spawn().unwrap();
    python.stdin.take().unwrap().write_all(input).unwrap();
    python.wait_with_output().unwrap()
}

/// The README's Python, word for word.
fn readmes_python() -> String {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let code =
        readme.split("```python\n").nth(1).expect("there is Python in it").split("```").next().unwrap().to_owned();
    assert!(code.contains("recover_message"), "{code}");
    code
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_python_checks_what_we_signed() {
    let folder = signed().await;
    let results = folder.path().join("out/wf-1");
    let check = || run(&results, &["-c", &readmes_python()], b"");
    let good = check();
    assert!(good.status.success(), "{good:?}");
    let manifest = fs::read_to_string(results.join("manifest.json")).unwrap();
    let changed = manifest.replace("\"exitCode\": 0", "\"exitCode\": 1");
    assert_ne!(changed, manifest);
    fs::write(results.join("manifest.json"), changed).unwrap();
    assert!(!check().status.success(), "a change is noticed");
}

#[tokio::test(flavor = "multi_thread")]
async fn we_check_what_a_wallet_signed() {
    /// Somebody's key and its address.
    const WALLET: [&str; 2] = [
        "0x2222222222222222222222222222222222222222222222222222222222222222",
        "0x1563915e194D8CfBA1943570603F7606A3115508",
    ];
    let folder = signed().await;
    let path = folder.path().join("out/wf-1/manifest.json");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seed/signs.py");
    let theirs = run(folder.path(), &[script.to_str().unwrap(), WALLET[0]], &fs::read(&path).unwrap());
    assert!(theirs.status.success(), "{theirs:?}");
    fs::write(&path, theirs.stdout).unwrap();
    let verify = async |signer: &str| {
        let arguments = ["results", "wf-1", "--from", "out", "--verify", "--signer", signer];
        let output = program::run(folder.path(), &arguments, &OLD).await;
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = verify(WALLET[1]).await;
    assert_eq!(code, Some(0), "{said}");
    let operator = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A";
    let (code, said) = verify(operator).await;
    assert_eq!(code, Some(8), "it is not the operator's: {said}");
}
