//! Stores during a run: what time it is for what they hold, what they show, and how often they failed.

use super::{
    clocks::believed,
    decide::{Manifest, Moment, Workflow},
    report::Report,
    settle::GIVE_UP_AFTER,
    work::{self, Agenda},
};
use crate::{
    plan::Now,
    storage::{ResultStore, StorageError, Stored},
    workflow::report::with_causes,
};
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

/// How long a store may take to list everything, or to say what time it is.
const LIST_LIMIT: Duration = Duration::from_mins(10);

/// Opens the stores, anew for each run: one that cannot be opened now may be there an hour later. What cannot be opened goes
/// by the name of what it is for.
pub type Opener = Box<dyn Fn() -> Vec<(&'static str, Result<Arc<dyn ResultStore>, StorageError>)> + Send + Sync>;

/// Asks every store for the time and for all it has.
pub(super) async fn list_all(
    open: &Opener,
    tolerance: Duration,
    moment: Moment,
    (before, now, cluster): (Now, Now, Option<Timestamp>),
    report: &mut Report,
) -> (Vec<Shelf>, Agenda) {
    let (mut shelves, mut agenda) = (Vec::<Shelf>::new(), Agenda::new());
    for (purpose, opened) in open() {
        let store = match opened {
            Ok(store) => store,
            Err(error) => {
                report.store_failed(purpose, with_causes(&error));
                continue;
            }
        };
        // Two of one name are one.
        if shelves.iter().any(|shelf| shelf.store.name() == store.name()) {
            continue;
        }
        let listed = async {
            let time = limited(LIST_LIMIT, store.now()).await?.map(|time| (store.name(), time));
            let time = believed(before, now, cluster, time, tolerance).map_err(|distrust| distrust.to_string())?;
            let found = limited(LIST_LIMIT, store.jobs()).await?;
            Ok::<_, String>((time, found, limited(LIST_LIMIT, store.unlinked()).await?))
        };
        let failures = AtomicU32::new(0);
        let mut shelf = Shelf { store: store.clone(), moment: None, has_any: false, unmade: None, failures };
        match listed.await {
            Ok((time, found, unlinked)) => {
                shelf.moment = Some(Moment { now: time.min(moment.now), ..moment });
                shelf.has_any = !found.is_empty();
                work::listed(&mut agenda, shelves.len(), store.name(), found.into_iter().chain(unlinked));
            }
            Err(error) => match limited(LIST_LIMIT, store.is_new()).await {
                Ok(true) => shelf.unmade = Some(Unmade { error, promised: AtomicBool::new(false) }),
                _ => report.store_failed(store.name(), error),
            },
        }
        shelves.push(shelf);
    }
    (shelves, agenda)
}

/// A store during a run.
pub(super) struct Shelf {
    pub(super) store: Arc<dyn ResultStore>,
    /// What time it is for what it holds; none: it cannot be used.
    pub(super) moment: Option<Moment>,
    /// Whether its list has anything.
    pub(super) has_any: bool,
    /// Nothing was ever stored there, it says; then it cannot be used either.
    pub(super) unmade: Option<Unmade>,
    /// Failures since it last deleted something.
    pub(super) failures: AtomicU32,
}

/// A store in which nothing was ever stored. That is how a new installation begins; where a record speaks of it, it is
/// another store than it was.
pub(super) struct Unmade {
    /// Why it could not be listed.
    error: String,
    /// Whether a record speaks of it.
    promised: AtomicBool,
}

impl Shelf {
    /// Hears that a record has something in the store of this name.
    pub(super) fn promises(&self, store: &str) {
        if let Some(unmade) = self.unmade.as_ref().filter(|_| self.store.name() == store) {
            unmade.promised.store(true, Ordering::Relaxed);
        }
    }

    /// Why nothing of it can be seen, though records speak of it.
    pub(super) fn broken_promise(&self) -> Option<&str> {
        let unmade = self.unmade.as_ref().filter(|unmade| unmade.promised.load(Ordering::Relaxed))?;
        Some(&unmade.error)
    }

    /// Counts what went wrong, and starts again after a deletion that went well.
    pub(super) fn counted<T, E>(&self, result: Result<T, E>, deletion: bool) -> Result<T, E> {
        match result {
            Ok(_) if deletion => self.failures.store(0, Ordering::Relaxed),
            Ok(_) => {}
            Err(_) => drop(self.failures.fetch_add(1, Ordering::Relaxed)),
        }
        result
    }

    pub(super) fn given_up(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= GIVE_UP_AFTER
    }
}

/// What manifests of workflows without a ConfigMap said in earlier runs, so that not all of them are read every hour. It can
/// only put a look off: before anything is deleted its manifest is read.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<BTreeMap<(String, Stored), Option<Timestamp>>>);

impl Known {
    pub(super) fn learn(&self, shelf: &Shelf, stored: &Stored, expires_at: Option<Timestamp>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert((shelf.store.name().to_owned(), stored.clone()), expires_at);
    }

    pub(super) fn not_yet(
        &self,
        shelf: &Shelf,
        stored: &Stored,
        workflow: &Workflow,
        now: Timestamp,
    ) -> Option<Manifest> {
        if *workflow != Workflow::Gone {
            return None;
        }
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = *known.get(&(shelf.store.name().to_owned(), stored.clone()))?;
        at.is_none_or(|at| at > now).then_some(Manifest::Expires(at))
    }

    pub(super) fn forget_all_but(&mut self, agenda: &Agenda) {
        let known = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(_, stored), _| agenda.get(&stored.job).is_some_and(|work| work.workflow == Workflow::Gone));
    }
}

/// Awaits `request` no longer than `limit`; what went wrong is told with its causes, on one line.
pub(super) async fn limited<T, E: std::error::Error>(
    limit: Duration,
    request: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(limit, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(with_causes(&error)),
        Err(_) => Err(format!("no answer within {limit:?}")),
    }
}
