//! `operator-engine configure`: the first stage of a workflow, as the engine starts it in a pod or as a child process.
//!
//! Ends with one line in the termination log ([`ConfigureReport`]) and an exit status that says whether it has a fault.
//! A stage that is told to stop (SIGTERM, SIGINT) leaves at once and without a report: it has nothing to say about the
//! workflow.

use crate::{
    exit::Exit,
    pod::{
        configure::{self, ConfigureTask, FetchPolicy},
        layout::Layout,
    },
    workflow::{
        Code, Document, JobId,
        digest::Sha256,
        document::Fault,
        report::{ConfigureFault, ConfigureReport, render},
    },
};
use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};
use tokio::signal::unix::{SignalKind, signal};

/// The longest document, in bytes. A ConfigMap has at most 1 MiB
/// (kubernetes.io/docs/concepts/configuration/configmap), the local mode none more.
const MAX_DOCUMENT: u64 = 1 << 20;

/// Fetch a workflow's data sets and algorithm into its folders. The engine runs this in the workflow's first pod.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The workflow's job id.
    #[arg(long, value_name = "ID")]
    pub job: JobId,
    /// The workflow's document.
    #[arg(long, value_name = "FILE")]
    pub document: PathBuf,
    /// The SHA-256 that the document had when the workflow was claimed; another one is refused.
    #[arg(long, value_name = "HEX")]
    pub sha256: Sha256,
    /// A folder with every key of the workflow's ConfigMap as a file, for inline: URLs.
    #[arg(long, value_name = "DIR")]
    pub documents: PathBuf,
    /// The folder to fill.
    #[arg(long, value_name = "DIR", default_value = Layout::IN_POD)]
    pub data: PathBuf,
    /// Where to write the report.
    #[arg(long, value_name = "FILE", default_value = "/dev/termination-log")]
    pub termination_log: PathBuf,
    /// The fetch policy as JSON: limits, timeouts, allowed networks. What is absent has its default.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub policy: FetchPolicy,
    /// In the local mode, the folder below which file: URLs are read.
    #[arg(long, value_name = "DIR", hide = true)]
    pub local_folder: Option<PathBuf>,
}

/// Runs the stage.
pub fn run(args: Args) -> Exit {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("the runtime cannot be started: {error}")),
    };
    let report = runtime.block_on(async {
        // Process 1 of a container has no default for signals: without a handler it would ignore them.
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::select! {
            report = provision(&args) => io::Result::Ok(Some(report)),
            _ = terminate.recv() => Ok(None),
            _ = interrupt.recv() => Ok(None),
        }
    });
    // A name that is still being looked up on another thread is nobody's concern any more.
    runtime.shutdown_background();
    match report {
        Ok(Some(report)) => finish(&args.termination_log, &report),
        Ok(None) => Exit::Interrupted,
        Err(error) => complain(&format!("signals cannot be received: {error}")),
    }
}

async fn provision(args: &Args) -> ConfigureReport {
    let document = match read(&args.document, args.sha256) {
        Ok(document) => document,
        Err(fault) => return ConfigureReport { fault: Some(fault), files: 0, bytes: 0 },
    };
    let task = ConfigureTask {
        job: args.job.clone(),
        document,
        policy: args.policy.clone(),
        layout: Layout::new(&args.data),
        documents_dir: args.documents.clone(),
        local_folder: args.local_folder.clone(),
        program: std::env::current_exe().ok(),
    };
    configure::run(task, &mut io::stdout()).await
}

/// Reads the document that was claimed, and no other: whoever edits it meanwhile does not change what runs.
fn read(path: &Path, sha256: Sha256) -> Result<Document, ConfigureFault> {
    let data = |reason: &str, message: &str| configure::fault(Code::DataProvisioningFailed, reason, message);
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        return Err(data("DocumentUnreadable", &format!("the document cannot be read: {error}")));
    }
    let actual = Sha256::of(&bytes);
    if actual != sha256 {
        let message = format!(
            "the document has changed since the workflow was claimed (SHA-256 {actual}, then {sha256}); \
             register another workflow instead of editing one that runs"
        );
        return Err(data("DocumentChanged", &message));
    }
    let text = String::from_utf8(bytes).map_err(|_| data("InvalidDocument", "the document is not UTF-8"))?;
    parse(&text).map_err(|faults| {
        let in_algorithm = faults.first().is_some_and(Fault::is_in_algorithm);
        let code = if in_algorithm { Code::AlgorithmProvisioningFailed } else { Code::DataProvisioningFailed };
        let faults = faults.iter().map(ToString::to_string).collect::<Vec<_>>();
        configure::fault(code, "InvalidDocument", &faults.join("; "))
    })
}

/// The one place where text becomes a document.
fn parse(text: &str) -> Result<Document, Vec<Fault>> {
    let _ = text;
    Err(vec![Fault { path: String::new(), message: "this build cannot read documents".to_owned() }])
}

fn finish(termination_log: &Path, report: &ConfigureReport) -> Exit {
    let line = render(report);
    // Truncated in place: in a pod this file is a mount, which cannot be renamed over.
    if let Err(error) = fs::write(termination_log, format!("{line}\n")) {
        return complain(&format!(
            "the report cannot be written to {}: {error}; it is {line}",
            termination_log.display()
        ));
    }
    if report.fault.is_none() { Exit::Success } else { Exit::Failure }
}

fn complain(message: &str) -> Exit {
    let _ = writeln!(io::stderr(), "configure: {message}");
    Exit::Failure
}
