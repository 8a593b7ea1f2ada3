//! Expiry: results whose time is up are deleted from storage, their records say so, and in the end the records go too.
//!
//! ```text
//!   clocks ──▶ turn ──▶ lists ──────────▶ each workflow: decide ──▶ read its record again ──▶ delete ──▶ mark ──▶ report
//!   believed?  ours?    stores, then               pure             nothing is acted upon      manifest   by compare-
//!                       all workflows                               that is not so now         last       and-swap
//! ```
//!
//! Results are found in the records of finished workflows *and* in the stores, so that a deleted ConfigMap leaks nothing;
//! [`decide`] has the rules. Everything is listed before anything is deleted: a store that cannot be listed, or shows nothing
//! at all, is never taken for one whose results are gone.
//!
//! # What keeps a wrong clock from deleting
//!
//! - **Several clocks** ([`clocks`]). A result is expired when it is so by this machine's clock, the API server's and the
//!   store's (where it has one), and these must be near one another. A clock that moves otherwise than the monotonic one
//!   did since the last run of this process is not believed.
//! - **Two runs** ([`memory`]). What is deleted must have been past its time at an earlier run too, `confirm_after` before.
//!   That is remembered in the cluster, so it holds for several engines, for restarts, and for the one-shot command: the
//!   first run ever deletes nothing, and a jump forward makes nothing expire before the run after the next.
//! - **A share**: one run deletes `max_per_run` results at most.
//!
//! Not promised: that a time which *all* clocks agree on for longer than a whole interval of the schedule is recognised as
//! wrong; and, if a workflow's ConfigMap is deleted and its *name is used again* in the very seconds in which the results of its
//! namesake are being deleted, that the new one's are spared. Names of jobs are random where programs give them.
//!
//! # What is safe to interrupt
//!
//! Anywhere. A manifest goes last, so what is half deleted is found again; a record is marked after all it speaks of is gone; a
//! store's "gone already" is success. One process sweeps at a time (`turn.rs`), which is for the reports' sake only.

pub mod clocks;
pub mod decide;
pub mod memory;
pub mod relink;
pub mod report;
pub mod scheduled;
mod settle;
mod shelf;
#[cfg(test)]
mod tests;
mod turn;
mod work;

pub use decide::Policy;
pub use report::Report;
pub use shelf::Opener;

use crate::{
    clock::{Clock, Schedule},
    cluster::archive::{Archive, Turn},
    plan::{Failure, Now, panic_text},
    workflow::JobId,
};
use clocks::believed;
use futures::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use jiff::Timestamp;
use memory::Memory;
use report::{Fate, Line};
use settle::{GIVE_UP_AFTER, Run};
use shelf::Known;
use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use turn::{Asked, RENEW_EVERY};
use work::{Agenda, Rules, Work};

/// How many workflows are seen to at once.
const CONCURRENCY: usize = 4;

/// Why there was no run.
#[derive(Debug, thiserror::Error)]
#[error("the cluster could not {what}")]
pub struct SweepError {
    what: &'static str,
    source: Failure,
}

/// What came of being asked to sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swept {
    /// A run.
    Done(Box<Report>),
    /// By the schedule there was nothing to do: another process has done it.
    NotDue,
    /// Another process is at it.
    Elsewhere {
        /// Which.
        holder: String,
    },
}

/// Why it is asked to sweep.
#[derive(Debug, Clone, Copy)]
pub enum Occasion<'a> {
    /// The schedule fired, or may have while nobody was there: once, for all firings since the last run.
    Schedule(&'a Schedule),
    /// Somebody wants it now.
    Request,
    /// Somebody wants to know what it would do. Nothing is changed (but for the turn, which is made if there is none yet) and
    /// nothing confirmed.
    DryRun,
}

/// Deletes what is past its time.
pub struct Sweeper {
    archive: Arc<dyn Archive>,
    open: Opener,
    clock: Arc<dyn Clock>,
    policy: Policy,
    me: String,
    request_timeout: Duration,
    /// The last look at the clocks.
    before: Now,
    known: Known,
}

impl Sweeper {
    /// One that calls itself `me`.
    pub fn new(
        archive: Arc<dyn Archive>,
        open: Opener,
        clock: Arc<dyn Clock>,
        policy: Policy,
        me: String,
        request_timeout: Duration,
    ) -> Self {
        let before = clock.now();
        Self { archive, open, clock, policy, me, request_timeout, before, known: Known::default() }
    }

    /// Sweeps once. `tell` hears how many workflows are seen to, of how many. When `stop` is cancelled nothing new is begun, and
    /// what is under way is awaited.
    ///
    /// # Errors
    ///
    /// When the cluster cannot be asked. What is wrong with a store, or with one result, is in the report.
    pub async fn run(
        &mut self,
        occasion: Occasion<'_>,
        stop: &CancellationToken,
        tell: &mut (dyn FnMut(usize, usize) + Send),
    ) -> Result<Swept, SweepError> {
        let failed = |what| move |source| SweepError { what, source };
        let clock = self.clock.clone();
        let due = move |memory: &Memory| match occasion {
            Occasion::Schedule(schedule) => is_due(schedule, memory, clock.now().wall),
            Occasion::Request | Occasion::DryRun => true,
        };
        if let Occasion::DryRun = occasion {
            let turn = self.archive.turn().await.map_err(failed("say when it was swept last"))?;
            let (report, _) = self.sweep(turn, true, stop, tell).await?;
            return Ok(Swept::Done(Box::new(report)));
        }
        let turn = match turn::take(&*self.archive, &self.me, &due, stop).await.map_err(failed("give us the turn"))? {
            Asked::Ours(turn) => turn,
            Asked::NotDue => return Ok(Swept::NotDue),
            Asked::Theirs(holder) => return Ok(Swept::Elsewhere { holder }),
        };
        match self.sweep(turn.clone(), false, stop, tell).await {
            Ok((report, (turn, memory))) => {
                if let Err(failure) = self.archive.set_turn(&turn, "", &memory.render()).await {
                    tracing::warn!(error = %failure, "the turn to sweep could not be handed on; others wait for it to run out");
                }
                Ok(Swept::Done(Box::new(report)))
            }
            Err(error) => {
                let _ = self.archive.set_turn(&turn, "", &turn.memory).await;
                Err(error)
            }
        }
    }

