//! The schedule: sweeping beside the loop, until told to stop.
//!
//! The cron library only rings: it has no control of overlaps, waits for nothing at its end, and misses firings while nobody is
//! there. So it rings into a channel of one place (a run that lasts longer than an interval is followed by one run, not by
//! many), a single worker sweeps, and it is the worker that is awaited. At the start the bell is rung once by hand: whether
//! a firing was missed, the turn's memory says.

use super::{Occasion, SweepError, Sweeper, Swept};
use crate::clock::Schedule;
use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;

/// Sweeps whenever `schedule` says so. `told` hears what came of each time.
///
/// # Errors
///
/// When the scheduler cannot be started.
pub async fn run(
    mut sweeper: Sweeper,
    schedule: Schedule,
    stop: CancellationToken,
    mut told: impl FnMut(Result<Swept, SweepError>) + Send,
) -> Result<(), JobSchedulerError> {
    let (bell, mut rings) = mpsc::channel::<()>(1);
    let _ = bell.try_send(());
    let mut scheduler = JobScheduler::new().await?;
    let job = Job::new_async(schedule.as_str(), move |_, _| {
        let bell = bell.clone();
        Box::pin(async move {
            if bell.try_send(()).is_err() {
                tracing::warn!("a sweep takes longer than from one firing of expiry.schedule to the next");
            }
        })
    })?;
    scheduler.add(job).await?;
    scheduler.start().await?;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(()) = rings.recv() => {}
        }
        told(sweeper.run(Occasion::Schedule(&schedule), &stop, &mut |_, _| {}).await);
    }
    scheduler.shutdown().await
}
