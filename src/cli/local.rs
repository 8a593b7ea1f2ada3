//! `local`: one workflow on this machine, without a cluster, through the engine's own core.
//!
//! It registers the workflow in a cluster in memory whose pods are child processes, runs the supervisor until the workflow
//! is at its end, and says where the results lie. Nothing of the way is shorter than on a cluster: the same plans, records
//! and stages.

mod error;
mod follow;
mod interrupt;
mod progress;
mod session;
mod summary;
mod work;

use super::{chain, config_args::ConfigArgs, load, output::Output, refusal::Refusal};
use crate::{config, exit::Exit, telemetry, workflow::JobId};
use session::Session;
use std::{
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

/// Run one workflow on this machine, without a cluster.
///
/// FILE is a document, or the manifest of the ConfigMap that one would apply to a cluster; a document's inline: and
/// file: urls name files in its own folder. The workflow goes through the same stages as on a cluster: its inputs and
/// its algorithm are fetched, the algorithm runs, its outputs and logs are stored.
///
/// The algorithm runs with this machine's programs and your rights: its container image is not used, and nothing isolates
/// it. Run only what you would run by hand. It sees the variables INPUTS, OUTPUTS, LOGS, DIDS and so on, and the folder
/// /data where the system allows it (user namespaces); its inputs are its own copies.
///
/// Ctrl-C stops the algorithm and stores what there is by then. A second Ctrl-C leaves at once.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct LocalArgs {
    /// The workflow: a document, or a ConfigMap manifest, in YAML or JSON
    file: PathBuf,
    /// Where results go: each run gets a folder here, named after its job id
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
    /// The job id [default: the workflow's name and eight characters that differ from run to run]
    #[arg(long, value_name = "ID")]
    name: Option<JobId>,
    /// How long the algorithm may run, such as 90s or 2h; the document's maxtime may be less
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = config::duration::parse)]
    timeout: Duration,
    /// Keep the work folder: inputs, outputs, logs, and what each stage printed
    #[arg(long)]
    keep: bool,
    /// The form of the answer; with json, standard output has one JSON document and nothing else
    #[arg(short, long, value_enum, default_value_t, hide_possible_values = true, value_name = "table|json")]
    output: Output,
    /// Show the engine's own log, on standard error
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

const EXAMPLES: &str = "\
Examples:
  operator-engine local manifests/examples/penguins/workflow.yaml
  operator-engine local workflow.json --out /tmp/results --name try-1 --keep
  operator-engine local workflow.json -o json 2>/dev/null | jq -r .directory

Exit codes:
    0  succeeded                  1  the engine failed, or a folder cannot be used
   10  the workflow failed        2  wrong usage
   11  stopped                    3  the configuration cannot be used
   12  its time was up           14  refused: the document is unusable, and nothing ran
  130  interrupted twice: left at once, nothing was stored";

/// Runs the command.
pub fn run(args: &LocalArgs) -> Exit {
    telemetry::start(telemetry::Form::Human, if args.verbose { "info" } else { "error" });
    let (config, loaded) = match (args.config.load(), load::load(&args.file)) {
        (Err(errors), _) => return fail(args, Exit::Configuration, &errors.to_string()),
        (_, Err(error)) => return fail(args, Exit::WorkflowRefused, &chain(&error)),
        (Ok(config), Ok(loaded)) => (config, loaded),
    };
    for warning in &config.warnings {
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
    if config.config.images.filter.is_some() {
        let _ = writeln!(
            io::stderr(),
            "warning: images.filter is set, and not run here: nothing looks at outputs before they leave"
        );
    }
    // One thread: the kernel ties the stages' lives to the thread that starts them.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(args, Exit::Failure, &format!("the runtime cannot be started: {error}")),
    };
    let done = runtime.block_on(async { Session::prepare(args, &config.config, loaded)?.run(args).await });
    done.unwrap_or_else(|error| fail(args, error.exit(), &chain(&error)))
}

/// Says why there is no record to show, on standard error and, for a program, as the one JSON document on standard output.
fn fail(args: &LocalArgs, exit: Exit, error: &str) -> Exit {
    Refusal::new(exit, error).tell(args.output, &mut io::stdout().lock(), &mut io::stderr().lock())
}
