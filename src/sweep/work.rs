//! What there is to look at: the workflows of which a store has something, those whose records speak of something, and those
//! whose records are themselves due. Of all others nothing is kept, so that ten thousand cost a few megabytes.

use super::{
    decide::{Manifest, Moment, Policy, record_may_go},
    held::{Held, Kept, Workflow},
    report::Fate,
    shelf::Shelf,
};
use crate::{
    cluster::archive::Archive,
    plan::{
        Failure,
        kind::{self, Kind},
        namesake::{Rank, rank},
        seen::WorkflowSeen,
    },
    storage::Stored,
    workflow::{JobId, ResultId},
};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How many workflows one page asks for.
pub(super) const PAGE: u32 = 500;

/// One workflow.
#[derive(Debug, Clone)]
pub(super) struct Work {
    /// What the cluster said when all were listed.
    pub(super) workflow: Workflow,
    /// What it is called; of two workflows of one job, the one that is the job.
    pub(super) name: Option<(Rank, String)>,
    /// Where something of it is, or is said to be.
    pub(super) items: Vec<Item>,
}

impl Work {
    /// The job's workflow as it is now, whatever it is.
    ///
    /// # Errors
    ///
    /// Those of the cluster.
    pub(super) async fn read(&self, archive: &dyn Archive, job: &JobId) -> Result<Option<WorkflowSeen>, Failure> {
        if let Some((_, name)) = &self.name {
            return archive.read(name).await;
        }
        match archive.read(&Kind::ConfigMap.call(job.as_str())).await? {
            Some(found) => Ok(Some(found)),
            None => archive.read(&Kind::Secret.call(job.as_str())).await,
        }
    }
}

/// Something of a workflow in one store.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// Which of the workflow's results.
    pub(super) id: ResultId,
    /// Which store; none: one that is not configured.
    pub(super) shelf: Option<usize>,
    /// The store's name.
    pub(super) store: String,
    /// The content id of it, if the store has such.
    pub(super) root: Option<String>,
    /// Whether the store's list has it.
    pub(super) listed: bool,
    /// What its manifest says, once asked.
    pub(super) manifest: Option<Manifest>,
    /// When it was written, once asked.
    pub(super) last_written: Option<Option<Timestamp>>,
}

/// Everything there is to look at, by job id.
pub(super) type Agenda = BTreeMap<JobId, Work>;

/// Adds what a store has.
pub(super) fn listed(agenda: &mut Agenda, shelf: usize, store: &str, found: impl Iterator<Item = Stored>) {
    for Stored { job: id, root } in found {
        let gone = || Work { workflow: Workflow::Gone, name: None, items: Vec::new() };
        let work = agenda.entry(id.job().clone()).or_insert_with(gone);
        work.items.push(Item::new(id, Some(shelf), store, root, true));
    }
}

/// What it goes by.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) policy: &'a Policy,
    pub(super) moment: Moment,
    /// Whether every store could be opened and listed: else an unknown one may be of those, and what nobody shows may be there.
    pub(super) all_listed: bool,
}

/// Adds what all workflows' records say.
///
/// # Errors
///
/// Those of the cluster. A list that breaks off is an error: what it does not show must not be taken for deleted.
pub(super) async fn recorded(
    agenda: &mut Agenda,
    archive: &dyn Archive,
    shelves: &[Shelf],
    rules: Rules<'_>,
    limit: Duration,
) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let asked = tokio::time::timeout(limit, archive.page(PAGE, after.as_deref())).await;
        let late = |_| Failure::NotDone { error: format!("no answer within {limit:?}"), after: None };
        let page = asked.map_err(late)??;
        for seen in &page.workflows {
            if let Ok(job) = kind::job(&seen.name) {
                add(agenda, job, seen, shelves, rules);
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

fn add(agenda: &mut Agenda, job: JobId, seen: &WorkflowSeen, shelves: &[Shelf], rules: Rules<'_>) {
    let rank = rank(seen);
    if agenda.get(&job).and_then(|work| work.name.as_ref()).is_some_and(|(other, _)| *other < rank) {
        return; // What is stored is its namesake's; its own record waits until that one's is gone.
    }
    let workflow = Workflow::of(seen.state, seen.status.as_deref(), seen.created);
    if let Workflow::Done(held) = &workflow {
        let there = held.results.values().filter(|kept| kept.deleted_at.is_none()).flat_map(|kept| &kept.places);
        there.for_each(|(store, ..)| shelves.iter().for_each(|shelf| shelf.promises(store)));
    }
    let name = Some((rank, seen.name.clone()));
    let missing = match &workflow {
        Workflow::Done(held) => promised(held, &job, agenda.get(&job), shelves, rules),
        _ => Vec::new(),
    };
    if let Some(work) = agenda.get_mut(&job) {
        (work.workflow, work.name) = (workflow, name);
        work.items.extend(missing);
    } else if !missing.is_empty() || record_may_go(&workflow, !rules.all_listed, rules.policy, rules.moment) {
        agenda.insert(job, Work { workflow, name, items: missing });
    }
}

/// What the record says should be somewhere and no list has: looked at only once its time is up.
fn promised(held: &Held, job: &JobId, found: Option<&Work>, shelves: &[Shelf], rules: Rules<'_>) -> Vec<Item> {
    let mut items = Vec::new();
    let is_due = |kept: &Kept| kept.deleted_at.is_none() && kept.expires_at.is_some_and(|at| at <= rules.moment.now);
    let due = held.results.iter().filter(|(_, kept)| is_due(kept));
    for (stage, (store, _, root)) in due.flat_map(|(stage, kept)| kept.places.iter().map(move |place| (stage, place))) {
        let id = ResultId::of(job.clone(), *stage);
        let shelf = shelves.iter().position(|shelf| shelf.store.name() == store);
        let same = |item: &&Item| {
            item.id == id && item.shelf == shelf && (item.root == *root || item.root.is_none() || root.is_none())
        };
        let is_found = found.is_some_and(|work| work.items.iter().any(|item| same(&item)));
        // Of a store that could not be listed nothing is known.
        let usable = match shelf {
            Some(index) => shelves.get(index).is_some_and(|shelf| shelf.moment.is_some()),
            None => rules.all_listed,
        };
        if !is_found && usable {
            items.push(Item::new(id, shelf, store, root.clone(), false));
        }
    }
    items
}

impl Item {
    fn new(id: ResultId, shelf: Option<usize>, store: &str, root: Option<String>, listed: bool) -> Self {
        Self { id, shelf, store: store.to_owned(), root, listed, manifest: None, last_written: None }
    }
}

/// The stages whose results are gone from every place that the record speaks of, and that it does not call deleted yet.
pub(super) fn gone(held: &Held, items: &[Item], fates: &[Fate]) -> Vec<u32> {
    let left = held.results.iter().filter(|(_, kept)| kept.deleted_at.is_none());
    let gone = left.filter(|(stage, kept)| kept.all_gone(&stores_without(**stage, items, fates)));
    gone.map(|(stage, _)| *stage).collect()
}

/// The stores in which nothing of a stage is left.
fn stores_without<'a>(stage: u32, items: &'a [Item], fates: &[Fate]) -> BTreeSet<&'a str> {
    let is_gone = |fate: &Fate| matches!(fate, Fate::Deleted { .. } | Fate::AlreadyGone);
    let with = |gone: bool| {
        let of = items.iter().zip(fates).filter(move |(item, fate)| item.id.stage() == stage && is_gone(fate) == gone);
        of.map(|(item, _)| item.store.as_str()).collect::<BTreeSet<_>>()
    };
    &with(true) - &with(false)
}
