//! The loop: look, plan, apply, report.
//!
//! ```text
//!            ┌───────────────────────────── tick ─────────────────────────────┐
//!            ▼                                                                │
//!   lists that are due ──▶ merge into the view ──▶ plan ──▶ actions ──▶ answers, errors, panics
//!   (side by side)             (pure)             (pure)   (bounded, one a workflow, each with a timeout)
//! ```
//!
//! The supervisor decides nothing and keeps nothing but the view: killed at any instant, another process goes on from the
//! records. Requests are never retried here; the next tick is the retry. Every request has a limit, and one that hangs
//! holds up its own workflow only.

mod act;
mod report;

/// The time it goes by.
pub use crate::clock;

use crate::{
    cluster::Cluster,
    plan::{
        Action, Answer, Failure, Plan, Policy, Target, Verdict, View, cadence,
        cohort::{self, Cohorts},
        look::Look,
        panic_text, plan,
        view::OwnLease,
    },
    workflow::record::Holder,
};
use act::Evidence;
use clock::Clock;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use report::Edges;
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Drives workflows until told to stop.
pub struct Supervisor {
    cluster: Arc<dyn Cluster>,
    clock: Arc<dyn Clock>,
    policy: Policy,
    me: Holder,
    concurrency: usize,
}

/// How long answers are gathered before the next plan. Short beside any answer's own way, long beside a plan.
const GATHER: Duration = Duration::from_millis(3);

/// Why a supervisor ended by itself.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Ended {
    /// A successor took its Lease.
    #[error("another process, {by}, has taken this engine's lease; this one is its predecessor and ends")]
    Replaced {
        /// The successor.
        by: String,
    },
    /// The cluster refuses what the engine cannot do without.
    #[error("the cluster does not allow this engine to list {look}: {message}")]
    Denied {
        /// The list.
        look: &'static str,
        /// What the cluster says.
        message: String,
    },
}

/// The longest pause between two turns, however seldom the configuration lets lists be asked for: turns are how others see
/// that the loop is alive.
const IDLE: Duration = Duration::from_secs(10);

/// What comes back from the outside.
enum Event {
    Looked(Look, Result<Evidence, Failure>),
    Acted(Box<Action>, Duration, Result<Answer, Failure>),
    Panicked(Box<Action>, String),
}

impl Supervisor {
    /// A supervisor that calls itself `me`. Of actions, at most `concurrency` are under way at once.
    pub fn new(
        cluster: Arc<dyn Cluster>,
        clock: Arc<dyn Clock>,
        policy: Policy,
        me: Holder,
        concurrency: usize,
    ) -> Self {
        Self { cluster, clock, policy, me, concurrency: concurrency.max(1) }
    }

    /// Runs until `stop` is cancelled: then it begins nothing, waits for what is under way, and releases its Lease, so that
    /// others may go on at once. `watch` is shown the view and the plan of every turn.
    pub async fn run(
        &self,
        stop: CancellationToken,
        watch: &mut (dyn FnMut(&View, &Plan) + Send),
    ) -> Result<(), Ended> {
        let mut view = View::new(self.me.clone());
        let mut edges = Edges::default();
        let mut acting: FuturesUnordered<BoxFuture<'static, Event>> = FuturesUnordered::new();
        let mut looking: FuturesUnordered<BoxFuture<'static, Event>> = FuturesUnordered::new();
        // A plan looks at every workflow, so it is made when something was learned or its time has come, and not for every
        // list that shows nothing.
        let (mut wanted, mut planned_until) = (cadence::Wanted::default(), Duration::ZERO);
        while !stop.is_cancelled() {
            if let OwnLease::Taken { by } = &view.own_lease {
                return Err(Ended::Replaced { by: by.clone() });
            }
            let now = self.clock.now();
            let plans = std::mem::take(&mut view.news) || now.mono >= planned_until;
            if plans {
                wanted = cadence::wanted(&view, &self.policy, now);
            }
            let (due, next_look) = cadence::due(&wanted, &view.looks, now);
            for look in due {
                view.look_begun(look, now);
                looking.push(self.look(&view, look));
            }
            if plans {
                let plan = plan(&view, &self.policy, now);
                for (name, verdict) in &plan.verdicts {
                    if let Verdict::Quarantined(panic) = verdict {
                        view.quarantine(name, panic.clone());
                    }
                }
                for action in &plan.actions {
                    // The Lease is what all others hang by, so it never queues behind them.
                    if acting.len() < self.concurrency || action.target == Target::OwnLease {
                        view.action_begun(action);
                        acting.push(self.act(action.clone(), now.mono));
                    }
                }
                edges.report(&view, &plan);
                watch(&view, &plan);
                view.forget();
                planned_until = plan.wake.unwrap_or(Duration::MAX).min(now.mono + IDLE);
            }

            let wake = next_look.map_or(planned_until, |look| look.min(planned_until));
            let pause = wake.saturating_sub(now.mono).max(Duration::from_millis(1));
            let event = tokio::select! {
                Some(event) = acting.next() => event,
                Some(event) = looking.next() => event,
                () = tokio::time::sleep(pause) => continue,
                () = stop.cancelled() => break,
            };
            self.merge(&mut view, event)?;
            // What comes within moments is taken along, so that one plan sees it all: a plan looks at every workflow.
            let gathered = tokio::time::sleep(GATHER);
            tokio::pin!(gathered);
            loop {
                let event = tokio::select! {
                    Some(event) = acting.next() => event,
                    Some(event) = looking.next() => event,
                    () = &mut gathered => break,
                };
                self.merge(&mut view, event)?;
            }
        }
        drop(looking);
        while let Some(event) = acting.next().await {
            self.merge(&mut view, event)?;
        }
        self.release(&view).await;
        Ok(())
    }

