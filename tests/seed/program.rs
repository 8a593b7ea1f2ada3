//! The program, as an admin of the old engine would have it: with the old one's variables.

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};
use tempfile::TempDir;
use tokio::process::Command;

/// The variables of an old deployment.
pub(crate) const OLD: [(&str, &str); 16] = [
    ("nCPU", "2"),
    ("ramGB", "4"),
    ("diskGB", "8"),
    ("maxJobDuration", "7200"),
    ("nGPU", "1"),
    ("AWS_REGION", "eu-central-1"),
    ("AWS_BUCKET_OUTPUT", "outputs"),
    ("AWS_BUCKET_ADMINLOGS", "logs"),
    ("AWS_ACCESS_KEY_ID", "5ec4e7"),
    ("AWS_SECRET_ACCESS_KEY", "5ec4e7"),
    ("OPERATOR_PRIVATE_KEY", KEY),
    ("FILTERING_CONTAINER", "registry.example/filter:1"),
    ("NOTIFY_START_URL", "https://market.example/start?token=5ec4e7"),
    ("NODE_SELECTOR", "compute"),
    ("STORAGE_CLASS", "gp2"),
    ("SERVICE_ACCOUNT", "default"),
];

/// What no pod may have in it.
pub(crate) const SECRETS: [&str; 2] = ["5ec4e7", KEY];

/// The operator's key, which everybody knows.
const KEY: &str = "1111111111111111111111111111111111111111111111111111111111111111";

/// Runs the program in a folder, with these variables and no others.
pub(crate) async fn run(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_operator-engine"));
    command.args(arguments).current_dir(folder).env_clear().envs(environment.iter().copied());
    command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", folder).stdin(Stdio::null()).kill_on_drop(true);
    let limit = std::time::Duration::from_secs(100);
    tokio::time::timeout(limit, command.output()).await.expect("it ends").unwrap()
}

/// The stages, in their order.
pub(crate) const STAGES: [&str; 4] = ["configure", "algorithm", "filter", "publish"];

/// The pods that the stages get of the document in a file, under these variables.
pub(crate) async fn pods(document: &Path, environment: &[(&str, &str)]) -> [Value; 4] {
    let pod = async |stage| {
        let arguments = ["check", "--pod", stage, document.to_str().unwrap()];
        let output = run(document.parent().unwrap(), &arguments, environment).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let [one, two, three, four] = STAGES;
    [pod(one).await, pod(two).await, pod(three).await, pod(four).await]
}

/// The folder of the documents.
pub(crate) fn documents() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seed/documents")
}

/// A folder with all documents, and what lies beside them, made out for this market.
pub(crate) fn documents_for(market: &str) -> TempDir {
    let folder = tempfile::Builder::new().prefix("seed-").tempdir().unwrap();
    for entry in fs::read_dir(documents()).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap().replace("{market}", market);
        fs::write(folder.path().join(path.file_name().unwrap()), text).unwrap();
    }
    folder
}
