//! `operator-engine publish`: see [`crate::pod::publish`].

use crate::{
    config::{self, StoreCredentials},
    exit::Exit,
    pod::{
        layout::Layout,
        parent::Parent,
        publish::{self, Places, PublishTask},
        termination,
    },
    storage::{Place, StorageError, Targets},
    workflow::{Facts, report::PublishReport},
};
use std::{
    io::{self, Write as _},
    path::PathBuf,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Store outputs and logs, and the manifest that names them (inside the publish pod)
#[derive(Debug, Clone, clap::Args)]
pub struct PublishArgs {
    /// The folder that holds outputs, logs and adminlogs
    #[arg(long, value_name = "DIR", default_value = Layout::IN_POD)]
    pub data: PathBuf,
    /// What the manifest says of the workflow
    #[arg(long, value_name = "JSON")]
    pub facts: String,
    /// Where it goes, e.g. {"kind":"directory","path":"/srv/results"}
    #[arg(long, value_name = "JSON")]
    pub target: String,
    /// Where the admin's logs go, if not there too; in the same form
    #[arg(long, value_name = "JSON")]
    pub adminlogs: Option<String>,
    /// What may not leave, e.g. {"maxFiles":9,"refuseCopies":true}
    #[arg(long, value_name = "JSON")]
    pub leaks: Option<String>,
    /// Where the report goes
    #[arg(long, value_name = "FILE", default_value = termination::DEFAULT_PATH)]
    pub termination_log: PathBuf,
    /// The most files and folders
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub max_files: u64,
    /// The most bytes of all files together
    #[arg(long, value_name = "BYTES", default_value_t = u64::MAX)]
    pub max_bytes: u64,
    /// Whom not to outlive.
    #[command(flatten)]
    pub parent: Parent,
}

/// Runs the command to its end; the report says the rest. SIGTERM and SIGINT end it early.
pub fn run(args: PublishArgs) -> Exit {
    let termination_log = args.termination_log.clone();
    let report = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => {
            let report = runtime.block_on(published(args));
            // A volume that hangs must not keep the report from being written.
            runtime.shutdown_background();
            report
        }
        Err(error) => publish::misunderstood(&format!("no event loop can be set up: {error}")),
    };
    if let Some(fault) = &report.fault {
        complain(&format!("{}: {}", fault.reason, fault.message));
    }
    if let Err(error) = termination::write(&termination_log, &report) {
        complain(&format!("cannot write the report to {}: {error}", termination_log.display()));
        return Exit::Failure;
    }
    if report.published.is_some() { Exit::Success } else { Exit::Failure }
}

async fn published(args: PublishArgs) -> PublishReport {
    let facts: Facts = match serde_json::from_str(&args.facts) {
        Ok(facts) => facts,
        Err(error) => return publish::misunderstood(&format!("--facts: {error}")),
    };
    let targets = match targets(&args) {
        Ok(targets) => targets,
        Err(message) => return publish::misunderstood(&message),
    };
    let leaks = match args.leaks.as_deref().map(serde_json::from_str).transpose() {
        Ok(leaks) => leaks.unwrap_or_default(),
        Err(error) => return publish::misunderstood(&format!("--leaks: {error}")),
    };
    let credentials = match config::credentials(&config::environment(), &targets) {
        Ok(credentials) => credentials,
        Err(errors) => return publish::misconfigured(&errors.to_string()),
    };
    let places = match open(&targets, &credentials) {
        Ok(places) => places,
        Err(error) => return publish::unopened(error),
    };
    let key = match config::operator_key(&config::environment()) {
        Ok(key) => key,
        Err(errors) => return publish::misconfigured(&errors.to_string()),
    };
    let stop = CancellationToken::new();
    tokio::spawn(cancel_on_signal(stop.clone(), args.parent));
    let task = PublishTask {
        data: Layout::new(args.data),
        facts,
        key,
        max_files: args.max_files,
        max_bytes: args.max_bytes,
        leaks,
        progress: Box::new(io::stdout()),
        stop,
    };
    publish::run(task, &places).await
}

fn targets(args: &PublishArgs) -> Result<Targets, String> {
    let target = |name: &str, text: &str| serde_json::from_str(text).map_err(|error| format!("{name}: {error}"));
    Ok(Targets {
        outputs: target("--target", &args.target)?,
        adminlogs: args.adminlogs.as_deref().map(|text| target("--adminlogs", text)).transpose()?,
    })
}

fn open(targets: &Targets, credentials: &StoreCredentials) -> Result<Places, StorageError> {
    let adminlogs = targets.adminlogs.as_ref().map(|target| Place::open(target, &credentials.adminlogs));
    Ok(Places { outputs: Place::open(&targets.outputs, &credentials.outputs)?, adminlogs: adminlogs.transpose()? })
}

/// As process 1 of a container this program gets no signal that it does not handle.
async fn cancel_on_signal(stop: CancellationToken, parent: Parent) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    if parent.watch() {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    }
    stop.cancel();
}

fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "operator-engine publish: {line}");
}