    fn merge(&self, view: &mut View, event: Event) -> Result<(), Ended> {
        let now = self.clock.now();
        match event {
            Event::Looked(look, Ok(evidence)) => match evidence {
                Evidence::Workflows(config_maps, secrets) => {
                    view.workflows_listed(look, config_maps, now);
                    secrets.into_iter().for_each(|list| view.secrets_listed(look, list, now));
                }
                Evidence::Pods(list) => view.pods_listed(look, list, now),
                Evidence::Volumes(list) => view.volumes_listed(list),
                Evidence::Leases(list) => view.leases_listed(list, now),
            },
            Event::Looked(look, Err(failure)) => {
                tracing::warn!(look = look.name(), error = %failure, "a list failed");
                if let (Failure::Denied { message }, false) = (&failure, view.looks.audited()) {
                    return Err(Ended::Denied { look: look.name(), message: message.clone() });
                }
                let after = if let Failure::NotDone { after, .. } = failure { after } else { None };
                view.look_failed(look, after, &self.policy, now);
            }
            Event::Acted(action, begun, result) => {
                if let Err(failure) = &result {
                    report::failed(&action, failure);
                }
                view.action_ended(&action, result, begun, &self.policy, now);
            }
            Event::Panicked(action, panic) => {
                tracing::error!(action = action.intent.name(), target = ?action.target, %panic, "the engine failed over this");
                view.action_panicked(&action, panic);
            }
        }
        Ok(())
    }

    fn look(&self, view: &View, look: Look) -> BoxFuture<'static, Event> {
        let (cluster, newest, limit) = (self.cluster.clone(), view.looks.newest(look), self.policy.request_timeout);
        let cohorts = if look == Look::Finished { cohort::awaited(view) } else { Cohorts::All };
        async move {
            let asked = tokio::time::timeout(limit, act::look(&*cluster, look, &cohorts, newest));
            let not_done = |error: String| Err(Failure::NotDone { error, after: None });
            let result = match AssertUnwindSafe(asked).catch_unwind().await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => not_done(format!("no answer within {limit:?}")),
                Err(panic) => not_done(format!("the engine failed over it: {}", panic_text(&*panic))),
            };
            Event::Looked(look, result)
        }
        .boxed()
    }

    fn act(&self, action: Action, begun: Duration) -> BoxFuture<'static, Event> {
        let (cluster, me, policy) = (self.cluster.clone(), self.me.clone(), self.policy.clone());
        async move {
            let limit = policy.request_timeout;
            let deed = tokio::time::timeout(limit, act::act(&*cluster, &action.intent, &action.target, &me, &policy));
            match AssertUnwindSafe(deed).catch_unwind().await {
                Ok(Ok(result)) => Event::Acted(Box::new(action), begun, result),
                Ok(Err(_)) => {
                    let error = format!("no answer within {limit:?}");
                    Event::Acted(Box::new(action), begun, Err(Failure::Unknown { error }))
                }
                Err(panic) => Event::Panicked(Box::new(action), panic_text(&*panic)),
            }
        }
        .boxed()
    }

    async fn release(&self, view: &View) {
        let OwnLease::Held { seen, .. } = &view.own_lease else { return };
        let released = tokio::time::timeout(self.policy.request_timeout, self.cluster.renew_lease(seen, "")).await;
        if !matches!(released, Ok(Ok(_))) {
            tracing::warn!(lease = seen.name, "the lease could not be released; others wait until it has run out");
        }
    }
}
