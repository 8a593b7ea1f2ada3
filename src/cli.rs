//! The command line: one file per command.

pub mod check;
pub mod cluster_args;
pub mod config_args;
pub mod configure;
pub mod delete;
pub mod exec;
pub mod list;
pub mod load;
pub mod local;
pub mod logs;
pub mod output;
pub mod publish;
pub mod refusal;
pub mod results;
pub mod run;
pub mod show;
pub mod stop;
mod stored;
mod stores;
pub mod submit;
pub mod sweep;
mod templates;
mod wait;

use crate::workflow::{Document, report::with_causes as chain};
use std::{io, path::Path, process::ExitCode};

/// The program's arguments.
#[derive(Debug, clap::Parser)]
#[command(version, about, long_about = ABOUT, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    // What these are for is said at their arguments, at length.
    Run(run::RunArgs),
    Local(local::LocalArgs),
    Check(check::CheckArgs),
    Submit(submit::SubmitArgs),
    List(list::ListArgs),
    Show(show::ShowArgs),
    Logs(logs::LogsArgs),
    Results(Box<results::ResultsArgs>),
    Stop(stop::StopArgs),
    Delete(delete::DeleteArgs),
    Sweep(sweep::SweepArgs),
    /// (In pods) Fetch a workflow's data sets and algorithm.
    Configure(Box<configure::Args>),
    /// (In pods) Run the algorithm, keep its exit status and its log.
    Exec(exec::ExecArgs),
    /// (In pods) Store outputs and logs.
    Publish(publish::PublishArgs),
}

const ABOUT: &str = "\
Runs compute-to-data workflows on Kubernetes, without a CRD, a watch or a right outside its
namespaces.

A workflow brings an algorithm to data that its owner does not give away: inputs and algorithm are
fetched, the algorithm runs, what came out is stored.

To begin, run an example on this machine, without a cluster:

    operator-engine local manifests/examples/penguins/workflow.yaml";

const EXIT_CODES: &str = "\
Exit codes:
  0  done                      1  the engine failed
  2  wrong usage               3  the configuration cannot be used
  4  no such workflow          5  the name is taken
  6  it has not ended yet      7  it has no results
  8  its results are not what they should be
and of a workflow:
 10  failed                   11  stopped
 12  its time was up          13  its results were withheld
 14  refused: its document is unusable, and nothing ran
130  interrupted twice";

/// Runs a command to its end.
pub fn run(cli: Cli) -> ExitCode {
    // Several TLS libraries may be linked; which one is used is said once. An error means that it was said already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match cli.command {
        Command::Run(args) => run::run(&args).into(),
        Command::Local(args) => local::run(&args).into(),
        Command::Check(args) => check::run(args, read, &mut io::stdout().lock(), &mut io::stderr().lock()).into(),
        Command::Submit(args) => submit::run(&args).into(),
        Command::List(args) => list::run(&args).into(),
        Command::Show(args) => show::run(&args).into(),
        Command::Logs(args) => logs::run(&args).into(),
        Command::Results(args) => results::run(&args).into(),
        Command::Stop(args) => stop::run(&args).into(),
        Command::Delete(args) => delete::run(&args).into(),
        Command::Sweep(args) => sweep::run(&args).into(),
        Command::Configure(args) => configure::run(*args).into(),
        Command::Exec(args) => exec::run(args).into(),
        Command::Publish(args) => publish::run(args).into(),
    }
}

/// A workflow file as a document.
fn read(path: &Path) -> Result<check::Readable, check::Unusable> {
    let loaded = load::load(path).map_err(|error| check::Unusable::Unreadable(chain(&error)))?;
    let document = Document::parse(&loaded.text()).map_err(check::Unusable::Faults)?;
    Ok(check::Readable { document, warnings: loaded.oddities() })
}

/// What commands run on that wait for networks.
fn runtime() -> Result<tokio::runtime::Runtime, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|error| format!("the runtime cannot be started: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
