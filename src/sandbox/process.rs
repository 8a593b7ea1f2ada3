//! Pods as child processes: the local mode's kubelet.
//!
//! A pod gets a folder tree laid out as `/data` is, its workflow's ConfigMap as files, and nothing of this process's
//! environment but a few named variables. There are no containers: the algorithm runs with this machine's programs and
//! with the rights of whoever started it. This is a way to develop workflows, not a way to run strangers' code.
//!
//! No stage outlives this process, however that ends. The kernel ties a child to the *thread* that started it, so these
//! futures must be run by one that lives as long as the process: by a runtime with a single thread
//! ([`crate::pod::parent`]). And a wrapper that is killed by its own algorithm leaves orphans, which this process adopts
//! and ends; so it must have no children but these.

use super::kubelet::{Kubelet, Run, Stop};
use crate::{
    cluster::command::{Places, Settings, arguments, earlier, input_keys, variables},
    plan::{
        end::End,
        seen::{Progress, Waiting, WaitingCause},
    },
    pod::{
        exec::{adopt_orphans, kill_orphans, kill_tree},
        layout::Layout,
    },
    workflow::{JobId, Stage, report},
};
use async_trait::async_trait;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::process::{Child, Command};

/// Runs pods as child processes below a folder.
pub struct Processes {
    /// This program: configure, the wrapper and publish are its subcommands.
    pub program: PathBuf,
    /// Where the trees of all workflows are. They stay when their volume is deleted: whoever made this folder knows whether
    /// something in them is still wanted.
    pub root: PathBuf,
    /// What the configuration adds to the command lines.
    pub settings: Settings,
    /// The folder that `file:` URLs may name files of.
    pub local_folder: PathBuf,
    /// The variables that every child gets, such as `PATH`.
    pub environment: Vec<(String, String)>,
    /// The variables that publish gets beside them, and no other stage: what is secret.
    pub publish_environment: Vec<(String, String)>,
    /// The keys that inputs may need: each child gets those that its document needs.
    pub keys: Vec<(String, String)>,
    /// The processes that run now.
    pub alive: Alive,
}

/// The processes of a [`Processes`] that run now, so that all can be killed in one go.
#[derive(Debug, Clone, Default)]
pub struct Alive(Arc<Mutex<BTreeSet<i32>>>);

impl Alive {
    fn set(&self) -> MutexGuard<'_, BTreeSet<i32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a wrapper gets beyond its child's grace to write its report.
const REPORTING: Duration = Duration::from_secs(5);

impl Processes {
    /// The tree of a workflow: `data`, `workflow` (its ConfigMap) and `pods` (what each printed).
    pub fn tree(&self, job: &JobId) -> PathBuf {
        self.root.join(job.as_str())
    }

    /// Kills every pod at once, with all it started: for whoever is about to leave and cannot wait.
    pub fn kill_all(&self) {
        for pid in self.alive.set().iter() {
            kill_tree(Pid::from_raw(*pid));
        }
    }

    fn places(&self, run: &Run<'_>) -> Places {
        let tree = self.tree(&run.spec.job);
        let layout = |round| Layout::new(tree.join("data")).of_round(round);
        Places {
            layout: layout(run.spec.round),
            earlier: earlier(run.spec).map(|round| (round, layout(round).outputs())).collect(),
            documents: tree.join("workflow"),
            termination_log: tree.join("pods").join(format!("{}.termination", run.spec.name())),
            local_folder: Some(self.local_folder.clone()),
            parent: Some(std::process::id()),
        }
    }

    fn keys(&self, run: &Run<'_>) -> impl Iterator<Item = (&String, &String)> {
        let needed = input_keys(run.spec, &self.settings.fetch);
        self.keys.iter().filter(move |(name, _)| needed.contains(&name.as_str())).map(|(name, value)| (name, value))
    }

    fn prepare(&self, run: &Run<'_>, places: &Places) -> io::Result<()> {
        fs::create_dir_all(places.layout.root())?;
        fs::create_dir_all(&places.documents)?;
        fs::create_dir_all(self.tree(&run.spec.job).join("pods"))?;
        fs::write(&places.termination_log, "")?;
        for (key, bytes) in run.data {
            // The API server holds ConfigMap keys to one path component; so does whoever filled this one.
            if Path::new(key).file_name().is_some_and(|name| name == key.as_str()) {
                fs::write(places.documents.join(key), bytes)?;
            }
        }
        Ok(())
    }

