//! A control plane that the tests share while any of them runs, and kubectl.

use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A Kubernetes without nodes. It ends with its last holder, or, should this process die, by itself.
pub(crate) struct Cluster {
    pub(crate) environment: Environment,
    keeper: Child,
    directory: TempDir,
    applying: Mutex<()>,
}

/// What `tests/cluster/up` says of the cluster.
#[derive(Debug, Deserialize)]
pub(crate) struct Environment {
    pub(crate) url: String,
    pub(crate) ca: PathBuf,
    kubeconfigs: BTreeMap<String, PathBuf>,
    kubectl: PathBuf,
}

static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());

impl Cluster {
    pub(crate) fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let cluster = Arc::new(Self::up());
            *shared = Arc::downgrade(&cluster);
            cluster
        })
    }

    /// One of its own, for a test that makes of it what others must not find.
    pub(crate) fn up() -> Self {
        let directory = tempfile::Builder::new().prefix("operator-engine-manifests-").tempdir().unwrap();
        let mut keeper = Command::new(root().join("tests/cluster/up"))
            .args(["--until-stdin-closes", "--no-fsync", "--control-plane"])
            .arg(directory.path().join("cluster"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tests/cluster/up needs python3");
        let mut described = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut described).unwrap();
        assert!(!described.is_empty(), "the cluster did not come up; tests/cluster/up says why");
        let environment = serde_json::from_str(&fs::read_to_string(described.trim()).unwrap()).unwrap();
        Self { environment, keeper, directory, applying: Mutex::new(()) }
    }

    /// Applies a kustomization of the project.
    pub(crate) fn apply(&self, folder: &str) {
        let _one_at_a_time = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        self.kubectl(&["apply", "-k", folder]).unwrap();
    }

    /// What kubectl prints, run as the cluster's admin in the project's root; or what it complains of.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        self.feed(arguments, "")
    }

    /// The same, with something on standard input.
    pub(crate) fn feed(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let mut child = Command::new(&self.environment.kubectl)
            .arg("--kubeconfig")
            .arg(&self.environment.kubeconfigs["admin"])
            .args(["--request-timeout=30s", "--cache-dir"])
            .arg(self.directory.path().join("cache"))
            .args(arguments)
            .current_dir(root())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr) + &text(&output.stdout))
        }
    }

    /// An object, or a list of a kind.
    pub(crate) fn get(&self, namespace: &str, what: &str) -> Value {
        serde_json::from_str(&self.kubectl(&["get", "-n", namespace, what, "-o", "json"]).unwrap()).unwrap()
    }

    /// Asks until it holds. What controllers do has no other bell that kubectl could ring.
    pub(crate) fn wait_for(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !holds() {
            // Controllers work off their queues at their own pace, and a busy machine makes that minutes.
            assert!(begun.elapsed() < Duration::from_secs(300), "waited in vain for {what}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// A folder of this test run.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.directory.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// The manifests, to be changed as a user would.
    pub(crate) fn copy_of_manifests(&self, name: &str) -> PathBuf {
        let folder = self.folder(&format!("copy-{name}"));
        let copied = Command::new("cp").arg("-R").arg(root().join("manifests")).arg(&folder).status().unwrap();
        assert!(copied.success());
        folder.join("manifests")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
