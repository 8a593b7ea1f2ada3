//! `stop`: the workflow is to end; what there is by then is published.

use super::{
    cluster_args::{self, FindArgs, find},
    output::{self, Output},
    refusal::Refusal,
};
use crate::{
    cluster::kube::{Registered, Submitter},
    exit::Exit,
    plan::Failure,
    workflow::{JobId, State},
};
use serde_json::json;
use std::io::{self, Write as _};

/// Stop a workflow: its algorithm is ended, and what there is by then is published.
///
/// It does not wait for the end; operator-engine show tells of it. Stopping a workflow that has ended, or is being stopped,
/// changes nothing.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct StopArgs {
    /// The workflow's name: its job id
    job: JobId,
    /// The form of the answer; with json, standard output has one JSON document and nothing else
    #[arg(short, long, value_enum, default_value_t, hide_possible_values = true, value_name = "table|json")]
    output: Output,
    #[command(flatten)]
    cluster: FindArgs,
}

const EXAMPLES: &str = "\
Examples:
  operator-engine stop penguins -n operator-engine-jobs

Exit codes: 0 done · 1 the cluster does not answer, or does not allow it · 4 there is no such workflow";

/// How often it is tried against an engine that writes to the workflow at the same moment.
pub(super) const TRIES: usize = 10;

/// Runs the command.
pub fn run(args: &StopArgs) -> Exit {
    cluster_args::run(args.output, stop(args))
}

async fn stop(args: &StopArgs) -> Result<Exit, Refusal> {
    let cluster = args.cluster.connect().await?;
    let (found, asked) = ask_to_stop(&cluster, &args.job).await?;
    let out = &mut io::stdout().lock();
    if args.output == Output::Json {
        output::json(out, &json!({"name": found.name(), "state": found.label, "changed": asked}))?;
    } else if asked {
        writeln!(out, "{} is being stopped", found.name())?;
    } else if found.seen.state == Some(State::Done) {
        writeln!(out, "{} has ended already", found.name())?;
    } else {
        writeln!(out, "{} is being stopped already", found.name())?;
    }
    Ok(Exit::Success)
}

/// The workflow as it is then, and whether that is new.
async fn ask_to_stop(cluster: &Submitter, job: &JobId) -> Result<(Registered, bool), Refusal> {
    for _ in 1..TRIES {
        let found = find(cluster, job).await?;
        if matches!(found.seen.state, Some(State::Stopping | State::Done)) {
            return Ok((found, false));
        }
        match cluster.set_state(&found, State::Stopping).await {
            Err(Failure::Conflict) => {}
            changed => return Ok((changed?, true)),
        }
    }
    Err(Failure::Conflict.into())
}
