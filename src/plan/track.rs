//! What is known of one pod.

use super::seen::{PodSeen, Progress, WaitingCause};
use std::time::Duration;

/// A pod in view.
#[derive(Debug, Clone, Default)]
pub struct PodTrack {
    /// As last seen.
    pub seen: Option<PodSeen>,
    /// Whether this process wrote the intent to run it, and knows that it did.
    pub intended: bool,
    /// Whether a request of this process to create it may still be under way somewhere, unanswered.
    pub uncertain: bool,
    /// It cannot be created: why. `None` in a pod that can, or that was not tried yet.
    pub refused: Option<Refused>,
    /// When it was intended or first seen: monotonic.
    pub since: Duration,
    /// The obstacle it waits for, and since when: monotonic.
    pub waiting: Option<(WaitingCause, Duration)>,
    /// Since when it is seen to run: monotonic.
    pub running: Option<Duration>,
    /// Since when it is on its way out, asked to end or seen being deleted: monotonic.
    pub leaving: Option<Duration>,
    /// Why it was asked to end, if it was.
    pub ending: Option<Ending>,
    /// A list did not show it: to be confirmed by reading it.
    pub missing: bool,
    /// It was seen, and then a consistent read found nothing: it is gone.
    pub gone: bool,
    /// It was never seen, and a consistent read found nothing.
    pub absent: bool,
}

/// Why a pod or its volume cannot be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// One CamelCase word.
    pub reason: String,
    /// What the cluster said.
    pub message: String,
}

/// Why a pod was asked to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// A person asked for it.
    Stop,
    /// It waited too long for this.
    WaitedFor {
        /// The obstacle.
        cause: WaitingCause,
        /// What the cluster said about it.
        message: String,
        /// How long.
        after: Duration,
    },
}

impl PodTrack {
    /// Whether nobody can have asked for it, or a consistent read found that nobody did: what stands for it need not
    /// reckon with a pod that was not seen yet.
    pub fn certainly_not_made(&self) -> bool {
        self.seen.is_none() && (self.absent || self.intended && !self.uncertain)
    }

    /// Whether it is known to have ended, or to be gone.
    pub fn is_over(&self) -> bool {
        self.gone || self.seen.as_ref().is_some_and(|seen| matches!(seen.progress, Progress::Ended(_)))
    }
}
