//! What each list asks for.

use super::{COMPONENT_LABEL, Freshness, MANAGED_BY, STATE_LABEL, WORKFLOW_LABEL};
use crate::{
    plan::{Failure, look::Look},
    workflow::{
        JobId, Stage, State,
        notice::{NOTIFY_LABEL, OWED},
    },
};
use kube::api::{ListParams, VersionMatch};

/// The selector of a list of workflows. It goes by the state label alone: that is the contract.
pub(super) fn workflows(look: Look) -> ListParams {
    let states: &[State] = match look {
        Look::Owed => return ListParams::default().labels(&format!("{NOTIFY_LABEL}={OWED}")),
        Look::Attention => &[State::Pending, State::Stopping],
        Look::Stopping => &[State::Stopping],
        _ => &[State::Active],
    };
    let states: Vec<&str> = states.iter().map(|state| state.as_str()).collect();
    ListParams::default().labels(&format!("{STATE_LABEL} in ({})", states.join(",")))
}

/// The selector of a list of pods.
pub(super) fn pods(look: Look) -> ListParams {
    match look {
        Look::Finished => ours().fields("status.phase!=Pending,status.phase!=Running"),
        _ => ours(),
    }
}

/// Everything of ours.
pub(super) fn ours() -> ListParams {
    ListParams::default().labels(&format!("{}={}", MANAGED_BY.0, MANAGED_BY.1))
}

/// Everything of ours that belongs to these workflows; of one stage, if it is given.
///
/// # Errors
///
/// An empty list is refused: its selector would select everything.
pub(super) fn of_jobs(stage: Option<Stage>, jobs: &[JobId]) -> Result<ListParams, Failure> {
    if jobs.is_empty() {
        let message = "a deletion names the workflows it is about".to_owned();
        return Err(Failure::Refused { reason: "EmptySelector".to_owned(), message });
    }
    let names: Vec<&str> = jobs.iter().map(JobId::as_str).collect();
    let of_stage = stage.map(|stage| format!(",{COMPONENT_LABEL}={stage}")).unwrap_or_default();
    let selector = format!("{}={},{WORKFLOW_LABEL} in ({}){of_stage}", MANAGED_BY.0, MANAGED_BY.1, names.join(","));
    Ok(ListParams::default().labels(&selector))
}

/// Adds how fresh the answer must be. A cached list with a version is answered in a few milliseconds; a consistent one
/// waits up to 100 ms on a quiet resource (KEP-2340).
pub(super) fn fresh(parameters: ListParams, freshness: Freshness) -> ListParams {
    match freshness {
        Freshness::Consistent => parameters,
        Freshness::NotOlderThan(version) if version.0 == 0 => parameters.match_any(),
        Freshness::NotOlderThan(version) => parameters.at(&version.0.to_string()).matching(VersionMatch::NotOlderThan),
    }
}