    fn spawn(&self, run: &Run<'_>, places: &Places) -> io::Result<Child> {
        adopt_orphans();
        let arguments = arguments(run.spec, &self.settings, places).ok_or_else(|| {
            io::Error::new(io::ErrorKind::Unsupported, "a filter is an image; the local mode has none")
        })?;
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.tree(&run.spec.job).join("pods").join(format!("{}.log", run.spec.name())))?;
        let secrets = if run.spec.stage == Stage::Publish { self.publish_environment.as_slice() } else { &[] };
        Command::new(&self.program)
            .args(arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .envs(secrets.iter().map(|(name, value)| (name, value)))
            .envs(variables(run.spec, &places.layout))
            .envs(self.keys(run))
            .current_dir(places.layout.root())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A group of its own: an interrupt from the terminal is for the engine, which stops pods in order.
            .process_group(0)
            .spawn()
    }
}

#[async_trait]
impl Kubelet for Processes {
    async fn run(&self, run: &Run<'_>, mut stop: Stop) -> End {
        let places = self.places(run);
        let child = self.prepare(run, &places).and_then(|()| self.spawn(run, &places));
        let child = match child {
            Ok(child) => child,
            Err(error) => {
                let message = format!("the stage could not be started: {error}");
                (run.say)(Progress::Waiting(Waiting { cause: WaitingCause::Starting, message: message.clone() }));
                return End {
                    exit_code: Some(127),
                    reason: Some("StartError".to_owned()),
                    disrupted: false,
                    message,
                    image_id: None,
                };
            }
        };
        (run.say)(Progress::Running);
        let mut tree = Tree::new(child, self.alive.clone());
        let mut killed = stop.clone();
        let status = tokio::select! {
            status = tree.child.wait() => status,
            () = stop.asked() => {
                tree.signal(Signal::SIGTERM);
                tokio::select! {
                    status = tree.child.wait() => status,
                    () = tokio::time::sleep(run.spec.grace + REPORTING) => tree.kill().await,
                    () = killed.killed() => tree.kill().await,
                }
            }
        };
        if status.as_ref().is_ok_and(|status| status.signal().is_some()) {
            // It had no time to end what it had started.
            kill_orphans(&self.alive.set());
        }
        let message = fs::read(&places.termination_log).unwrap_or_default();
        let message = String::from_utf8_lossy(message.get(..report::MAX_LEN.min(message.len())).unwrap_or_default());
        End {
            exit_code: status.ok().and_then(exit_code),
            reason: None,
            disrupted: false,
            message: message.into_owned(),
            image_id: None,
        }
    }

    fn volume_created(&self, job: &JobId) {
        if let Err(error) = fs::create_dir_all(self.tree(job).join("data")) {
            tracing::error!(workflow.id = %job, %error, "the work folder could not be made");
        }
    }
}

/// As the kubelet counts: the exit status, or 128 and the signal.
fn exit_code(status: ExitStatus) -> Option<i32> {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal))
}

/// A child with all it started. Dropped, nothing of it goes on running.
struct Tree {
    child: Child,
    pid: Option<Pid>,
    alive: Alive,
}

impl Tree {
    fn new(child: Child, alive: Alive) -> Self {
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        alive.set().extend(pid);
        Self { child, pid: pid.map(Pid::from_raw), alive }
    }

    /// The child's pid while it is the child's: once it was waited for, the system may give it to another.
    fn living(&self) -> Option<Pid> {
        self.child.id().and(self.pid)
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.living() {
            // It may just have ended.
            let _ = kill(pid, signal);
        }
    }

    async fn kill(&mut self) -> io::Result<ExitStatus> {
        if let Some(pid) = self.living() {
            kill_tree(pid);
        }
        self.child.wait().await
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if let Some(pid) = self.living() {
            kill_tree(pid);
        }
        if let Some(pid) = self.pid {
            self.alive.set().remove(&pid.as_raw());
        }
    }
}
