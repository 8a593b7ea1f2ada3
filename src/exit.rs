//! Exit codes: a documented enum that scripts may rely on.

use crate::workflow::Outcome;

/// How the program ends. The numbers are part of the contract; new ways to end get new numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// 0: done; for `local` and `submit --wait`: the outcome is `succeeded`.
    Success = 0,
    /// 1: the engine itself failed (a cluster that cannot be reached, a directory that cannot be written, a bug).
    Failure = 1,
    /// 2: the command line cannot be understood.
    Usage = 2,
    /// 3: the configuration cannot be used.
    Configuration = 3,
    /// 4: there is no such workflow.
    NotFound = 4,
    /// 5: there is something of that name already.
    Exists = 5,
    /// 6: the workflow is not at its end yet.
    NotEnded = 6,
    /// 7: the workflow has no results, or none that are still there.
    NoResults = 7,
    /// 8: the results are not what their manifest, their record or their signature says.
    ResultsDiffer = 8,
    /// 10: the workflow failed.
    WorkflowFailed = 10,
    /// 11: the workflow was stopped.
    WorkflowStopped = 11,
    /// 12: the algorithm's time was up.
    WorkflowTimedOut = 12,
    /// 13: the filter, or a rule about what may leave, let nothing out.
    WorkflowWithheld = 13,
    /// 14: the document is unusable.
    WorkflowRefused = 14,
    /// 130: left at once on a second interrupt, as shells report SIGINT.
    Interrupted = 130,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<Outcome> for Exit {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Succeeded => Self::Success,
            Outcome::Failed => Self::WorkflowFailed,
            Outcome::Stopped => Self::WorkflowStopped,
            Outcome::TimedOut => Self::WorkflowTimedOut,
            Outcome::Withheld => Self::WorkflowWithheld,
            Outcome::Refused => Self::WorkflowRefused,
        }
    }
}
