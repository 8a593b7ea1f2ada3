//! `operator-engine configure`: the first stage of a workflow, as the engine starts it in a pod or as a child process.
//!
//! Ends with one line in the termination log ([`ConfigureReport`]) and an exit status that says whether it has a fault.
//! A stage that is told to stop (SIGTERM, SIGINT) leaves at once and without a report: it has nothing to say about the
//! workflow.

use crate::{
    cluster::DOCUMENT_KEYS,
    config,
    exit::Exit,
    pod::{
        configure::{self, ConfigureTask, FetchPolicy, Keys},
        layout::Layout,
        parent::Parent,
        termination,
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
    /// The workflow's document. Otherwise it is workflow.json or workflow.yaml in the folder of --documents.
    #[arg(long, value_name = "FILE")]
    pub document: Option<PathBuf>,
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
    #[arg(long, value_name = "FILE", default_value = termination::DEFAULT_PATH)]
    pub termination_log: PathBuf,
    /// The fetch policy as JSON: limits, timeouts, allowed networks. What is absent has its default.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub policy: FetchPolicy,
    /// Which of the document's stages, from 0.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub stage: u32,
    /// The outputs of an earlier stage, as its number, '=' and a folder.
    #[arg(long, value_name = "N=DIR", value_parser = earlier)]
    pub earlier: Vec<(u32, PathBuf)>,
    /// In the local mode, the folder below which file: URLs are read.
    #[arg(long, value_name = "DIR", hide = true)]
    pub local_folder: Option<PathBuf>,
    /// Whom not to outlive.
    #[command(flatten)]
    pub parent: Parent,
}

/// Runs the stage.
pub fn run(args: Args) -> Exit {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("the runtime cannot be started: {error}")),
    };
    let stop = [SignalKind::terminate(), SignalKind::interrupt()];
    let report = runtime.block_on(unless_told_to_stop(stop, args.parent, provision(&args)));
    // A name that is still being looked up on another thread is nobody's concern any more.
    runtime.shutdown_background();
    match report {
        Ok(Some(report)) => finish(&args.termination_log, &report),
        Ok(None) => Exit::Interrupted,
        Err(error) => complain(&format!("signals cannot be received: {error}")),
    }
}

/// Does the work, or answers none as soon as one of the signals asks for that.
async fn unless_told_to_stop<T>(
    [one, other]: [SignalKind; 2],
    parent: Parent,
    work: impl Future<Output = T>,
) -> io::Result<Option<T>> {
    // Process 1 of a container has no default for signals: without a handler it would ignore them.
    let [mut first, mut second] = [signal(one)?, signal(other)?];
    if !parent.watch() {
        return Ok(None);
    }
    tokio::select! {
        done = work => Ok(Some(done)),
        _ = first.recv() => Ok(None),
        _ = second.recv() => Ok(None),
    }
}

async fn provision(args: &Args) -> ConfigureReport {
    let path = args.document.clone().unwrap_or_else(|| document_in(&args.documents));
    let document = match read(&path, args.sha256) {
        Ok(document) => document,
        Err(fault) => return ConfigureReport { fault: Some(fault), files: 0, bytes: 0 },
    };
    let Some(document) = document.stage(args.stage).cloned() else {
        let message = format!("the document has no stages[{}]", args.stage);
        let fault = configure::fault(Code::DataProvisioningFailed, "InvalidDocument", &message);
        return ConfigureReport { fault: Some(fault), files: 0, bytes: 0 };
    };
    let task = ConfigureTask {
        job: args.job.clone(),
        document,
        earlier: args.earlier.iter().cloned().collect(),
        policy: args.policy.clone(),
        keys: Keys::of(&config::environment()),
        layout: Layout::new(&args.data),
        documents_dir: args.documents.clone(),
        local_folder: args.local_folder.clone(),
        // In the local mode the engine starts the wrapper from its own file.
        program: args.local_folder.is_none().then(std::env::current_exe).and_then(Result::ok),
    };
    configure::run(task, &mut io::stdout()).await
}

fn earlier(text: &str) -> Result<(u32, PathBuf), String> {
    let (stage, folder) = text.split_once('=').ok_or("a number, '=' and a folder are expected")?;
    let stage = stage.parse().map_err(|_| format!("'{stage}' is no number of a stage"))?;
    Ok((stage, folder.into()))
}

