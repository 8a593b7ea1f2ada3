//! What becomes of a stored result: a pure function of what the record says, what the manifest says, and the time.
//!
//! ```text
//!   record          manifest         and then
//!   none            expired          removed: a deleted ConfigMap leaks nothing
//!   expired         expired          removed, and `deletedAt` recorded
//!   expired         missing          removed: the record comes first (a manifest goes last, so little is left)
//!   expired         not yet, never   left alone and told: both must say so
//!   not yet, never  not asked        left
//!   none or silent  missing          an orphan of a crash: removed once it is old enough by the store's own clock
//!   any             another's        left alone and told
//!   not at its end  not asked        left, whatever it is
//! ```
//!
//! "Expired" means so by the earliest of all clocks asked, and so at the time of an earlier sweep too: of a time that lies
//! between that sweep and now, only this one knows that it has passed. Evidence is gathered as it is asked for: a
//! [`Decision::AskManifest`] is answered and the question put again.

use super::held::Workflow;
use crate::workflow::ResultId;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// The rules, from the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Results deleted in one run at most.
    pub max_per_run: u32,
    /// How long before a run an earlier one must have found the same.
    pub confirm_after: Duration,
    /// How far clocks may be apart.
    pub clock_tolerance: Duration,
    /// How old results without a manifest must be; none: they stay.
    pub orphans_after: Option<Duration>,
    /// How long ConfigMaps are kept after their results were deleted; none: for ever.
    pub keep_records: Option<Duration>,
}

/// The time, as sweeps go by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The earliest of the clocks that were asked.
    pub now: Timestamp,
    /// The time of the earlier sweep that has to agree; none: nothing is confirmed.
    pub agreed: Option<Timestamp>,
}

/// What is known of one result, or of a part of it, in one store.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// The workflow, and which of its stages.
    pub id: ResultId,
    /// The store's name.
    pub store: String,
    /// The content id of all of it, if there is such.
    pub root: Option<String>,
    /// Whether the store's list has it; else only the record speaks of it.
    pub listed: bool,
    /// Whether the store's list has anything at all.
    pub store_has_any: bool,
    /// What the cluster says.
    pub workflow: Workflow,
    /// What the manifest says; none: not asked yet.
    pub manifest: Option<Manifest>,
    /// When it was last written, if the store can say; none: not asked yet.
    pub last_written: Option<Option<Timestamp>>,
}

/// What a store says of the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manifest {
    /// There is none.
    Missing,
    /// There is something else under its name.
    Unusable,
    /// It is that of another workflow.
    OfAnother,
    /// It is this one's: when it may be deleted.
    Expires(Option<Timestamp>),
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Look at the manifest, and ask again.
    AskManifest,
    /// Ask when it was last written, and ask again.
    AskLastWritten,
    /// Remove it.
    Remove,
    /// It is not there any more.
    Gone,
    /// Its time has not come.
    Keep,
    /// It is or may be due, and is left alone all the same.
    Leave(Reason),
}

/// Why something is left alone although it is or may be due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// No earlier sweep saw it expired.
    #[error("its time is up; it goes when a later run, expiry.confirm_after from now at the earliest, finds the same")]
    Unconfirmed,
    /// The run's share is used up.
    #[error("its time is up; this run has deleted as much as expiry.max_per_run allows")]
    Capped,
    /// Record and manifest contradict one another.
    #[error("the record says that its time is up, the manifest says otherwise")]
    Contradiction,
    /// A person or a fault changed the record.
    #[error("the record names a prefix that is not this workflow's; nothing of it is touched")]
    ForeignPrefix,
    /// The manifest names another workflow.
    #[error("the manifest is another workflow's")]
    ForeignManifest,
    /// The manifest cannot be read.
    #[error("what stands in the manifest's place is none that this version can read")]
    UnusableManifest,
    /// Content that does not name its workflow.
    #[error("nothing in it names its workflow")]
    Nameless,
    /// The record cannot be read.
    #[error("the workflow's record cannot be read")]
    UnreadableRecord,
    /// Nobody knows how old an orphan is.
    #[error("it has no manifest, and the store does not know when it was written")]
    AgeUnknown,
    /// The record speaks of it, and the store is empty.
    #[error("the store shows nothing at all, so nothing is taken for deleted; is it the right one?")]
    EmptyStore,
    /// The record speaks of a store that is not configured.
    #[error("it is in a store that this engine is not configured for")]
    UnknownStore,
}

