//! `--relink`: after a store lost its index, everything that records speak of is entered in it again.
//!
//! Only what names its workflow by its own manifest is entered: a record may have been edited.

use super::{SweepError, Sweeper, decide::Manifest, held::Workflow, settle::said_by, shelf::limited, work::PAGE};
use crate::{
    plan::kind,
    storage::{Relinked, ResultStore, Stored},
    workflow::{JobId, ResultId, report::with_causes},
};
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// What one call to a store may take.
const LIMIT: Duration = Duration::from_mins(15);

/// What was entered again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RelinkReport {
    /// Results that records speak of, in stores where a content id stands for all of a result.
    pub found: u64,
    /// Entered now.
    pub entered: u64,
    /// Entered already.
    pub present: u64,
    /// Not all of it is there any more.
    pub lost: Vec<String>,
    /// Something else has their name, or they are not what their record says.
    pub other: Vec<String>,
    /// What went wrong, store by store and result by result.
    pub failures: Vec<String>,
}

impl Sweeper {
    /// Enters everything that records speak of in its store's index again, where there is one.
    ///
    /// # Errors
    ///
    /// When the cluster cannot be asked. What is wrong with a store or a result is in the report.
    pub async fn relink(&self) -> Result<RelinkReport, SweepError> {
        let mut report = RelinkReport::default();
        let mut stores: BTreeMap<String, Arc<dyn ResultStore>> = BTreeMap::new();
        for (purpose, opened) in (self.open)() {
            match opened {
                Ok(store) => drop(stores.insert(store.name().to_owned(), store)),
                Err(error) => report.failures.push(format!("{purpose}: {}", with_causes(&error))),
            }
        }
        let mut after = None;
        loop {
            let page = self.archive.page(PAGE, after.as_deref()).await;
            let page = page.map_err(|source| SweepError { what: "list all workflows", source })?;
            let mut recorded: BTreeMap<&str, Vec<Stored>> = BTreeMap::new();
            for seen in &page.workflows {
                let workflow = Workflow::of(seen.state, seen.status.as_deref(), seen.created);
                let (Workflow::Done(held), Ok(job)) = (workflow, kind::job(&seen.name)) else { continue };
                let job: &JobId = &job;
                let is_there = |stage: &u32| held.results.get(stage).is_some_and(|kept| kept.deleted_at.is_none());
                for (stage, (store, _, root)) in held.places().filter(|(stage, _)| is_there(stage)) {
                    if let (Some((name, _)), Some(root)) = (stores.get_key_value(store), root) {
                        let stored = Stored { job: ResultId::of(job.clone(), stage), root: Some(root.clone()) };
                        recorded.entry(name).or_default().push(stored);
                    }
                }
            }
            for (name, recorded) in recorded {
                if let Some(store) = stores.get(name) {
                    relink(&**store, recorded, &mut report).await;
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(report),
            }
        }
    }
}

async fn relink(store: &dyn ResultStore, recorded: Vec<Stored>, report: &mut RelinkReport) {
    let mut own = Vec::new();
    for stored in recorded {
        report.found += 1;
        match limited(LIMIT, store.manifest(&stored)).await {
            Err(error) => report.failures.push(format!("{}: {error}", stored.job)),
            Ok(None) => report.lost.push(stored.job.to_string()),
            Ok(Some(bytes)) => match said_by(stored.job.clone(), bytes).await {
                Manifest::Expires(_) => own.push(stored),
                _ => report.other.push(stored.job.to_string()),
            },
        }
    }
    match limited(LIMIT, store.relink(&own)).await {
        Err(error) => report.failures.push(error),
        Ok(Relinked { entered, present, lost, other }) => {
            report.entered += entered.len() as u64;
            report.present += present.len() as u64;
            report.lost.extend(lost.into_iter().map(|stored| stored.job.to_string()));
            report.other.extend(other.into_iter().map(|stored| stored.job.to_string()));
        }
    }
}
