//! Notifications: a signed HTTP POST when a workflow starts and when it has ended, at least once each.
//!
//! ```text
//!   records that owe ──list──▶ due? ──attempt recorded (compare-and-swap)──▶ POST ──▶ outcome recorded
//! ```
//!
//! The outbox is in the records ([`crate::workflow::notice`]), so it survives this process, and any engine of the namespace may
//! empty it. It runs beside the loop and shares nothing with it: a receiver that is slow, down or hostile holds up no
//! workflow. A receiver can be told of one occasion more than once; the header `Idempotency-Key` is the same each time.

mod deliver;
mod message;
#[cfg(test)]
mod tests;

pub use deliver::{Courier, DeliverError};
pub use message::Message;

use crate::{
    clock::Clock,
    cluster::{Cluster, Freshness},
    ethereum::OperatorKey,
    plan::{
        Failure,
        action::{Write, WriteStep},
        kind,
        look::Look,
        seen::{Version, WorkflowSeen},
    },
    workflow::{
        Document, Record, State,
        notice::{Due, Occasion, Patience, due, told},
    },
};
use futures::{StreamExt as _, stream};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Deliveries under way at once.
const CONCURRENCY: usize = 8;
/// How often an outcome that cannot be recorded is tried again at once: others write the record too.
const RECORD_ATTEMPTS: usize = 5;

/// The newest version of each kind of workflow that a list had.
type Newest = [Version; 2];

/// Empties the outbox.
pub struct Outbox {
    /// Where the records are.
    pub cluster: Arc<dyn Cluster>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What carries a message to its receiver.
    pub courier: Courier,
    /// Whom to tell on each occasion; none: an owed word of that kind is given up as undelivered.
    pub urls: BTreeMap<Occasion, reqwest::Url>,
    /// What messages are signed with; none: they are not.
    pub key: Option<OperatorKey>,
    /// When attempts are made.
    pub patience: Patience,
    /// How often to look for what is owed.
    pub every: Duration,
    /// The longest that one request to the cluster may take.
    pub request_timeout: Duration,
}

/// What came of one workflow in one round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Round {
    /// Nothing was due, or somebody else was faster.
    Nothing,
    /// Its receiver took it.
    Delivered(Occasion),
    /// It did not; there will be another attempt.
    Failed(Occasion),
    /// It was given up.
    GivenUp(Occasion),
}

impl Round {
    /// The occasion, and what became of its notification in a word.
    pub fn outcome(&self) -> Option<(Occasion, &'static str)> {
        match self {
            Self::Nothing => None,
            Self::Delivered(occasion) => Some((*occasion, "delivered")),
            Self::Failed(occasion) => Some((*occasion, "failed")),
            Self::GivenUp(occasion) => Some((*occasion, "undelivered")),
        }
    }
}

impl Outbox {
    /// Runs until `stop` is cancelled; what is under way then is carried to its end. `count` is shown every outcome.
    pub async fn run(&self, stop: CancellationToken, count: &(dyn Fn(&Round) + Send + Sync)) {
        let mut newest = [Version::default(); 2];
        while !stop.is_cancelled() {
            match self.owing(newest).await {
                Ok((versions, owing)) => {
                    let ([of_maps, of_secrets], [maps, secrets]) = (newest, versions);
                    newest = [of_maps.max(maps), of_secrets.max(secrets)];
                    let rounds = stream::iter(owing).map(|seen| self.round(seen));
                    rounds.buffer_unordered(CONCURRENCY).for_each(async |round| count(&round)).await;
                }
                Err(failure) => tracing::warn!(error = %failure, "what is owed cannot be listed; it is tried again"),
            }
            tokio::select! { () = tokio::time::sleep(self.every) => {}, () = stop.cancelled() => {} }
        }
    }

    /// What ConfigMaps owe, and Secrets where they are workflows; and the versions of both lists.
    async fn owing(&self, newest: Newest) -> Result<(Newest, Vec<WorkflowSeen>), Failure> {
        let [fresh, fresh_secrets] = newest.map(Freshness::NotOlderThan);
        let list = self.in_time(self.cluster.list_workflows(Look::Owed, fresh)).await?;
        let secrets = self.in_time(self.cluster.list_secrets(Look::Owed, fresh_secrets)).await?;
        let (versions, secrets) = match secrets {
            Some(secrets) => ([list.version, secrets.version], secrets.items),
            None => ([list.version, Version::default()], Vec::new()),
        };
        let now = self.clock.now().wall;
        let due = list.items.into_iter().chain(secrets).filter(|seen| {
            record_of(seen).is_some_and(|record| !matches!(due(&record, &self.patience, now), Due::Nothing(_)))
        });
        Ok((versions, due.collect()))
    }

