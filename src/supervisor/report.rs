//! What the loop says: edges, not levels. A verdict is logged when it changes, an error where it is handled.

use crate::plan::{Action, Failure, Plan, Target, Verdict, View, standing::Standing};
use std::collections::BTreeMap;

/// The last verdict of each workflow that was said aloud.
#[derive(Default)]
pub(super) struct Edges {
    said: BTreeMap<String, Verdict>,
}

impl Edges {
    pub(super) fn report(&mut self, view: &View, plan: &Plan) {
        self.said.retain(|name, _| plan.verdicts.contains_key(name));
        for (name, verdict) in &plan.verdicts {
            // An action is over within moments; what it led to is said next.
            if matches!(verdict, Verdict::Acting(_)) || self.said.get(name) == Some(verdict) {
                continue;
            }
            let standing = view.workflows.get(name).map(|tracked| tracked.standing());
            let record = match standing {
                Some(Standing::Running(record) | Standing::Done(record)) => Some(record),
                _ => None,
            };
            let stage = record.map_or_else(|| "pending".to_owned(), |record| record.place());
            let attempt = record.map_or(0, |record| record.attempt);
            match verdict {
                Verdict::Quarantined(_) => {
                    tracing::error!(workflow.id = name, stage, attempt, %verdict, "workflow left alone until it changes");
                }
                Verdict::Finished(_) => {
                    let reason = record.and_then(|record| record.reason.as_deref()).unwrap_or_default();
                    tracing::info!(workflow.id = name, stage, attempt, %verdict, reason, "workflow finished");
                }
                _ => tracing::info!(workflow.id = name, stage, attempt, %verdict, "workflow"),
            }
            self.said.insert(name.clone(), verdict.clone());
        }
    }
}

/// Logs a failed action. A conflict is no failure of anything: somebody was faster.
pub(super) fn failed(action: &Action, failure: &Failure) {
    let workflow = if let Target::Workflow(name) = &action.target { name.as_str() } else { "" };
    let name = action.intent.name();
    match failure {
        Failure::Conflict | Failure::NotFound => {
            tracing::debug!(workflow.id = workflow, action = name, error = %failure, "looking again");
        }
        _ => tracing::warn!(workflow.id = workflow, action = name, error = %failure, "an action failed"),
    }
}
