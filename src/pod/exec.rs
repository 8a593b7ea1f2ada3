//! The wrapper around the algorithm: process 1 of its pod, or a child process in the local mode.
//!
//! ```text
//!   start ──► running ──ends by itself──► sweep ──► report, exit with its status
//!               │                           ▲
//!               ├─ SIGTERM, or time is up ──► SIGTERM to its group ──► all end, or SIGKILL after the grace period
//!               └─ cannot be started: 127 (not found) or 126, with the reason in the report
//! ```
//!
//! The old engine ran `sh -c "… | tee"` and so saw tee's exit status, forwarded no signal and let daemons write on while
//! results were published. Here the status is the algorithm's own, and nothing of it outlives this process. Exec knows
//! no cluster and no storage, and its report opens no gate: an algorithm's author could write the same.

mod as_data;
mod capped_log;
mod entrypoint;
mod family;
mod keep;
mod leftovers;
mod quoting;
mod start;
mod supervise;
mod tee;
mod usage;

pub use family::{adopt_orphans, kill_orphans, kill_tree};
pub use leftovers::clear;

use crate::{
    pod::{layout::Layout, parent::Parent, termination},
    workflow::report::{ExecReport, clip},
};
use std::{
    io::{self, Write as _},
    path::PathBuf,
    sync::mpsc,
    thread,
    time::Duration,
};

/// The exit status for what was found but could not be started, as shells have it.
pub const CANNOT_START: u8 = 126;
/// The exit status for what was not found, as shells have it.
pub const NOT_FOUND: u8 = 127;
/// The most bytes of the reason in a report.
const MAX_ERROR_LEN: usize = 1024;

/// What to run and within which bounds. The algorithm inherits this process's environment.
#[derive(Debug, Clone)]
pub struct ExecOptions {
    /// The folder that holds `transformations`, `outputs` and `logs`.
    pub data: PathBuf,
    /// The document's entrypoint, with `$ALGO` in it.
    pub entrypoint: String,
    /// Where the report goes.
    pub termination_log: PathBuf,
    /// Where the algorithm's output goes; `logs/algorithm.log`, or for a filter its own log, unless given.
    pub log: Option<PathBuf>,
    /// The most bytes of its output that are kept there.
    pub max_log: u64,
    /// How long it may run; without limit if absent.
    pub max_time: Option<Duration>,
    /// How long it may take to end after SIGTERM.
    pub grace: Duration,
    /// The attempt, from 0. A later one begins by removing what an earlier one left in outputs and logs.
    pub attempt: u32,
    /// What runs is a filter: its output goes to `adminlogs/filter.log`, the algorithm's log is kept beside it as it was
    /// before, and what it wrote as its own termination message stays.
    pub filter: bool,
    /// A folder to show the algorithm as `/data`, where the system allows it.
    pub as_data: Option<PathBuf>,
    /// Whom not to outlive: at its end the algorithm is killed without grace, since nobody waits for it any more.
    pub parent: Parent,
}

/// Runs the algorithm to its end and returns the exit status this process is to end with: the algorithm's own,
/// 128 + the number of the signal that ended it, or [`CANNOT_START`] or [`NOT_FOUND`].
///
/// To be called from a process of its own that has one thread and no children: all children are taken for the
/// algorithm's, and killed at its end. A report is written in every case; a failure to write it is told on standard
/// error and changes nothing.
pub fn run(options: ExecOptions) -> u8 {
    let (report, status) = run_to_report(&options);
    if options.filter && termination::is_written(&options.termination_log) {
        return status;
    }
    if let Err(error) = termination::write(&options.termination_log, &report) {
        complain(&format!("cannot write the report to {}: {error}", options.termination_log.display()));
    }
    status
}

fn run_to_report(options: &ExecOptions) -> (ExecReport, u8) {
    let failed = |what: &str, error: io::Error| {
        let error = Some(clip(&format!("{what}: {error}"), MAX_ERROR_LEN));
        (ExecReport { error, ..ExecReport::default() }, CANNOT_START)
    };
    let (layout, log) = match absolute_paths(options) {
        Ok(paths) => paths,
        Err(error) => return failed("the data folder has no absolute path", error),
    };
    let note = options.as_data.as_deref().and_then(|folder| {
        let needed = [layout.root(), &log, &options.termination_log];
        let error = as_data::enter(folder, &needed).err()?;
        let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
        Some(format!("/data is not this workflow's folder ({error}{cause}); use the paths in INPUTS, OUTPUTS and LOGS"))
    });
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed("no event loop can be set up", error),
    };
    let done = runtime.block_on(supervise::supervise(options, &layout, &log, note));
    runtime.shutdown_background();
    done
}

/// A shell or a change of directory must not give the paths another meaning.
fn absolute_paths(options: &ExecOptions) -> io::Result<(Layout, PathBuf)> {
    let layout = Layout::new(std::path::absolute(&options.data)?);
    let log = match &options.log {
        Some(path) => std::path::absolute(path)?,
        None if options.filter => layout.adminlogs().join(FILTER_LOG),
        None => layout.logs().join(ALGORITHM_LOG),
    };
    Ok((layout, log))
}

/// The log's name in `logs`, which clients know, and of a copy in `adminlogs` where a filter may rewrite it.
pub const ALGORITHM_LOG: &str = "algorithm.log";
/// The name of a filter's log in `adminlogs`, which clients know.
pub const FILTER_LOG: &str = "filter.log";

/// Tells of something on standard error, if that is still there and somebody reads it.
fn complain(line: &str) {
    let line = format!("operator-engine exec: {line}\n");
    let (done, told) = mpsc::channel();
    thread::spawn(move || {
        let _ = io::stderr().write_all(line.as_bytes());
        let _ = done.send(());
    });
    let _ = told.recv_timeout(Duration::from_secs(1));
}
