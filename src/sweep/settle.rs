//! One workflow: look, decide, look again at its record, act, and write down what was done.
//!
//! Whatever fails stays as it is and is found again by the next run: a manifest goes last, a record is marked after everything
//! it speaks of is gone, and each act may be repeated.

use super::{
    decide::{Decision, Evidence, Manifest, Policy, Reason, decide, record_may_go},
    held::Workflow,
    report::{Fate, Line},
    shelf::{Known, Shelf, limited},
    work::{Item, Work, gone},
};
use crate::{
    cluster::archive::Archive,
    plan::{
        Failure,
        action::{Write, WriteStep},
        seen::WorkflowSeen,
    },
    storage::{Stored, manifest},
    workflow::{JobId, Record, ResultId, State},
};
use bytes::Bytes;
use jiff::Timestamp;
use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use tokio::sync::Semaphore;

/// What one call to a store may take: a removal is many requests.
const STORE_LIMIT: Duration = Duration::from_mins(15);
/// After so many failures and no deletion a store is left alone for the rest of the run.
pub(super) const GIVE_UP_AFTER: u32 = 20;
/// How often the mark is tried while others change the record.
const MARKS: usize = 4;

/// What all workflows of a run share.
pub(super) struct Run<'a> {
    pub(super) archive: &'a dyn Archive,
    pub(super) shelves: &'a [Shelf],
    pub(super) policy: &'a Policy,
    /// The moment for what no store is asked about.
    pub(super) moment: super::decide::Moment,
    /// Whether every store could be listed: a record stays where something of its workflow may be.
    pub(super) all_listed: bool,
    pub(super) dry_run: bool,
    pub(super) request_timeout: Duration,
    /// Deletions that are left of this run's share.
    pub(super) left: AtomicU32,
    /// Manifests are read one at a time: each may have 64 MiB.
    pub(super) manifests: Semaphore,
    pub(super) known: &'a Known,
}

