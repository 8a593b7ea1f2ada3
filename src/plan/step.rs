//! What the plan says about one workflow.

use super::{Action, Intent, Target, Verdict, WaitingOn};
use std::time::Duration;

/// What to do about one workflow, and what to say of it.
#[derive(Debug)]
pub struct Step {
    /// At most one action.
    pub action: Option<Action>,
    /// What to say.
    pub verdict: Verdict,
    /// When to decide again even if nothing is seen: monotonic.
    pub wake: Option<Duration>,
}

impl Step {
    /// Nothing to do, only something to say.
    pub fn verdict(verdict: Verdict) -> Self {
        Self { action: None, verdict, wake: None }
    }

    /// Nothing to do, and why.
    pub(super) fn wait(on: WaitingOn) -> Self {
        Self::verdict(Verdict::Waiting(on))
    }

    /// The same, to be decided again at this time.
    pub(super) fn until(self, wake: Duration) -> Self {
        Self { wake: Some(wake), ..self }
    }

    /// Something to do about the workflow `name`.
    pub(super) fn act(name: &str, intent: Intent) -> Self {
        let verdict = Verdict::Acting(intent.name());
        Self { action: Some(Action { target: Target::Workflow(name.to_owned()), intent }), verdict, wake: None }
    }
}
