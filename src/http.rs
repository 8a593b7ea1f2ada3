//! The pages: is it alive, is it ready, what does it count, what does it think.
//!
//! `/livez` fails when turns of the loop stop, `/readyz` until everything was seen once and the Lease is held, `/metrics` is
//! for Prometheus, `/workflows` says of every workflow in view what the plan says of it. Absent: any way to change anything,
//! and any data of a workflow.

mod counted;
mod metrics;
mod sweeps;

pub use sweeps::SweepNumbers;

use crate::{
    clock::Clock,
    plan::{Plan, Verdict, View, standing::Standing, view::OwnLease},
    workflow::{Record, notice::Occasion},
};
use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use counted::Counted;
use metrics::Metrics;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What the pages show. Clones share it.
#[derive(Clone)]
pub struct Pages {
    clock: Arc<dyn Clock>,
    shown: Arc<Mutex<Shown>>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Shown {
    /// The last turn of the loop: monotonic.
    turned: Option<Duration>,
    ready: bool,
    workflows: BTreeMap<String, Line>,
    copied: Option<Duration>,
}

/// A workflow on `/workflows`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    verdict: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<String>,
}

/// Without a turn for this long the loop is stuck: it turns every ten seconds at least, and waits for no request.
const STUCK: Duration = Duration::from_secs(60);
/// How often the workflows are copied for their page, for each so many of them: a turn must stay cheap with ten thousand.
const COPY_EVERY: (Duration, usize) = (Duration::from_secs(1), 250);

impl Pages {
    /// Pages that show nothing yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, shown: Arc::default(), metrics: Arc::default() }
    }

    /// The same cluster, with its requests counted.
    pub fn counted<C>(&self, cluster: C) -> Counted<C> {
        Counted::new(cluster, self.metrics.clone())
    }

    /// Counts a notification and what became of it: `delivered`, `failed` or `undelivered`.
    pub fn told(&self, occasion: Occasion, outcome: &'static str) {
        self.metrics.told(occasion, outcome);
    }

    /// Shows a turn of the loop.
    pub fn turn(&self, view: &View, plan: &Plan) {
        let now = self.clock.now();
        self.metrics.turned();
        let mut shown = self.shown();
        shown.turned = Some(now.mono);
        shown.ready = view.looks.audited() && matches!(view.own_lease, OwnLease::Held { .. });
        let every = COPY_EVERY.0 * u32::try_from(1 + plan.verdicts.len() / COPY_EVERY.1).unwrap_or(u32::MAX).min(10);
        if shown.copied.is_none_or(|copied| now.mono >= copied + every) {
            shown.copied = Some(now.mono);
            self.metrics.view(view, plan, now);
            shown.workflows =
                plan.verdicts.iter().map(|(name, verdict)| (name.clone(), line(view, name, verdict))).collect();
        }
    }

    /// Counts a sweep.
    pub fn swept(&self, run: &SweepNumbers) {
        self.metrics.sweeps.count(run);
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(view: &View, name: &str, verdict: &Verdict) -> Line {
    let record = match view.workflows.get(name).map(crate::plan::view::Tracked::standing) {
        Some(Standing::Running(record) | Standing::Done(record)) => Some(record),
        _ => None,
    };
    Line {
        verdict: verdict.to_string(),
        phase: record.map(Record::place),
        attempt: record.map(|record| record.attempt),
        holder: record.map(|record| record.holder.lease.clone()),
    }
}

/// Serves the pages until `stop` is cancelled.
pub async fn serve(listener: TcpListener, pages: Pages, stop: CancellationToken) {
    let router = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_page))
        .route("/workflows", get(workflows))
        .with_state(pages);
    let served = axum::serve(listener, router).with_graceful_shutdown(async move { stop.cancelled().await });
    if let Err(error) = served.await {
        tracing::error!(%error, "the pages are no longer served");
    }
}

async fn livez(State(pages): State<Pages>) -> impl IntoResponse {
    let (turned, now) = (pages.shown().turned, pages.clock.now().mono);
    match turned {
        Some(turned) if now > turned + STUCK => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("the loop has not turned for {:?}\n", now - turned))
        }
        None if now > STUCK => (StatusCode::SERVICE_UNAVAILABLE, "the loop has not begun\n".to_owned()),
        _ => (StatusCode::OK, "ok\n".to_owned()),
    }
}

async fn readyz(State(pages): State<Pages>) -> impl IntoResponse {
    if pages.shown().ready {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not everything was seen yet, or the lease is not held\n")
    }
}

async fn metrics_page(State(pages): State<Pages>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(axum::http::header::CONTENT_TYPE, kind)], pages.metrics.render())
}

async fn workflows(State(pages): State<Pages>) -> impl IntoResponse {
    Json(pages.shown().workflows.clone())
}
