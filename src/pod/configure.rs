//! The first stage: fetches the data sets and the algorithm into the workflow's folders.
//!
//! ```text
//! run ── tree::prepare        folders, log, a copy of this program; what an earlier attempt left is removed
//!     ├─ every input          ddos/<did>, inputs/<did>/0, 1, …    a failure does not keep the others from being tried
//!     └─ the algorithm        inputs/algoCustomData.json, transformations/algorithm, 1, 2, …    if no input failed
//! ```
//!
//! A data set that is an earlier stage's outputs is copied, not linked: what is read then is what was hashed, and its mode is ours.
//!
//! Order and names are those of the engine this one replaces, because algorithm images know them. Running again gives
//! the same tree; nothing is remembered between runs.
//!
//! What it promises: a file under its final name is whole, within the limits of the [`FetchPolicy`], and has the digest
//! that the document gives. Connections are made only to addresses that the policy allows (`guard`). No log line, fault
//! or error holds a URL's query, fragment or credentials.
//!
//! What is absent: the cluster (the stage reads its document from a file and speaks through its report), and unpacking.

mod answer;
mod arweave;
mod assets;
mod earlier;
mod fault;
mod fetch;
mod guard;
mod http;
mod ipfs;
mod journal;
mod keys;
mod local;
mod network;
mod percent;
mod policy;
mod provider;
mod reserved;
mod resume;
mod retry;
mod s3;
mod sink;
mod tree;

#[cfg(test)]
mod tests;

pub use keys::Keys;
pub use network::{InvalidNetwork, Network};
pub use policy::{FetchPolicy, S3Policy};

use super::layout::Layout;
use crate::workflow::{
    Code, Document, JobId,
    report::{ConfigureFault, ConfigureReport, clip},
};
use fault::DiskError;
use fetch::Fetcher;
use guard::{Lookup, SystemLookup};
use journal::Journal;
use std::{collections::BTreeMap, io::Write, path::PathBuf, sync::Arc};

/// The longest message of a fault, in bytes. Escaped as JSON it is at most twice as long, which leaves room in a report
/// of 4096.
const MAX_MESSAGE: usize = 1500;

/// What to provision, and where.
#[derive(Debug, Clone)]
pub struct ConfigureTask {
    /// The workflow.
    pub job: JobId,
    /// What it asks for: one of its stages. The first has the later ones in it, and makes their folders.
    pub document: Document,
    /// The outputs of the earlier stages that it takes.
    pub earlier: BTreeMap<u32, PathBuf>,
    /// What that may cost and where it may be fetched from.
    pub policy: FetchPolicy,
    /// What may be used for it; only what the document needs is there.
    pub keys: Keys,
    /// The folders to fill.
    pub layout: Layout,
    /// A folder in which every key of the workflow's ConfigMap is a file; `inline:KEY` reads them.
    pub documents_dir: PathBuf,
    /// Only in the local mode: the folder below which `file:` URLs are read.
    pub local_folder: Option<PathBuf>,
    /// This program's own file, to be copied to `bin` for the algorithm's pod.
    pub program: Option<PathBuf>,
}

/// Provisions a workflow. Lines about it go to `adminlogs/configure.log` and to `out`.
///
/// May be dropped at any await, and run again. Needs a tokio runtime with I/O and time.
pub async fn run(task: ConfigureTask, out: &mut (dyn Write + Send)) -> ConfigureReport {
    run_with(task, out, Arc::new(SystemLookup)).await
}

async fn run_with(task: ConfigureTask, out: &mut (dyn Write + Send), lookup: Arc<dyn Lookup>) -> ConfigureReport {
    let mut journal = Journal::new(out);
    journal.line(format!("configure: workflow {}, document {}", task.job, task.document.sha256));
    if let Err(error) = prepare(&task).await {
        let fault = fault(Code::DataProvisioningFailed, error.reason(), &error.to_string());
        journal.line(format!("failed: {}", fault.message));
        return ConfigureReport { fault: Some(fault), files: 0, bytes: 0 };
    }
    journal.open(&task.layout.adminlogs().join("configure.log"));
    let fetcher = Fetcher::new(&task, lookup, journal);
    assets::provision(&task, fetcher).await
}

async fn prepare(task: &ConfigureTask) -> Result<(), DiskError> {
    let (layout, program, later) = (task.layout.clone(), task.program.clone(), task.document.later.len());
    let prepare = move || {
        tree::prepare(&layout, program.as_deref())?;
        (1..=later).try_for_each(|round| {
            tree::own_folder(layout.clone().of_round(u32::try_from(round).unwrap_or(u32::MAX)).root())
        })
    };
    let prepared = tokio::task::spawn_blocking(prepare).await;
    prepared.map_err(std::io::Error::other).map_err(DiskError::while_doing("preparing the folders"))?
}

/// A fault that fits into a report.
pub(crate) fn fault(code: Code, reason: &str, message: &str) -> ConfigureFault {
    ConfigureFault { code, reason: reason.to_owned(), message: clip(message, MAX_MESSAGE) }
}