/// Reads the document that was claimed, and no other: whoever edits it meanwhile does not change what runs.
fn read(path: &Path, sha256: Sha256) -> Result<Document, ConfigureFault> {
    let data = |reason: &str, message: &str| configure::fault(Code::DataProvisioningFailed, reason, message);
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|file| file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        return Err(data("DocumentUnreadable", &format!("the document cannot be read: {error}")));
    }
    if u64::try_from(bytes.len()).is_ok_and(|len| len > MAX_DOCUMENT) {
        return Err(data("DocumentTooLong", &format!("the document has more than {MAX_DOCUMENT} bytes")));
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
    Document::parse(&text).map_err(|faults| {
        let in_algorithm = faults.first().is_some_and(Fault::is_in_algorithm);
        let code = if in_algorithm { Code::AlgorithmProvisioningFailed } else { Code::DataProvisioningFailed };
        let faults = faults.iter().map(ToString::to_string).collect::<Vec<_>>();
        configure::fault(code, "InvalidDocument", &faults.join("; "))
    })
}

/// The document among the files of a mounted ConfigMap.
fn document_in(folder: &Path) -> PathBuf {
    let [first, second] = DOCUMENT_KEYS.map(|key| folder.join(key));
    if first.exists() { first } else { second }
}

fn finish(termination_log: &Path, report: &ConfigureReport) -> Exit {
    if let Err(error) = termination::write(termination_log, report) {
        let (path, line) = (termination_log.display(), render(report));
        return complain(&format!("the report cannot be written to {path}: {error}; it is {line}"));
    }
    if report.fault.is_none() { Exit::Success } else { Exit::Failure }
}

fn complain(message: &str) -> Exit {
    let _ = writeln!(io::stderr(), "configure: {message}");
    Exit::Failure
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::report::parse as parse_report;
    use clap::Parser;
    use nix::sys::signal::{Signal, raise};

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn args(dir: &Path, sha256: Sha256) -> Args {
        let at = |name: &str| dir.join(name).display().to_string();
        let (document, documents, data, log) = (at("documents/workflow.json"), at("documents"), at("data"), at("log"));
        let sha256 = sha256.to_string();
        let line =
            ["configure", "--job", "wf-1", "--document", &document, "--sha256", &sha256, "--documents", &documents];
        let more = ["--data", &data, "--termination-log", &log, "--policy", r#"{"maxFiles":3}"#];
        Cli::try_parse_from(line.into_iter().chain(more)).unwrap().args
    }

    #[test]
    fn a_document_that_changed_after_the_claim_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let args = args(dir.path(), Sha256::of("then"));
        fs::create_dir(&args.documents).unwrap();
        fs::write(args.document.as_ref().unwrap(), "now").unwrap();
        fs::write(&args.termination_log, "x".repeat(5000)).unwrap();
        assert_eq!(run(args.clone()), Exit::Failure);
        let report: ConfigureReport = parse_report(&fs::read_to_string(&args.termination_log).unwrap()).unwrap();
        let fault = report.fault.unwrap();
        assert_eq!((fault.code, fault.reason.as_str()), (Code::DataProvisioningFailed, "DocumentChanged"));
        assert!(!args.data.exists(), "nothing is done for it");
    }

    #[test]
    fn documents_that_are_no_text_too_long_or_absent_end_with_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("workflow.json");
        let reason = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            read(&path, Sha256::of(bytes)).unwrap_err().reason
        };
        assert_eq!(reason(b"\xff"), "InvalidDocument");
        assert_eq!(reason(b"]["), "InvalidDocument");
        let long = usize::try_from(MAX_DOCUMENT).unwrap() + 2;
        assert_eq!(reason(&vec![b' '; long]), "DocumentTooLong");
        assert_eq!(read(&dir.path().join("absent"), Sha256::of("")).unwrap_err().reason, "DocumentUnreadable");
    }

    #[tokio::test]
    async fn a_signal_ends_the_work_at_once() {
        // Not SIGTERM: it would reach the other tests of this process that run the stage.
        let stop = [SignalKind::user_defined2(), SignalKind::interrupt()];
        let work = async {
            raise(Signal::SIGUSR2).unwrap();
            std::future::pending::<()>().await;
        };
        assert_eq!(unless_told_to_stop(stop, Parent::NONE, work).await.unwrap(), None);
        assert_eq!(unless_told_to_stop(stop, Parent::NONE, async { 7 }).await.unwrap(), Some(7));
    }
}