impl Run<'_> {
    /// Sees to one workflow and says what became of it.
    pub(super) async fn settle(&self, job: &JobId, mut work: Work) -> Vec<Line> {
        let mut decisions = self.decide_all(&mut work).await;
        let acts = |fate: &Result<Decision, Fate>| matches!(fate, Ok(Decision::Remove | Decision::Gone));
        if !decisions.iter().any(acts) && !self.record_may_go(&work) {
            return lines(&work, decisions.into_iter().map(fate_of));
        }
        let mut seen = None;
        if !self.dry_run {
            // Between the list and now much may have happened; of this one, nothing is acted upon that is not so now.
            let read = limited(self.request_timeout, work.read(self.archive, job)).await;
            seen = match read {
                Ok(seen) => seen,
                Err(error) => {
                    let failed = |decision| if acts(&decision) { failed(&error) } else { fate_of(decision) };
                    return lines(&work, decisions.into_iter().map(failed));
                }
            };
            let now = seen
                .as_ref()
                .map_or(Workflow::Gone, |seen| Workflow::of(seen.state, seen.status.as_deref(), seen.created));
            if now != work.workflow {
                work.workflow = now;
                decisions = self.decide_all(&mut work).await;
            }
        }
        let mut fates = Vec::new();
        for (item, decision) in work.items.iter().zip(decisions) {
            fates.push(match decision {
                Ok(Decision::Remove) => self.remove(item).await,
                other => fate_of(other),
            });
        }
        let mut said = lines(&work, fates.iter().cloned());
        let gone = if let Workflow::Done(held) = &work.workflow { gone(held, &work.items, &fates) } else { Vec::new() };
        if let Some(seen) = &seen
            && !gone.is_empty()
            && let Err(error) = self.mark(seen.clone(), &gone).await
        {
            let error = format!("it is deleted, and its record does not say so yet: {error}");
            said.push(Line { job: job.to_string(), store: String::new(), fate: Fate::Failed { error } });
        }
        if self.record_may_go(&work) {
            said.push(Line { job: job.to_string(), store: String::new(), fate: self.delete_record(seen).await });
        }
        said
    }

    fn record_may_go(&self, work: &Work) -> bool {
        record_may_go(&work.workflow, !work.items.is_empty() || !self.all_listed, self.policy, self.moment)
    }

    async fn decide_all(&self, work: &mut Work) -> Vec<Result<Decision, Fate>> {
        let mut decisions = Vec::new();
        for item in &mut work.items {
            decisions.push(self.decide(&work.workflow, item).await);
        }
        decisions
    }

    /// Decides, and gathers the evidence for it as it is asked for.
    async fn decide(&self, workflow: &Workflow, item: &mut Item) -> Result<Decision, Fate> {
        let Some(shelf) = item.shelf.and_then(|index| self.shelves.get(index)) else {
            return Ok(Decision::Leave(Reason::UnknownStore));
        };
        let Some(moment) = shelf.moment.filter(|_| !shelf.given_up()) else { return Ok(Decision::Keep) };
        let stored = Stored { job: item.id.clone(), root: item.root.clone() };
        let mut evidence = Evidence {
            id: item.id.clone(),
            store: item.store.clone(),
            root: item.root.clone(),
            listed: item.listed,
            store_has_any: shelf.has_any,
            workflow: workflow.clone(),
            manifest: item.manifest.clone(),
            last_written: item.last_written,
        };
        loop {
            match decide(&evidence, self.policy, moment) {
                Decision::AskManifest => {
                    evidence.manifest = Some(match self.known.not_yet(shelf, &stored, workflow, moment.now) {
                        Some(known) => known,
                        None => shelf.counted(self.manifest(shelf, &stored).await, false)?,
                    });
                    item.manifest.clone_from(&evidence.manifest);
                }
                Decision::AskLastWritten => {
                    let asked = limited(STORE_LIMIT, shelf.store.last_written(&stored)).await;
                    evidence.last_written = Some(shelf.counted(asked.map_err(|error| failed(&error)), false)?);
                    item.last_written = evidence.last_written;
                }
                decision => return Ok(decision),
            }
        }
    }

    async fn manifest(&self, shelf: &Shelf, stored: &Stored) -> Result<Manifest, Fate> {
        // Never closed.
        let _one = self.manifests.acquire().await;
        let bytes = limited(STORE_LIMIT, shelf.store.manifest(stored)).await.map_err(|error| failed(&error))?;
        let Some(bytes) = bytes else { return Ok(Manifest::Missing) };
        let said = said_by(stored.job.clone(), bytes).await;
        if let Manifest::Expires(at) = said {
            self.known.learn(shelf, stored, at);
        }
        Ok(said)
    }

    async fn remove(&self, item: &Item) -> Fate {
        let Some(shelf) = item.shelf.and_then(|index| self.shelves.get(index)) else { return Fate::Kept };
        if shelf.given_up() {
            return Fate::Kept;
        }
        if !self.takes_share() {
            return Fate::Skipped { reason: Reason::Capped };
        }
        if self.dry_run {
            return Fate::Deleted { objects: 0, bytes: 0 };
        }
        let stored = Stored { job: item.id.clone(), root: item.root.clone() };
        let removed = limited(STORE_LIMIT, shelf.store.remove(&stored)).await;
        match shelf.counted(removed, true) {
            Ok(removed) if removed.objects == 0 => Fate::AlreadyGone,
            Ok(removed) => Fate::Deleted { objects: removed.objects, bytes: removed.bytes },
            Err(error) => failed(&error),
        }
    }

    /// Takes one of this run's deletions, if one is left.
    fn takes_share(&self) -> bool {
        let take = |left: u32| left.checked_sub(1);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// Writes `deletedAt` into the record, for these of its stages, unless somebody else has.
    async fn mark(&self, first: WorkflowSeen, gone: &[u32]) -> Result<(), String> {
        let Workflow::Done(before) = Workflow::of(first.state, first.status.as_deref(), first.created) else {
            return Ok(());
        };
        let mut seen = first.clone();
        let mut last = String::new();
        for _ in 0..MARKS {
            let mut record = Record::parse(seen.status.as_deref().unwrap_or_default())?;
            let now = Workflow::of(seen.state, seen.status.as_deref(), seen.created);
            let Workflow::Done(held) = now else { return Err("the workflow is not at its end any more".to_owned()) };
            if !held.places().eq(before.places()) {
                return Err("it speaks of other results by now".to_owned());
            }
            let mut news = false;
            for stage in gone {
                let Some(results) = record.results_of(*stage) else { continue };
                news |= results.deleted_at.is_none();
                results.deleted_at.get_or_insert(self.moment.now);
            }
            if !news {
                return Ok(());
            }
            let (uid, version) = (seen.uid.clone(), seen.version);
            let write = Write { step: WriteStep::Expire, uid, version, state: State::Done, record };
            let written = self.archive.write(&seen.name, &write);
            match tokio::time::timeout(self.request_timeout, written).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(Failure::NotFound)) => return Ok(()),
                Ok(Err(failure @ (Failure::Conflict | Failure::Unknown { .. }))) => last = failure.to_string(),
                Ok(Err(failure)) => return Err(failure.to_string()),
                Err(_) => last = format!("no answer within {:?}", self.request_timeout),
            }
            match limited(self.request_timeout, self.archive.read(&seen.name)).await? {
                // Another of its name is no concern of this one's.
                Some(now) if now.uid == first.uid => seen = now,
                _ => return Ok(()),
            }
        }
        Err(last)
    }

    async fn delete_record(&self, seen: Option<WorkflowSeen>) -> Fate {
        if !self.takes_share() {
            return Fate::Skipped { reason: Reason::Capped };
        }
        let Some(seen) = seen.filter(|_| !self.dry_run) else { return Fate::RecordDeleted };
        let deleted = self.archive.delete(&seen);
        match tokio::time::timeout(self.request_timeout, deleted).await {
            Ok(Ok(())) => Fate::RecordDeleted,
            // Somebody deleted it, or changed it: the next run looks again.
            Ok(Err(Failure::NotFound | Failure::Conflict)) => Fate::Kept,
            Ok(Err(failure)) => failed(&format!("its record could not be deleted: {failure}")),
            Err(_) => failed(&format!("no answer within {:?}", self.request_timeout)),
        }
    }
}

