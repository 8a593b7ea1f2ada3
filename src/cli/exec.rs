//! `operator-engine exec`: see [`crate::pod::exec`].

use crate::pod::{
    exec::{self, ExecOptions},
    layout::Layout,
    parent::Parent,
    termination,
};
use std::{path::PathBuf, time::Duration};

/// Run the algorithm's entrypoint, keep its exit status, its log and its limits (inside the algorithm's pod, or the filter's)
#[derive(Debug, Clone, clap::Args)]
pub struct ExecArgs {
    /// The folder that holds transformations, outputs and logs
    #[arg(long, value_name = "DIR", default_value = Layout::IN_POD)]
    pub data: PathBuf,
    /// Where the report goes
    #[arg(long, value_name = "FILE", default_value = termination::DEFAULT_PATH)]
    pub termination_log: PathBuf,
    /// How long the algorithm may run; without limit if not given
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub max_time: Option<Duration>,
    /// How long it may take to end once asked to
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "10")]
    pub grace: Duration,
    /// Where its output goes [default: logs/algorithm.log in the data folder]
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// How much of its output is kept: the beginning and the end
    #[arg(long, value_name = "BYTES", default_value_t = 64 * 1024 * 1024)]
    pub max_log: u64,
    /// The attempt; one after 0 first removes what an earlier one left in outputs and logs
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub attempt: u32,
    /// What runs is a filter: its output goes to adminlogs/filter.log, the algorithm's log is first copied to
    /// adminlogs/algorithm.log, and what it leaves as its termination message stays
    #[arg(long, conflicts_with_all = ["attempt", "as_data"])]
    pub filter: bool,
    /// Show this folder to the algorithm as /data, where the system allows it
    #[arg(long, value_name = "DIR")]
    pub as_data: Option<PathBuf>,
    /// Whom not to outlive.
    #[command(flatten)]
    pub parent: Parent,
    /// The document's entrypoint, as one argument; $ALGO in it stands for the algorithm's file
    #[arg(last = true, required = true, value_name = "ENTRYPOINT")]
    pub entrypoint: String,
}

/// Runs the command and returns the exit status to end with: the algorithm's own, not one of [`crate::exit::Exit`].
///
/// To be called before any thread is started (no runtime, no telemetry): the kernel gives a namespace to a process with
/// one thread only.
pub fn run(args: ExecArgs) -> u8 {
    exec::run(ExecOptions {
        data: args.data,
        entrypoint: args.entrypoint,
        termination_log: args.termination_log,
        log: args.log,
        max_log: args.max_log,
        max_time: args.max_time,
        grace: args.grace,
        attempt: args.attempt,
        filter: args.filter,
        as_data: args.as_data,
        parent: args.parent,
    })
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "not a number of seconds, e.g. 90 or 0.5".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
