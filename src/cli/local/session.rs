//! A run: the sandbox with one workflow in it, the supervisor over it, and a person who may interrupt.

use super::{LocalArgs, error::LocalError, interrupt::Interrupts, progress::Progress, summary::Summary, work::Work};
use crate::{
    cli::{load::Loaded, output::Output},
    clock::SystemClock,
    cluster::command::Settings,
    config::{self, Config},
    exit::Exit,
    plan::{Plan, Policy, View},
    pod::configure::Keys,
    sandbox::{
        Sandbox,
        process::{Alive, Processes},
    },
    storage::{Target, Targets, secret_keys::OPERATOR_KEY},
    supervisor::Supervisor,
    workflow::{Document, JobId, Outcome, Record, State, record::Holder, report::clip},
};
use std::{
    io::{self, Write as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// A run, ready to begin.
pub(super) struct Session {
    job: JobId,
    out: PathBuf,
    work: Work,
    text: String,
    processes: Arc<Processes>,
    sandbox: Sandbox,
    clock: Arc<SystemClock>,
    policy: Policy,
}

impl Session {
    /// Claims the work folder and registers the workflow.
    pub(super) fn prepare(args: &LocalArgs, config: &Config, loaded: Loaded) -> Result<Self, LocalError> {
        let clock = Arc::new(SystemClock::new());
        let job = match &args.name {
            Some(name) => name.clone(),
            None => loaded.fresh_job(&*clock)?,
        };
        let unusable = |error| LocalError::Out(args.out.clone(), error);
        std::fs::create_dir_all(&args.out).map_err(unusable)?;
        let out = args.out.canonicalize().map_err(unusable)?;
        let program = std::env::current_exe().map_err(LocalError::Program)?;
        let environment = config::environment();
        config::operator_key(&environment).map_err(LocalError::Key)?;
        let work = Work::claim(&out, &job)?;
        let processes = Arc::new(Processes {
            program,
            root: work.root().to_owned(),
            settings: Settings {
                fetch: config.fetch.policy(),
                targets: Targets { outputs: Target::Directory { path: out.clone() }, adminlogs: None },
                max_log: config.limits.max_log,
                filter_command: None,
                leaks: config.leaks.rules(),
            },
            local_folder: loaded.folder.clone(),
            keys: environment.iter().filter(|(name, _)| is_input_key(name)).cloned().collect(),
            publish_environment: environment.iter().filter(|(name, _)| name == OPERATOR_KEY).cloned().collect(),
            environment: environment.into_iter().filter(|(name, _)| INHERITED.contains(&name.as_str())).collect(),
            alive: Alive::default(),
        });
        let sandbox = Sandbox::new(processes.clone(), clock.clone());
        let text = loaded.text().into_owned();
        sandbox.submit(job.as_str(), loaded.data);
        Ok(Self { job, out, work, text, processes, sandbox, clock, policy: policy(args, config) })
    }

    /// Runs the workflow to its end and says how it was.
    pub(super) async fn run(self, args: &LocalArgs) -> Result<Exit, LocalError> {
        let stop = CancellationToken::new();
        let me = Holder { lease: "local".to_owned(), identity: "local".to_owned() };
        let engine = Supervisor::new(Arc::new(self.sandbox.clone()), self.clock.clone(), self.policy.clone(), me, 8);
        self.warn_of_what_is_not_read();
        let mut progress = Progress::new(&self.job, self.work.folder().join("pods"));
        let voice = progress.voice();
        let mut watch = |view: &View, _: &Plan| {
            progress.turn(view.workflows.get(self.job.as_str()));
            if self.is_over() {
                stop.cancel();
            }
        };
        let mut interrupts = Interrupts::listen().map_err(LocalError::Signals)?;
        let second = async {
            interrupts.next().await;
            let grace = config::duration::text(self.policy.stop_grace);
            voice.stopping(&format!(
                "stopping: what runs has up to {grace} to end, then what there is will be stored; interrupt again to \
                 leave at once"
            ));
            self.sandbox.label(self.job.as_str(), State::Stopping);
            interrupts.next().await;
        };
        tokio::select! {
            ended = engine.run(stop.clone(), &mut watch) => ended?,
            () = second => {
                self.processes.kill_all();
                voice.hush();
                return Err(LocalError::Interrupted(self.work.folder().to_owned()));
            }
        }
        let Some(record) = self.record() else { return Err(LocalError::NoRecord(self.work.folder().to_owned())) };
        progress.end(&record);
        self.finish(args, &record)
    }

    /// A misspelt key is no fault, since the old engine took any; but whoever wrote it wants to know.
    fn warn_of_what_is_not_read(&self) {
        let Ok(document) = Document::parse(&self.text) else { return };
        if !document.ignored.is_empty() {
            let unread: Vec<_> = document.unread().collect();
            let _ = writeln!(io::stderr(), "warning: not read: {}", clip(&unread.join(", "), 1000));
        }
    }

    fn finish(self, args: &LocalArgs, record: &Record) -> Result<Exit, LocalError> {
        let mut summary = Summary::of(&self.job, record, &self.out);
        if record.outcome == Some(Outcome::Refused) {
            // The record has room for so many bytes of them; here all are shown.
            summary.faults(Document::parse(&self.text).err().unwrap_or_default());
            if args.output == Output::Json {
                let _ = writeln!(io::stderr(), "error: {}", record.message.as_deref().unwrap_or_default());
            }
        }
        // What could not be stored must not be lost.
        if args.keep || (record.results.is_none() && !record.times.is_empty()) {
            summary.kept(self.work.folder());
        } else if let Err(error) = self.work.remove() {
            let _ = writeln!(io::stderr(), "warning: the work folder could not be removed: {error}");
        }
        summary.write(args.output, &mut io::stdout().lock()).map_err(LocalError::Write)?;
        Ok(record.outcome.map_or(Exit::Failure, Exit::from))
    }

    fn record(&self) -> Option<Record> {
        Record::parse(&self.sandbox.workflow(self.job.as_str())?.status?).ok()
    }

    /// Whether the workflow is done and, if the engine cleans up, its pods and volume are gone.
    fn is_over(&self) -> bool {
        let done = self.sandbox.workflow(self.job.as_str()).is_none_or(|seen| seen.state == Some(State::Done));
        let left = self.sandbox.inventory();
        done && (!self.policy.cleaning || (left.pods.is_empty() && left.volumes.is_empty()))
    }
}

/// What of this process's environment the stages get: where programs, temporary files and certificates are.
const INHERITED: [&str; 8] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"];

fn is_input_key(name: &str) -> bool {
    Keys::OPERATOR.iter().chain(&Keys::S3).any(|key| *key == name)
}

/// The admin's rules where they make sense on a laptop.
fn policy(args: &LocalArgs, config: &Config) -> Policy {
    let mut policy = config.plan_policy();
    policy.max_job_duration = args.timeout;
    // Whoever starts it wants it to run.
    policy.max_jobs = 1;
    // A filter is an image, and there are none here.
    policy.filter_image = None;
    // The only store is this machine's disk; if that does not hold, somebody is there to look after it.
    policy.retries.publish_for = policy.retries.publish_for.min(Duration::from_secs(10));
    policy.retries.backoff_first = policy.retries.backoff_first.min(Duration::from_secs(1));
    policy.cleaning = !args.keep && policy.cleaning;
    // Looking costs nothing here, so it is done often.
    policy.cadence.attention = Duration::from_millis(50);
    policy.cadence.finished = Duration::from_millis(50);
    policy.cadence.finished_young = Duration::from_millis(20);
    policy
}
