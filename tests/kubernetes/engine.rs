//! An engine process: the program that users start, with what they configure.

use crate::{
    cluster::{CANARY, CANARY_KEY, Cluster},
    namespace::Namespace,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::{self, File},
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use tokio::process::{Child, Command};

/// A running engine. It is killed when this is dropped.
pub(crate) struct Engine {
    child: Child,
    pub(crate) log: PathBuf,
}

/// What an engine is started with.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// What its Lease is named after; none: something random.
    pub(crate) instance: Option<String>,
    /// The API server's address instead of the real one: a proxy.
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Keys and values, over [`DEFAULTS`].
    pub(crate) keys: Vec<(&'static str, String)>,
    /// Whether it has somebody to notify, whom it never reaches: its attempts are writes of their own.
    pub(crate) notifies: bool,
}

/// For all engines. Looks are as often as a person would configure them; Leases are the default's.
const DEFAULTS: [(&str, &str); 8] = [
    ("ENGINE__LOG_FORMAT", "json"),
    ("ENGINE__LOG_LEVEL", "info,operator_engine=debug"),
    ("IMAGES__FILTER", "registry.example/filter:1"),
    ("LIMITS__STOP_GRACE", "1s"),
    ("STORAGE__KIND", "directory"),
    ("STORAGE__DIRECTORY", "/results"),
    ("LIMITS__MAX_JOBS", "100"),
    ("LOOP__FINISHED_YOUNG_EVERY", "150ms"),
];

static STARTED: AtomicUsize = AtomicUsize::new(0);

impl Setup {
    /// The defaults, under a random name.
    pub(crate) fn new() -> Self {
        Self { instance: None, kubeconfig: None, keys: Vec::new(), notifies: true }
    }

    /// Under this name.
    pub(crate) fn named(instance: impl Into<String>) -> Self {
        Self { instance: Some(instance.into()), ..Self::new() }
    }

    /// With nobody to notify.
    pub(crate) fn without_notifications(self) -> Self {
        Self { notifies: false, ..self }
    }

    pub(crate) fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.keys.push((key, value.into()));
        self
    }

    /// Looks as often as allowed: for tests of what happens, not of when.
    pub(crate) fn eager(self) -> Self {
        self.with("LOOP__ATTENTION_EVERY", "200ms").with("LOOP__AUDIT_EVERY", "1s")
    }
}

impl Engine {
    /// Starts one in a namespace.
    pub(crate) fn start(cluster: &Cluster, namespace: &Namespace, setup: &Setup) -> Self {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let stem = cluster.directory.join(format!("{}-{number}", namespace.name));
        let (config, log) = (stem.with_extension("toml"), stem.with_extension("log"));
        // A file, the engine's own variables, and the old engine's: all the ways to be told a secret.
        let told = |event: &str| format!("https://me:{CANARY}@notify.example/{event}?token={CANARY}");
        let notify =
            format!("[notify]\nstart_url = \"{}\"\n", if setup.notifies { told("start") } else { String::new() });
        // Many engines on one machine: none has pages unless a test gives them an address.
        // Nor does any sweep: its requests would be counted among those of workflows.
        fs::write(&config, notify + "[http]\nlisten = \"\"\n[expiry]\nschedule = \"\"\n").unwrap();
        let mut command = Command::new(&cluster.program);
        command.arg("run").arg("--config").arg(&config).arg("--kubeconfig");
        command.arg(setup.kubeconfig.as_deref().unwrap_or(cluster.kubeconfig("engine")));
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        let name = |key: &str| format!("OPERATOR_ENGINE__{key}");
        command.envs(DEFAULTS.iter().map(|(key, value)| (name(key), *value)));
        command.env(name("ENGINE__JOBS_NAMESPACE"), &namespace.name);
        command.envs(setup.instance.as_ref().map(|instance| (name("ENGINE__INSTANCE"), instance)));
        command.envs(setup.keys.iter().map(|(key, value)| (name(key), value)));
        command.env("OPERATOR_PRIVATE_KEY", format!("0x{CANARY_KEY}"));
        command.env("AWS_SECRET_ACCESS_KEY", CANARY);
        command.envs(setup.notifies.then(|| (name("NOTIFY__STOP_URL"), told("stop"))));
        let output = File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output).kill_on_drop(true);
        Self { child: command.spawn().unwrap(), log }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.child.id().expect("it still runs");
        kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
    }

    /// SIGKILL, at whatever it is doing.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGTERM, and its exit.
    pub(crate) async fn terminate(mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        tokio::time::timeout(Duration::from_secs(20), self.child.wait()).await.expect("it ends when asked to").unwrap()
    }

    /// How it ended, if it did by itself.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Its environment, as the kernel has it.
    pub(crate) fn environment(&self) -> String {
        let file = format!("/proc/{}/environ", self.child.id().expect("it still runs"));
        String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned()
    }

    /// What it said so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}