    /// One workflow, one attempt at most.
    pub async fn round(&self, seen: WorkflowSeen) -> Round {
        match self.attempt(&seen.name).await {
            Ok(round) => round,
            Err(Failure::Conflict | Failure::NotFound) => Round::Nothing,
            Err(failure) => {
                tracing::warn!(workflow.id = seen.name, error = %failure, "a notification could not be recorded");
                Round::Nothing
            }
        }
    }

    async fn attempt(&self, name: &str) -> Result<Round, Failure> {
        let Some(read) = self.in_time(self.cluster.read_document(name)).await? else { return Ok(Round::Nothing) };
        let Some(record) = record_of(&read.seen) else { return Ok(Round::Nothing) };
        match due(&record, &self.patience, self.clock.now().wall) {
            Due::Nothing(_) => Ok(Round::Nothing),
            Due::GiveUp(occasion, next) => {
                self.record(&read.seen, *next).await?;
                tracing::error!(workflow.id = name, %occasion, "a notification was given up; its record says why");
                Ok(Round::GivenUp(occasion))
            }
            Due::Attempt(occasion, next) => {
                let seen = self.record(&read.seen, *next).await?;
                let document = read.document.ok().and_then(|text| Document::parse(&text).ok());
                let message = Message::of(kind::split(name).1, document.as_ref(), self.key.as_ref());
                let key = format!("{}-{occasion}", seen.uid);
                let result = match self.urls.get(&occasion) {
                    Some(url) => self.courier.deliver(url, &message, &key).await.map_err(|error| error.to_string()),
                    None => Err(format!("notify.{occasion}_url is not set any more")),
                };
                match &result {
                    Ok(()) => tracing::info!(workflow.id = name, %occasion, "notification delivered"),
                    Err(error) => tracing::warn!(workflow.id = name, %occasion, error, "a notification failed"),
                }
                let round = if result.is_ok() { Round::Delivered(occasion) } else { Round::Failed(occasion) };
                self.record_outcome(seen, occasion, &result).await?;
                Ok(round)
            }
        }
    }

    /// Records how an attempt ended, over what others wrote meanwhile. If that cannot be done, it counts as not made.
    async fn record_outcome(
        &self,
        mut seen: WorkflowSeen,
        occasion: Occasion,
        result: &Result<(), String>,
    ) -> Result<(), Failure> {
        for _ in 0..RECORD_ATTEMPTS {
            let Some(record) = record_of(&seen) else { return Ok(()) };
            match self.record(&seen, told(&record, occasion, result)).await {
                Err(Failure::Conflict) => {}
                other => return other.map(drop),
            }
            let uid = seen.uid;
            match self.in_time(self.cluster.read_workflow(&seen.name)).await? {
                Some(now) if now.uid == uid => seen = now,
                _ => return Ok(()),
            }
        }
        Err(Failure::Conflict)
    }

    async fn record(&self, seen: &WorkflowSeen, record: Record) -> Result<WorkflowSeen, Failure> {
        let state = seen.state.unwrap_or(State::Done);
        let (uid, version) = (seen.uid.clone(), seen.version);
        let write = Write { step: WriteStep::Notify, uid, version, state, record };
        self.in_time(self.cluster.write_workflow(&seen.name, &write)).await
    }

    async fn in_time<T>(&self, request: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let limit = self.request_timeout;
        match tokio::time::timeout(limit, request).await {
            Ok(result) => result,
            Err(_) => Err(Failure::Unknown { error: format!("no answer within {limit:?}") }),
        }
    }
}

/// Its record, unless it is being deleted, or has none that can be read.
fn record_of(seen: &WorkflowSeen) -> Option<Record> {
    let text = seen.status.as_deref().filter(|_| !seen.deleting)?;
    Record::parse(text).ok()
}