    async fn sweep(
        &mut self,
        turn: Turn,
        dry_run: bool,
        stop: &CancellationToken,
        tell: &mut (dyn FnMut(usize, usize) + Send),
    ) -> Result<(Report, (Turn, Memory)), SweepError> {
        let failed = |what| move |source| SweepError { what, source };
        let mut memory = Memory::parse(&turn.memory);
        let cluster = self.archive.now().await.map_err(failed("say what time it is"))?;
        let now = self.clock.now();
        let before = std::mem::replace(&mut self.before, now);
        let time = match believed(before, now, cluster, None, self.policy.clock_tolerance) {
            Ok(time) => time,
            Err(distrust) => {
                let mut report = Report::new(now.wall, dry_run);
                report.distrust = Some(distrust.to_string());
                memory.swept = Some(now.wall);
                return Ok((report, (turn, memory)));
            }
        };
        let moment = memory.moment(time, self.policy.confirm_after);
        let mut report = Report::new(time, dry_run);
        let (shelves, mut agenda) =
            shelf::list_all(&self.open, self.policy.clock_tolerance, moment, (before, now, cluster), &mut report).await;
        let all_listed = report.stores_failed.is_empty() && shelves.iter().all(|shelf| shelf.moment.is_some());
        let rules = Rules { policy: &self.policy, moment, all_listed };
        let listed = work::recorded(&mut agenda, &*self.archive, &shelves, rules, self.request_timeout);
        listed.await.map_err(failed("list all workflows"))?;
        for shelf in &shelves {
            if let Some(error) = shelf.broken_promise() {
                report.store_failed(shelf.store.name(), error.to_owned());
            }
        }
        self.known.forget_all_but(&agenda);

        let run = Run {
            archive: &*self.archive,
            shelves: &shelves,
            policy: &self.policy,
            moment,
            all_listed,
            dry_run,
            request_timeout: self.request_timeout,
            left: AtomicU32::new(self.policy.max_per_run),
            manifests: Semaphore::new(1),
            known: &self.known,
        };
        let turn = self.see_to_all(&run, agenda, turn, stop, &mut report, tell).await;
        for shelf in shelves.iter().filter(|shelf| shelf.given_up()) {
            let error = format!("{GIVE_UP_AFTER} failures and nothing deleted; it is left alone until the next run");
            report.store_failed(shelf.store.name(), error);
        }
        let mut after = memory.after(time, self.policy.confirm_after);
        // What was broken off is made up for at the next occasion. (By the clock that firings go by.)
        after.swept = if report.complete { Some(now.wall) } else { memory.swept };
        Ok((report, (turn, after)))
    }

    /// Sees to all workflows, a few at once, and keeps the turn meanwhile. Answers with the turn as it is then.
    async fn see_to_all(
        &self,
        run: &Run<'_>,
        agenda: Agenda,
        mut turn: Turn,
        stop: &CancellationToken,
        report: &mut Report,
        tell: &mut (dyn FnMut(usize, usize) + Send),
    ) -> Turn {
        let (all, mut done, mut ours) = (agenda.len(), 0, true);
        let mut waiting: VecDeque<(JobId, Work)> = agenda.into_iter().collect();
        // So that what fails again and again is not always the first to take from the share.
        let second = usize::try_from(report.at.as_second()).unwrap_or_default();
        waiting.rotate_left(second.checked_rem(all).unwrap_or_default());
        let mut busy = FuturesUnordered::new();
        let mut renew = tokio::time::interval(RENEW_EVERY);
        renew.tick().await;
        loop {
            while busy.len() < CONCURRENCY && ours && !stop.is_cancelled() {
                let Some((job, work)) = waiting.pop_front() else { break };
                busy.push(async move {
                    let settled = AssertUnwindSafe(run.settle(&job, work)).catch_unwind().await;
                    settled.unwrap_or_else(|panic| {
                        let error = format!("the engine failed over it: {}", panic_text(&*panic));
                        vec![Line { job: job.to_string(), store: String::new(), fate: Fate::Failed { error } }]
                    })
                });
            }
            tokio::select! {
                biased;
                settled = busy.next() => {
                    let Some(lines) = settled else { break };
                    lines.into_iter().for_each(|line| report.add(line));
                    done += 1;
                    tell(done, all);
                }
                _ = renew.tick(), if !run.dry_run && ours => match self.archive.set_turn(&turn, &self.me, &turn.memory).await {
                    Ok(renewed) => turn = renewed,
                    Err(Failure::Conflict | Failure::NotFound) => {
                        tracing::warn!("another process has taken the turn to sweep; this run ends");
                        ours = false;
                    }
                    Err(failure) => tracing::warn!(error = %failure, "the turn to sweep could not be renewed"),
                },
            }
        }
        report.complete = waiting.is_empty();
        turn
    }
}

/// Whether a firing of the schedule lies between the last run and `now`.
fn is_due(schedule: &Schedule, memory: &Memory, now: Timestamp) -> bool {
    // A run in the future was one by a clock that went wrong.
    let Some(swept) = memory.swept.filter(|swept| *swept <= now) else { return true };
    schedule.next_after(swept).is_some_and(|next| next <= now)
}