/// The part of a manifest that expiry goes by; the list of files is not kept.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    version: u32,
    job: String,
    #[serde(default)]
    stage: u32,
    expires_at: Option<Timestamp>,
}

/// What a manifest says to whoever holds it for that of `job`.
pub(super) async fn said_by(id: ResultId, bytes: Bytes) -> Manifest {
    // Up to 64 MiB of JSON: not on a thread that others wait for.
    let head = tokio::task::spawn_blocking(move || serde_json::from_slice::<Head>(&bytes)).await;
    match head {
        Ok(Ok(head)) if head.version != manifest::VERSION => Manifest::Unusable,
        Ok(Ok(head)) if (head.job.as_str(), head.stage) != (id.job().as_str(), id.stage()) => Manifest::OfAnother,
        Ok(Ok(head)) => Manifest::Expires(head.expires_at),
        _ => Manifest::Unusable,
    }
}

fn lines(work: &Work, fates: impl Iterator<Item = Fate>) -> Vec<Line> {
    let line = |(item, fate): (&Item, Fate)| Line { job: item.id.to_string(), store: item.store.clone(), fate };
    work.items.iter().zip(fates).map(line).collect()
}

fn fate_of(decision: Result<Decision, Fate>) -> Fate {
    match decision {
        Ok(Decision::Gone) => Fate::AlreadyGone,
        Ok(Decision::Leave(reason)) => Fate::Skipped { reason },
        // A question is never left open, and what is to be removed is removed.
        Ok(Decision::Keep | Decision::Remove | Decision::AskManifest | Decision::AskLastWritten) => Fate::Kept,
        Err(fate) => fate,
    }
}

fn failed(error: &str) -> Fate {
    Fate::Failed { error: error.to_owned() }
}
