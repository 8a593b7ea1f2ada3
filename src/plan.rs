//! The decision core: what was seen goes in, what to do comes out.
//!
//! ```text
//!   lists and answers ──merge──▶ View ──plan(view, policy, now)──▶ Plan { actions, verdicts, wake }
//! ```
//!
//! [`plan`] is a pure function. It does no I/O, knows no clock and no randomness, and cannot fail; time is an argument.
//! Every workflow in view gets a [`Verdict`] every time. The rules, a file each:
//!
//! - [`view`]: what is known, from partial evidence; [`merge`](mod@merge): how evidence is added to it.
//! - [`lease`]: this engine's Lease, and when another engine counts as dead.
//! - [`admission`]: which pending workflow may start, and in what order.
//! - [`kind`]: ConfigMaps and Secrets; [`namesake`]: which of two of one name is the job.
//! - [`drive`]: one claimed workflow, one step; [`transition`]: what the record says after a stage has ended.
//! - [`cleaning`]: what may be deleted, and when.
//! - [`look`]: the lists there are; [`cadence`]: which of them are due; [`cohort`]: which ended pods one of them asks for.
//!
//! Absent here: anything that acts. An action leaves its executor no choice.

pub mod action;
pub mod admission;
pub mod answer;
pub mod cadence;
mod cleaned;
pub mod cleaning;
pub mod cohort;
pub mod drive;
pub mod end;
pub mod failure;
pub mod kind;
pub mod lease;
pub mod look;
pub mod merge;
pub mod namesake;
pub mod pod;
pub mod policy;
mod queue;
pub mod seen;
pub mod standing;
pub mod step;
pub mod track;
pub mod transition;
mod trouble;
pub mod verdict;
pub mod view;
mod write;

pub use action::{Action, Intent, Target};
pub use answer::Answer;
pub use failure::Failure;
pub use policy::Policy;
pub use verdict::{Verdict, WaitingOn};
pub use view::View;

use jiff::Timestamp;
use std::{collections::BTreeMap, time::Duration};

/// The time, as two clocks tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since some fixed instant of this process; never goes back. Decides about leases, deadlines and backoff.
    pub mono: Duration,
    /// The wall clock. It is recorded and compared with recorded times; it may jump.
    pub wall: Timestamp,
}

/// What to do now.
#[derive(Debug, Default)]
pub struct Plan {
    /// To be carried out, in this order where not all can at once. At most one for each [`Target`].
    pub actions: Vec<Action>,
    /// What is to be said of every workflow in view.
    pub verdicts: BTreeMap<String, Verdict>,
    /// When to plan again if nothing happens before: monotonic.
    pub wake: Option<Duration>,
}

impl Plan {
    fn wake_at(&mut self, at: Duration) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }
}

/// Decides what to do, from what is known and the time alone.
pub fn plan(view: &View, policy: &Policy, now: Now) -> Plan {
    let mut plan = Plan::default();
    lease::plan(view, policy, now, &mut plan);
    let may_write = view.may_write(policy, now);
    for (name, tracked) in &view.workflows {
        let verdict = guarded(|| drive::decide(view, name, tracked, policy, now, may_write));
        let verdict = verdict.unwrap_or_else(|panic| step::Step::verdict(Verdict::Quarantined(panic)));
        if let Some(at) = verdict.wake {
            plan.wake_at(at);
        }
        plan.actions.extend(verdict.action);
        plan.verdicts.insert(name.clone(), verdict.verdict);
    }
    if may_write {
        admission::plan(view, policy, now, &mut plan);
        cleaning::plan(view, policy, now, &mut plan);
    }
    plan
}

/// One poison object must not stop the rest (Argo's CVE-2026-40886 was a panic over one annotation): a panic in one
/// workflow's decision becomes that workflow's verdict.
fn guarded<T>(decide: impl FnOnce() -> T) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(decide)).map_err(|panic| panic_text(&*panic))
}

/// What a panic said.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a message").to_owned()
}
