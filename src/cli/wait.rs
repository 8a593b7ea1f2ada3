//! Waiting for a workflow's end, by asking for its metadata now and then.

use super::{cluster_args, output::Output, refusal::Refusal, show};
use crate::{
    cluster::kube::{Registered, Submitter},
    exit::Exit,
    plan::Failure,
    workflow::{JobId, Phase, State},
};
use std::{
    io::{self, Write as _},
    time::Duration,
};
use tokio::time::Instant;

/// How often it is asked.
const PAUSE: Duration = Duration::from_secs(1);

/// For how long, and how much the cluster may be silent.
pub(super) struct Patience {
    until: Option<Instant>,
    /// Questions in a row without an answer: a minute of an API server that restarts.
    silence: u32,
}

impl Patience {
    pub(super) fn of(timeout: Option<Duration>) -> Self {
        Self { until: timeout.and_then(|timeout| Instant::now().checked_add(timeout)), silence: 60 }
    }
}

/// Waits, tells on standard error how far it is, and shows how it ended.
pub(super) async fn until_ended(
    cluster: &Submitter,
    job: &JobId,
    patience: &Patience,
    form: Output,
) -> Result<Exit, Refusal> {
    let (mut shown, mut unanswered) = (None, 0);
    loop {
        match cluster.find(job).await {
            Ok(Some(found)) => {
                unanswered = 0;
                tell(&found, &mut shown)?;
                if found.seen.state == Some(State::Done) {
                    show::show(cluster, &found, form).await?;
                    let outcome = cluster_args::record(&found)?.and_then(|record| record.outcome);
                    return Ok(outcome.map_or(Exit::Failure, Exit::from));
                }
            }
            Ok(None) => {
                return Err(Refusal::new(Exit::NotFound, format!("{job} was deleted before it had ended")));
            }
            // It changes nothing, so it is asked again.
            Err(Failure::NotDone { .. }) if unanswered < patience.silence => unanswered += 1,
            Err(failure) => return Err(failure.into()),
        }
        if patience.until.is_some_and(|until| Instant::now() >= until) {
            let message =
                format!("{job} has not ended yet; it goes on, and operator-engine show {job} tells how far it is");
            return Err(Refusal::new(Exit::NotEnded, message));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A line for each phase and attempt that is seen.
fn tell(found: &Registered, shown: &mut Option<(u32, Phase, u32)>) -> Result<(), Refusal> {
    let Some(record) = cluster_args::record(found)? else { return Ok(()) };
    let now = (record.round, record.phase, record.attempt);
    if record.phase != Phase::Done && shown.replace(now) != Some(now) {
        let again = if record.attempt > 0 { format!(", attempt {}", record.attempt + 1) } else { String::new() };
        writeln!(io::stderr(), "{} begins{again}", record.place())?;
    }
    Ok(())
}