/// How a time stands.
enum Due {
    NotYet,
    Unconfirmed,
    Yes,
}

impl Moment {
    fn due(self, at: Timestamp) -> Due {
        match self.agreed {
            _ if at > self.now => Due::NotYet,
            Some(agreed) if at <= agreed => Due::Yes,
            _ => Due::Unconfirmed,
        }
    }
}

/// Decides about one result in one store.
pub fn decide(evidence: &Evidence, policy: &Policy, moment: Moment) -> Decision {
    let Evidence { id, workflow, .. } = evidence;
    let held = match workflow {
        Workflow::Gone => None,
        Workflow::Unfinished => return Decision::Keep,
        Workflow::Unreadable => return Decision::Leave(Reason::UnreadableRecord),
        Workflow::Done(held) => held.results.get(&id.stage()),
    };
    if let Some(held) = held {
        match held.expires_at.map(|at| moment.due(at)) {
            None | Some(Due::NotYet) => return Decision::Keep,
            _ if held.places.iter().any(|(_, prefix, _)| prefix != id.as_str()) => {
                return Decision::Leave(Reason::ForeignPrefix);
            }
            Some(Due::Unconfirmed) => return Decision::Leave(Reason::Unconfirmed),
            Some(Due::Yes) => {}
        }
    }
    let in_record = held.is_some_and(|held| held.places.iter().any(|(store, ..)| *store == evidence.store));
    // A content id may be asked for without the list, whose index is only for finding it.
    if !evidence.listed && evidence.root.is_none() {
        return gone(evidence);
    }
    match evidence.manifest.as_ref() {
        None => Decision::AskManifest,
        Some(Manifest::OfAnother) => Decision::Leave(Reason::ForeignManifest),
        Some(Manifest::Unusable) => Decision::Leave(Reason::UnusableManifest),
        Some(Manifest::Expires(at)) => match at.map(|at| moment.due(at)) {
            None | Some(Due::NotYet) if held.is_some() => Decision::Leave(Reason::Contradiction),
            None | Some(Due::NotYet) => Decision::Keep,
            Some(Due::Unconfirmed) => Decision::Leave(Reason::Unconfirmed),
            Some(Due::Yes) => Decision::Remove,
        },
        Some(Manifest::Missing) if !evidence.listed => gone(evidence),
        Some(Manifest::Missing) if evidence.root.is_some() => Decision::Leave(Reason::Nameless),
        Some(Manifest::Missing) if in_record => Decision::Remove,
        Some(Manifest::Missing) => orphan(evidence, policy, moment),
    }
}

fn gone(evidence: &Evidence) -> Decision {
    if evidence.store_has_any { Decision::Gone } else { Decision::Leave(Reason::EmptyStore) }
}

fn orphan(evidence: &Evidence, policy: &Policy, moment: Moment) -> Decision {
    let Some(after) = policy.orphans_after else { return Decision::Keep };
    let written = match evidence.last_written {
        None => return Decision::AskLastWritten,
        Some(None) => return Decision::Leave(Reason::AgeUnknown),
        Some(Some(written)) => written,
    };
    match later(written, after).map(|at| moment.due(at)) {
        None | Some(Due::NotYet) => Decision::Keep,
        Some(Due::Unconfirmed) => Decision::Leave(Reason::Unconfirmed),
        Some(Due::Yes) => Decision::Remove,
    }
}

/// Whether a workflow's ConfigMap may go: it is at its end, nothing of it is
/// stored (`stored`), nobody is still to be told, and its time after that is up.
pub fn record_may_go(workflow: &Workflow, stored: bool, policy: &Policy, moment: Moment) -> bool {
    let (Workflow::Done(held), Some(keep), false) = (workflow, policy.keep_records, stored) else { return false };
    if held.owes {
        return false;
    }
    let deleted: Option<Vec<_>> = held.results.values().map(|results| results.deleted_at).collect();
    let since = deleted.and_then(|deleted| deleted.into_iter().chain([held.ended]).max());
    let at = since.and_then(|since| later(since, keep));
    at.is_some_and(|at| matches!(moment.due(at), Due::Yes))
}

/// None if that is beyond all time.
fn later(at: Timestamp, duration: Duration) -> Option<Timestamp> {
    at.checked_add(SignedDuration::try_from(duration).ok()?).ok()
}
