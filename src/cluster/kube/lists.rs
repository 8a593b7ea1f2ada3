//! What each list asks for.

use super::{COHORT_LABEL, COMPONENT_LABEL, Freshness, MANAGED_BY, OWNER_LABEL, STAGE_LABEL, STATE_LABEL};
use crate::{
    plan::{Failure, cohort::Cohorts, look::Look, seen::Owner},
    workflow::{
        Stage, State,
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
pub(super) fn pods(look: Look, cohorts: &Cohorts) -> ListParams {
    let parameters = match cohorts {
        Cohorts::All => ours(),
        Cohorts::These(these) => {
            let these: Vec<String> = these.iter().map(ToString::to_string).collect();
            // A selector without values is no selector, and 0 is nobody's cohort.
            let these = if these.is_empty() { "0".to_owned() } else { these.join(",") };
            ListParams::default().labels(&format!("{}={},{COHORT_LABEL} in ({these})", MANAGED_BY.0, MANAGED_BY.1))
        }
    };
    match look {
        Look::Finished => parameters.fields("status.phase!=Pending,status.phase!=Running"),
        _ => parameters,
    }
}

/// Everything of ours.
pub(super) fn ours() -> ListParams {
    ListParams::default().labels(&format!("{}={}", MANAGED_BY.0, MANAGED_BY.1))
}

/// Everything of ours that belongs to these workflows; of one stage of their first rounds, if it is given. A later round's pods
/// may be made while such a deletion is under way.
///
/// # Errors
///
/// An empty list is refused: its selector would select everything.
pub(super) fn owned_by(stage: Option<Stage>, owners: &[Owner]) -> Result<ListParams, Failure> {
    if owners.is_empty() {
        let message = "a deletion names the workflows it is about".to_owned();
        return Err(Failure::Refused { reason: "EmptySelector".to_owned(), message });
    }
    let uids: Vec<&str> = owners.iter().map(|owner| owner.uid.0.as_str()).collect();
    let of_stage = stage.map(|stage| format!(",{COMPONENT_LABEL}={stage},!{STAGE_LABEL}")).unwrap_or_default();
    let selector = format!("{}={},{OWNER_LABEL} in ({}){of_stage}", MANAGED_BY.0, MANAGED_BY.1, uids.join(","));
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
