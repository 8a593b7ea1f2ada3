//! The control plane that all tests share, and the clients of its users.

use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client, Config,
    api::{Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde::Deserialize;
use serde_json::json;
use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A Kubernetes without nodes, as long as this process lives.
pub(crate) struct Cluster {
    pub(crate) environment: Environment,
    /// Whether every test runs, so that one can say of something that no test ever did it.
    pub(crate) all_run: bool,
    /// Everything.
    pub(crate) admin: Client,
    /// The played kubelet.
    pub(crate) kubelet: Client,
    /// The program under test: a copy, so that a build meanwhile changes nothing.
    pub(crate) program: PathBuf,
    /// Where engines' logs and configurations go.
    pub(crate) directory: PathBuf,
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
    pub(crate) version: String,
    pub(crate) kubeconfigs: BTreeMap<String, PathBuf>,
    pub(crate) users: BTreeMap<String, String>,
    tokens: BTreeMap<String, String>,
    pub(crate) audit: PathBuf,
    pub(crate) ready_after_seconds: f64,
}

/// The one node that pods are bound to.
pub(crate) const NODE: &str = "n1";

impl Cluster {
    /// Brings it up, building its programs first where they are missing.
    pub(crate) async fn up(all_run: bool) -> Self {
        let directory = tempfile::Builder::new().prefix("kubernetes-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let up = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/up");
        let mut keeper = Command::new(up)
            .args(["--until-stdin-closes", "--control-plane"])
            .arg(directory.path().join("cluster"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tests/cluster/up needs python3");
        let mut described = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut described).unwrap();
        assert!(!described.is_empty(), "the cluster did not come up; tests/cluster/up says why");
        let text = std::fs::read_to_string(described.trim()).unwrap();
        let environment: Environment = serde_json::from_str(&text).unwrap();
        println!("Kubernetes {} after {} s", environment.version, environment.ready_after_seconds);

        let program = directory.path().join("operator-engine");
        std::fs::copy(env!("CARGO_BIN_EXE_operator-engine"), &program).unwrap();
        std::fs::create_dir(directory.path().join("engines")).unwrap();
        let cluster = Self {
            all_run,
            admin: client(&environment.kubeconfigs["admin"]).await,
            kubelet: client(&environment.kubeconfigs["kubelet"]).await,
            program,
            directory: directory.path().join("engines"),
            running: Mutex::new(Some(Running { stdin: keeper.stdin.take(), keeper, directory })),
            environment,
        };
        cluster.add_node().await;
        cluster
    }

    /// Ends it. Its files stay when there is something to look into.
    pub(crate) async fn down(&self, forget: bool) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut running) = running else { return };
        drop(running.stdin.take());
        let _ = running.keeper.wait();
        if !forget {
            println!("\nwhat engines and the cluster said is in {}", running.directory.keep().display());
        }
    }

    /// A node that stays ready. Without it the garbage collector of pods would remove what is bound to it.
    async fn add_node(&self) {
        let nodes: Api<Node> = Api::all(self.kubelet.clone());
        let node = serde_json::from_value(json!({"metadata": {"name": NODE}})).unwrap();
        nodes.create(&PostParams::default(), &node).await.unwrap();
        let beat = move || {
            let nodes = nodes.clone();
            async move {
                let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
                let ready = json!({"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "played",
                    "lastHeartbeatTime": now, "lastTransitionTime": now});
                let patch = json!({"status": {"conditions": [ready]}});
                nodes.patch_status(NODE, &PatchParams::default(), &Patch::Merge(&patch)).await
            }
        };
        beat().await.unwrap();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(8)).await;
                let _ = beat().await;
            }
        });
    }

    /// A user's kubeconfig.
    pub(crate) fn kubeconfig(&self, user: &str) -> &Path {
        &self.environment.kubeconfigs[user]
    }

    /// What the engine proves with that it is this user.
    pub(crate) fn engine_token(&self) -> &str {
        &self.environment.tokens["engine"]
    }

    /// The engine's user, as the audit log names it.
    pub(crate) fn engine_user(&self) -> &str {
        &self.environment.users["engine"]
    }
}

/// A client with the credentials of a kubeconfig.
pub(crate) async fn client(kubeconfig: &Path) -> Client {
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
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A secret that every engine is given in every way it can be given one, and that must appear nowhere. It is a private key, so
/// that an engine takes it for its own.
pub(crate) const CANARY: &str = "ca9a47c1f0e9b2d5ca9a47c1f0e9b2d5ca9a47c1f0e9b2d5ca9a47c1f0e9b2d5";

/// The same where only 64 hexadecimal digits will do: the operator's key.
pub(crate) const CANARY_KEY: &str = "7c1f0e9b2d7c1f0e9b2d7c1f0e9b2d7c1f0e9b2d7c1f0e9b2d7c1f0e9b2d7c1f";

/// Whether `text` holds the canary, in either form; the played kubelet asks of every pod it sees.
pub(crate) fn sings(text: &str) -> bool {
    text.contains(CANARY) || text.contains(CANARY_KEY)
}
