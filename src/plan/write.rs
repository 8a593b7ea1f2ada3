//! The one way from a record to the write of it.

use super::{
    Intent, Policy, Verdict,
    action::{Write, WriteStep},
    step::Step,
    transition,
    view::Tracked,
};
use crate::workflow::{Phase, Record, State, notice::Occasion, record::MAX_LEN};

/// A compare-and-swap of the record. The label follows from it.
pub(super) fn write(name: &str, tracked: &Tracked, policy: &Policy, step: WriteStep, mut record: Record) -> Step {
    let Some(seen) = &tracked.seen else { return Step::verdict(Verdict::Ignored) };
    if policy.notify_start && step == WriteStep::Claim {
        record.notices.owe(Occasion::Start);
    }
    if policy.notify_stop && record.phase == Phase::Done {
        record.notices.owe(Occasion::Stop);
    }
    record.shorten();
    let (step, record) = if record.render().len() <= MAX_LEN {
        (step, record)
    } else {
        // No record that engines write comes near: strangers wrote most of it.
        (WriteStep::Finish, transition::record_unreadable(&record.holder, "it is too long to be written again"))
    };
    let state = if record.phase.stage().is_none() { State::Done } else { State::Active };
    let write = Write { step, uid: seen.uid.clone(), version: seen.version, state, record };
    Step::act(name, Intent::Write(Box::new(write)))
}
