//! The cluster that all tests share: control plane, one real node, and the engine as its manifests bring it up.

use crate::site::Site;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use nix::unistd::Pid;
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::sync::{OnceCell, Semaphore};

/// A Kubernetes with one node, as long as this process lives.
pub(crate) struct Cluster {
    pub(crate) environment: Environment,
    pub(crate) admin: Client,
    /// For workflows: each may have one pod at a time, and two cores hold three of those, and the engines.
    pub(crate) room: Semaphore,
    pub(crate) directory: PathBuf,
    shipped: OnceCell<Site>,
    running: Mutex<Option<Running>>,
}

struct Running {
    keeper: Child,
    /// When this closes, which it does when this process ends however it ends, the cluster ends.
    stdin: Option<ChildStdin>,
    directory: TempDir,
}

/// What `tests/cluster/up` says of the cluster.
#[derive(Debug, Deserialize)]
pub(crate) struct Environment {
    version: String,
    kubectl: PathBuf,
    kubeconfigs: BTreeMap<String, PathBuf>,
    processes: PathBuf,
    pub(crate) audit: PathBuf,
    pub(crate) node: Node,
    ready_after_seconds: f64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Node {
    /// Where each volume is a folder.
    pub(crate) volumes: PathBuf,
    /// Where pods reach this process.
    pub(crate) address: String,
}

impl Cluster {
    /// Brings it up, building first what is missing: its programs, and the engine's image.
    pub(crate) async fn up(_all_run: bool) -> Self {
        run(&root().join("tests/cluster/install"), &[]);
        let program = engine_program();
        // Short: a node's sockets lie deep in it.
        let directory = tempfile::Builder::new().prefix("oe-node-").tempdir_in("/tmp").unwrap();
        let mut keeper = Command::new(root().join("tests/cluster/up"))
            .arg("--until-stdin-closes")
            .arg("--node")
            .arg(directory.path().join("cluster"))
            .arg("--engine")
            .arg(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tests/cluster/up needs python3");
        let mut described = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut described).unwrap();
        if described.is_empty() {
            eprintln!(
                "tests/node: the node did not come up; tests/cluster/up says why. `tests/run --without node` leaves it out."
            );
            drop(directory);
            std::process::exit(1);
        }
        let text = std::fs::read_to_string(described.trim()).unwrap();
        let environment: Environment = serde_json::from_str(&text).unwrap();
        println!("Kubernetes {} with a node after {} s", environment.version, environment.ready_after_seconds);
        Self {
            admin: client(&environment.kubeconfigs["admin"]).await,
            room: Semaphore::new(3),
            directory: directory.path().to_owned(),
            shipped: OnceCell::new(),
            running: Mutex::new(Some(Running { stdin: keeper.stdin.take(), keeper, directory })),
            environment,
        }
    }

    /// Ends it. Its files stay when there is something to look into.
    pub(crate) async fn down(&self, forget: bool) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut running) = running else { return };
        if !forget && let Some(site) = self.shipped.get() {
            site.say_what_there_is();
        }
        drop(running.stdin.take());
        let _ = running.keeper.wait();
        if !forget {
            println!("\nwhat the cluster said is in {}", running.directory.keep().display());
        }
    }

    /// The engine as the manifests bring it up, two namespaces, with the settings of these tests over them.
    pub(crate) async fn shipped(&'static self) -> &'static Site {
        self.shipped.get_or_init(|| Site::shipped(self)).await
    }

    /// What kubectl prints, run as the cluster's admin.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        self.feed(arguments, "")
    }

    /// The same, with something on standard input.
    pub(crate) fn feed(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let mut child = Command::new(&self.environment.kubectl)
            .arg("--kubeconfig")
            .arg(&self.environment.kubeconfigs["admin"])
            .args(["--request-timeout=30s", "--cache-dir"])
            .arg(self.directory.join("cache"))
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

    /// The number of one of the cluster's own processes.
    pub(crate) fn process(&self, name: &str) -> Pid {
        let listed: Value = serde_json::from_slice(&std::fs::read(&self.environment.processes).unwrap()).unwrap();
        let of_name = listed.as_array().unwrap().iter().find(|process| process["name"] == name).unwrap();
        Pid::from_raw(i32::try_from(of_name["pid"].as_i64().unwrap()).unwrap())
    }

    /// Applies objects.
    pub(crate) fn apply(&self, object: &Value) {
        self.feed(&["apply", "-f", "-"], &object.to_string()).unwrap();
    }
}

/// The engine's static program: what `tests/image` makes, or what the caller has built already.
#[allow(clippy::disallowed_methods)] // the developer's wish, not the engine's configuration
fn engine_program() -> PathBuf {
    if let Some(given) = std::env::var_os("OPERATOR_ENGINE_STATIC") {
        return given.into();
    }
    run(&root().join("tests/image"), &[]);
    // Beside the folder that this program was built into: target/debug/deps.
    let program = std::env::current_exe().unwrap();
    program.ancestors().nth(3).unwrap().join("image/rootfs/operator-engine")
}

fn run(program: &Path, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).current_dir(root()).stdin(Stdio::null()).status();
    let done = status.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    assert!(done.success(), "{} failed; the reason is above", program.display());
}

async fn client(kubeconfig: &Path) -> Client {
    let (kubeconfig, options) = (Kubeconfig::read_from(kubeconfig).unwrap(), KubeConfigOptions::default());
    Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap()).unwrap()
}

/// Waits until `look` finds what it looks for.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: impl std::fmt::Display,
    patience: Duration,
    mut look: impl FnMut() -> F,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < patience, "not within {patience:?}: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The project's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
