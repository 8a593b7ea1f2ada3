//! `delete`: a workflow goes, with its pods and its volume. Its results stay until they expire.

use super::{
    cluster_args::{self, FindArgs, find},
    output::{self, Output},
    refusal::Refusal,
    stop::TRIES,
};
use crate::{
    exit::Exit,
    plan::Failure,
    workflow::{JobId, State},
};
use serde_json::json;
use std::io::{self, Write as _};

/// Delete a workflow, with its pods and its volume.
///
/// What it has stored stays until it expires, but nothing names it any more: get the results first. A workflow that has not
/// ended is deleted with --force only, since what it has done so far is lost; operator-engine stop ends it and keeps that.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct DeleteArgs {
    /// The workflow's name: its job id
    job: JobId,
    /// Also if it has not ended: its pods are killed, and nothing more of it is stored
    #[arg(long)]
    force: bool,
    /// The form of the answer; with json, standard output has one JSON document and nothing else
    #[arg(short, long, value_enum, default_value_t, hide_possible_values = true, value_name = "table|json")]
    output: Output,
    #[command(flatten)]
    cluster: FindArgs,
}

const EXAMPLES: &str = "\
Examples:
  operator-engine delete penguins -n operator-engine-jobs

Exit codes: 0 done · 1 the cluster does not answer, or does not allow it · 4 there is no such workflow
            6 it has not ended, and there is no --force";

/// Runs the command.
pub fn run(args: &DeleteArgs) -> Exit {
    cluster_args::run(args.output, delete(args))
}

async fn delete(args: &DeleteArgs) -> Result<Exit, Refusal> {
    let (cluster, job) = (args.cluster.connect().await?, &args.job);
    for _ in 1..TRIES {
        let found = find(&cluster, job).await?;
        // One that nobody has claimed has nothing to lose.
        if !args.force && !matches!(found.seen.state, Some(State::Done | State::Pending)) {
            let message = format!(
                "{job} has not ended; end it with operator-engine stop {job}, or delete it with --force and lose what it has \
                 done so far"
            );
            return Err(Refusal::new(Exit::NotEnded, message));
        }
        match cluster.delete(&found).await {
            Err(Failure::Conflict) => {}
            deleted => {
                deleted?;
                let out = &mut io::stdout().lock();
                match args.output {
                    Output::Json => output::json(out, &json!({"name": job, "deleted": true}))?,
                    Output::Table => writeln!(out, "{job} is deleted")?,
                }
                return Ok(Exit::Success);
            }
        }
    }
    Err(Failure::Conflict.into())
}
