//! `sweep`: delete what is past its time, once; or say what would be.

mod answer;

use super::{chain, config_args::ConfigArgs, output::Output, run as engine, runtime, stores};
use crate::{
    clock::SystemClock,
    cluster::kube::{ConnectError, Kube, connect},
    config::{self, Config},
    exit::Exit,
    sweep::{Occasion, SweepError, Sweeper, Swept},
    telemetry::{self, Form},
};
use answer::Progress;
use std::{
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};
use tokio_util::sync::CancellationToken;

/// Delete results whose time is up, once, as the engine does by its schedule.
///
/// Nothing goes that an earlier run (of this command, or of an engine) at least expiry.confirm_after before did not find
/// expired as well. The stores' credentials are taken from the environment, under the names that publish pods know.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct SweepArgs {
    /// Say what would be deleted, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Instead, enter all recorded results in their store's index again: for an IPFS node that lost its MFS
    #[arg(long, conflicts_with = "dry_run")]
    relink: bool,
    /// The kubeconfig to use instead of the pod's service account
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
    /// The form of the answer; with json, standard output has one JSON document and nothing else
    #[arg(short, long, value_enum, default_value_t, hide_possible_values = true, value_name = "table|json")]
    output: Output,
}

const EXAMPLES: &str = "\
Examples:
  operator-engine sweep --config site.toml --dry-run
  operator-engine sweep --config site.toml -o json | jq .deleted

Exit codes: 0 all is well, whatever was left for a reason · 1 something could not be seen or
deleted, or the time is in doubt · 3 the configuration cannot be used";

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the cluster cannot be reached")]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Sweep(#[from] SweepError),
    #[error("another process is at it ({0}); try again when it has ended")]
    Elsewhere(String),
    #[error("signals cannot be received")]
    Signals(#[source] io::Error),
    #[error("the answer cannot be written")]
    Output(#[from] io::Error),
}

/// Runs the command.
pub fn run(args: &SweepArgs) -> Exit {
    let complain = |text: &str| {
        let _ = writeln!(io::stderr(), "error: {text}");
    };
    let loaded = match args.config.load() {
        Ok(loaded) => loaded,
        Err(errors) => {
            complain(&errors.to_string());
            return Exit::Configuration;
        }
    };
    for warning in &loaded.warnings {
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
    // What goes wrong on the way; what comes of it is the answer.
    telemetry::start(Form::Auto, "warn");
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&error);
            return Exit::Failure;
        }
    };
    let config = &loaded.config;
    let (settings, open) = match (engine::settings(config), stores::opener(config, &config::environment())) {
        (Ok(settings), Ok(Some(open))) => (settings, open),
        (Err(error), _) => {
            complain(&chain(&error));
            return Exit::Configuration;
        }
        (_, Err(errors)) => {
            complain(&errors.to_string());
            return Exit::Configuration;
        }
        (_, Ok(None)) => {
            complain("nothing says where results are: set storage.kind and what it needs");
            return Exit::Configuration;
        }
    };
    runtime.block_on(drive(args, config, settings, open)).unwrap_or_else(|error| {
        complain(&chain(&error));
        Exit::Failure
    })
}

async fn drive(
    args: &SweepArgs,
    config: &Config,
    settings: crate::cluster::manifest::Settings,
    open: crate::sweep::Opener,
) -> Result<Exit, Error> {
    let limit = config.cadence.request_timeout;
    let connection = connect(args.kubeconfig.as_deref(), limit).await?;
    let namespace = config.engine.jobs_namespace.clone().unwrap_or(connection.namespace);
    let clock = Arc::new(SystemClock::new());
    let me = engine::identity(config, &*clock).identity;
    let archive = Arc::new(Kube::new(&connection.client, &namespace, settings).with_secrets(config.workflows.secrets));
    let mut sweeper = Sweeper::new(archive, open, clock, stores::policy(config), me, limit);
    if args.relink {
        let report = sweeper.relink().await?;
        answer::relinked(&report, args.output, &mut io::stdout().lock())?;
        return Ok(if report.failures.is_empty() && report.lost.is_empty() { Exit::Success } else { Exit::Failure });
    }
    let stop = CancellationToken::new();
    engine::end_on_signal(stop.clone()).map_err(|error| Error::Signals(io::Error::other(error.to_string())))?;
    let occasion = if args.dry_run { Occasion::DryRun } else { Occasion::Request };
    let progress = Progress::new();
    let swept = sweeper.run(occasion, &stop, &mut |done, all| progress.show(done, all)).await;
    progress.end();
    match swept? {
        Swept::Done(report) => {
            answer::swept(&report, args.output, &mut io::stdout().lock())?;
            let well = report.complete && !report.has_failures();
            Ok(if well { Exit::Success } else { Exit::Failure })
        }
        Swept::Elsewhere { holder } => Err(Error::Elsewhere(holder)),
        // Only a schedule has firings.
        Swept::NotDue => Ok(Exit::Success),
    }
}
