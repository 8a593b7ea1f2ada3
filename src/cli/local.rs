//! `local`: one workflow on this machine, without a cluster, through the engine's own core.
//!
//! It registers the workflow in a cluster in memory whose pods are child processes, runs the supervisor until the workflow
//! is at its end, and says where the results lie. Nothing of the way is shorter than on a cluster: the same plans, records
//! and stages.

mod follow;
mod interrupt;
mod progress;
mod summary;

use super::{chain, config_args::ConfigArgs, load, output::Output};
use crate::{
    cluster::command::Settings,
    config::{self, Config},
    exit::Exit,
    plan::Policy,
    sandbox::{
        Sandbox,
        process::{Alive, Processes},
    },
    storage::Target,
    supervisor::{
        Supervisor,
        clock::{Clock, SystemClock},
    },
    telemetry,
    workflow::{JobId, Record, State, digest::Sha256, job::InvalidJobId, record::Holder},
};
use progress::Progress;
use std::{
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// Run one workflow on this machine, without a cluster.
///
/// FILE is a document, or the manifest of the ConfigMap that one would apply to a cluster. The algorithm is run with this
/// machine's programs: its container image is not used, and it is not isolated. Run only what you would run by hand.
#[derive(Debug, Clone, clap::Args)]
pub struct LocalArgs {
    /// The workflow: a document, or a ConfigMap manifest.
    file: PathBuf,
    /// The directory for results; each run gets a folder of its own in it.
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
    /// The job id. Otherwise it is made of the workflow's name and something that no earlier run had.
    #[arg(long, value_name = "ID")]
    name: Option<JobId>,
    /// How long the algorithm may run, such as 90s or 2h. A document's maxtime may be less.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = config::duration::parse)]
    timeout: Duration,
    /// Keep the work folder with inputs, outputs, logs and what each stage printed.
    #[arg(long)]
    keep: bool,
    /// How to write the answer. With json, standard output has nothing else.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Show the engine's own log.
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Runs the command.
pub fn run(args: &LocalArgs) -> Exit {
    telemetry::start(telemetry::Form::Human, if args.verbose { "info" } else { "error" });
    let complain = |text: &str| {
        let _ = writeln!(io::stderr(), "error: {text}");
    };
    let config = match args.config.load() {
        Ok(loaded) => loaded.config,
        Err(errors) => {
            complain(&errors.to_string());
            return Exit::Configuration;
        }
    };
    let loaded = match load::load(&args.file) {
        Ok(loaded) => loaded,
        Err(error) => {
            complain(&chain(&error));
            return Exit::WorkflowRefused;
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("the runtime cannot be started: {error}"));
            return Exit::Failure;
        }
    };
    let done = runtime.block_on(async {
        let session = Local::prepare(args, &config, loaded)?;
        session.run(args).await
    });
    done.unwrap_or_else(|error: LocalError| {
        complain(&chain(&error));
        error.exit()
    })
}

/// Why a local run did not come to the workflow's end.
#[derive(Debug, thiserror::Error)]
enum LocalError {
    #[error("the directory {0} cannot be used for results; name another one with --out")]
    Out(PathBuf, #[source] io::Error),
    #[error("there are results of {0} already; choose another --name or --out")]
    Exists(JobId),
    #[error("the workflow's name makes no job id; give one with --name")]
    Name(#[from] InvalidJobId),
    #[error("this program's own file cannot be found")]
    Program(#[source] io::Error),
    #[error("signals cannot be received")]
    Signals(#[source] io::Error),
    #[error("the engine ended before the workflow")]
    Engine(#[from] crate::supervisor::Ended),
    #[error("the workflow left no record")]
    NoRecord,
    #[error("the answer cannot be written")]
    Write(#[source] io::Error),
    #[error("interrupted; the work folder is {0}")]
    Interrupted(PathBuf),
}

impl LocalError {
    fn exit(&self) -> Exit {
        if matches!(self, Self::Interrupted(_)) { Exit::Interrupted } else { Exit::Failure }
    }
}

/// A run, ready to begin.
struct Local {
    job: JobId,
    out: PathBuf,
    processes: Arc<Processes>,
    sandbox: Sandbox,
    clock: Arc<SystemClock>,
    policy: Policy,
}

impl Local {
    fn prepare(args: &LocalArgs, config: &Config, loaded: load::Loaded) -> Result<Self, LocalError> {
        let clock = Arc::new(SystemClock::new());
        let job = match &args.name {
            Some(name) => name.clone(),
            None => job_id(&loaded, &*clock)?,
        };
        std::fs::create_dir_all(&args.out).map_err(|error| LocalError::Out(args.out.clone(), error))?;
        let out = args.out.canonicalize().map_err(|error| LocalError::Out(args.out.clone(), error))?;
        if out.join(job.as_str()).exists() {
            return Err(LocalError::Exists(job));
        }
        let folder = loaded.folder.canonicalize().unwrap_or(loaded.folder);
        let settings = Settings {
            fetch: config.fetch.policy(),
            target: Target::Directory { path: out.clone() },
            max_log: config.limits.max_log,
        };
        let processes = Arc::new(Processes {
            program: std::env::current_exe().map_err(LocalError::Program)?,
            root: out.join(".work"),
            settings,
            local_folder: folder,
            environment: config::environment()
                .into_iter()
                .filter(|(name, _)| INHERITED.contains(&name.as_str()))
                .collect(),
            keep: args.keep,
            alive: Alive::default(),
        });
        let sandbox = Sandbox::new(processes.clone(), clock.clone());
        sandbox.submit(job.as_str(), loaded.data);
        Ok(Self { job, out, processes, sandbox, clock, policy: policy(args, config) })
    }

    async fn run(self, args: &LocalArgs) -> Result<Exit, LocalError> {
        let stop = CancellationToken::new();
        let me = Holder { lease: "local".to_owned(), identity: "local".to_owned() };
        let engine = Supervisor::new(Arc::new(self.sandbox.clone()), self.clock.clone(), self.policy.clone(), me, 8);
        let mut progress = Progress::new(&self.job, self.processes.tree(&self.job).join("pods"));
        if self.policy.filter_image.is_none() && args.output == Output::Table {
            progress.begin();
        }
        let mut watch = |view: &crate::plan::View, _: &crate::plan::Plan| {
            progress.turn(view.workflows.get(self.job.as_str()));
            if self.is_over(args.keep) {
                stop.cancel();
            }
        };
        let mut interrupts = interrupt::Interrupts::listen().map_err(LocalError::Signals)?;
        let second = async {
            interrupts.next().await;
            let _ =
                writeln!(io::stderr(), "stopping; what there is will be published. Interrupt again to leave at once.");
            self.sandbox.label(self.job.as_str(), State::Stopping);
            interrupts.next().await;
        };
        tokio::select! {
            ended = engine.run(stop.clone(), &mut watch) => ended?,
            () = second => {
                self.processes.kill_all();
                return Err(LocalError::Interrupted(self.processes.tree(&self.job)));
            }
        }
        let record = self.record().ok_or(LocalError::NoRecord)?;
        progress.end(&record);
        let work = args.keep.then(|| self.processes.tree(&self.job));
        let summary = summary::Summary::of(&self.job, &record, &self.out, work);
        summary.write(args.output, &mut io::stdout().lock()).map_err(LocalError::Write)?;
        // Empty unless something was kept in it.
        let _ = std::fs::remove_dir(&self.processes.root);
        Ok(record.outcome.map_or(Exit::Failure, Exit::from))
    }

    fn record(&self) -> Option<Record> {
        Record::parse(&self.sandbox.workflow(self.job.as_str())?.status?).ok()
    }

    /// Whether the workflow is done and, unless it is to be kept, its work folder is gone.
    fn is_over(&self, keep: bool) -> bool {
        let done = self.sandbox.workflow(self.job.as_str()).is_none_or(|seen| seen.state == Some(State::Done));
        let left = self.sandbox.inventory();
        done && (keep || (left.pods.is_empty() && left.volumes.is_empty()))
    }
}

/// What of this process's environment the stages get: where programs, temporary files and certificates are.
const INHERITED: [&str; 8] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"];

/// The admin's rules where they make sense on a laptop. Looking costs nothing here, so it is done often.
fn policy(args: &LocalArgs, config: &Config) -> Policy {
    let mut policy = config.plan_policy();
    policy.max_job_duration = args.timeout;
    // A filter is an image, and there are none here.
    policy.filter_image = None;
    policy.cleaning = !args.keep;
    policy.cadence.attention = Duration::from_millis(100);
    policy.cadence.finished = Duration::from_millis(50);
    policy.cadence.finished_young = Duration::from_millis(20);
    policy
}

/// A name that no earlier run had: the workflow's own, and a suffix from clock and process.
fn job_id(loaded: &load::Loaded, clock: &dyn Clock) -> Result<JobId, InvalidJobId> {
    let name = loaded.name.as_ref().map_or(loaded.stem.as_str(), JobId::as_str);
    let seed = format!("{} {}", clock.now().wall, std::process::id());
    let suffix: String = Sha256::of(seed).to_string().chars().take(8).collect();
    let stem: String = name.chars().take(JobId::MAX_LEN - 1 - suffix.len()).collect();
    let id = format!("{}-{suffix}", stem.trim_end_matches(['-', '.']));
    id.parse()
}
