//! Sweeping beside the loop.

use crate::{
    cli::{chain, stores},
    clock::Clock,
    cluster::archive::Archive,
    config::{Config, ConfigErrors},
    http::{Pages, SweepNumbers},
    sweep::{Report, SweepError, Sweeper, Swept, report::Fate, scheduled},
};
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How many failures of one run are logged one by one.
const FAILURES_TOLD: usize = 10;

/// Sweeps by the schedule until `stop`; the handle ends when the run in hand has. None where nothing is scheduled.
pub(super) fn start(
    config: &Config,
    environment: &[(String, String)],
    archive: Arc<dyn Archive>,
    clock: Arc<dyn Clock>,
    me: String,
    pages: Pages,
    stop: CancellationToken,
) -> Result<Option<JoinHandle<()>>, ConfigErrors> {
    let (Some(open), Some(schedule)) = (stores::opener(config, environment)?, config.expiry.schedule.clone()) else {
        return Ok(None);
    };
    let sweeper = Sweeper::new(archive, open, clock, stores::policy(config), me, config.cadence.request_timeout);
    let mut log = Log::default();
    let told = move |swept| {
        if let Some(numbers) = log.tell(swept) {
            pages.swept(&numbers);
        }
    };
    Ok(Some(tokio::spawn(async move {
        if let Err(error) = scheduled::run(sweeper, schedule, stop, told).await {
            tracing::error!(%error, "expired results are not looked for: the schedule cannot be kept");
        }
    })))
}

/// What was said of stores that cannot be seen: once, until it changes.
#[derive(Default)]
struct Log {
    stores: Vec<String>,
}

impl Log {
    /// Says what came of a firing; answers with its numbers if there was a run, or should have been one.
    fn tell(&mut self, swept: Result<Swept, SweepError>) -> Option<SweepNumbers> {
        match swept {
            Ok(Swept::Done(report)) => {
                self.run(&report);
                Some(numbers(&report))
            }
            Ok(Swept::NotDue) => {
                tracing::debug!("another engine has looked for expired results");
                None
            }
            Ok(Swept::Elsewhere { holder }) => {
                tracing::debug!(holder, "another process looks for expired results");
                None
            }
            Err(error) => {
                tracing::warn!(error = chain(&error), "expired results could not be looked for");
                Some(SweepNumbers::default())
            }
        }
    }

    fn run(&mut self, report: &Report) {
        if let Some(distrust) = &report.distrust {
            tracing::warn!(distrust, "nothing expired is deleted: the time is in doubt");
            return;
        }
        let stores: Vec<_> =
            report.stores_failed.iter().map(|failed| format!("{}: {}", failed.store, failed.error)).collect();
        if stores != self.stores {
            for error in &stores {
                tracing::warn!(error, "a store cannot be looked through for expired results");
            }
            self.stores = stores;
        }
        let failed = report.lines.iter().filter_map(|line| match &line.fate {
            Fate::Failed { error } => Some((&line.job, error)),
            _ => None,
        });
        for (job, error) in failed.take(FAILURES_TOLD) {
            tracing::warn!(workflow.id = job, error, "an expired result is still there");
        }
        tracing::info!(
            found = report.found,
            deleted = report.deleted,
            already_gone = report.already_gone,
            failed = report.failed,
            skipped = report.skipped.values().sum::<u64>(),
            bytes = report.bytes,
            records_deleted = report.records_deleted,
            complete = report.complete,
            "looked for expired results"
        );
    }
}

fn numbers(report: &Report) -> SweepNumbers {
    SweepNumbers {
        found: report.found,
        deleted: report.deleted,
        already_gone: report.already_gone,
        failed: report.failed,
        skipped: report.skipped.values().sum(),
        bytes: report.bytes,
        records_deleted: report.records_deleted,
        well: report.complete && !report.has_failures(),
        at: report.at.as_second(),
    }
}
