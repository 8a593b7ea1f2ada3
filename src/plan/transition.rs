//! What the record says after a stage has ended: the rules of the contract, in one place.
//!
//! - Configure failed, or was stopped: publish still runs, so that its log comes out.
//! - The algorithm ended, however: the filter (if any) looks at what came out, then publish runs. A stop that comes
//!   while the filter runs ends it, and nothing gets out.
//! - The filter is a gate: unless it exits with 0, no output and no log of the algorithm leaves.
//! - Publish is tried again until its time is up; nothing is dropped silently.
//! - Of several rounds the next begins when this one is published and nothing stands against it; else it was the last.
//! - Failures of the platform are charged to a budget of their own, and the stage is tried again.

mod ended;
mod first;
mod happened;
mod rounds;

pub use ended::Ended;
pub use first::{claimed, record_unreadable, refused, stopped_unclaimed, turned_away};

use super::{action::WriteStep, policy::Policy, view::Ending};
use crate::workflow::{Code, Outcome, Phase, Record, Stage, record::MAX_MESSAGE_LEN, report::clip};
use happened::{Happened, configured, filtered, published, ran};
use jiff::{SignedDuration, Timestamp};
use rounds::where_it_is;

/// The most bytes of [`Record::reason`]: one word.
const MAX_REASON_LEN: usize = 64;

/// The record after `stage` has ended so, and what writing it means.
pub fn after(
    record: &Record,
    stage: Stage,
    ended: &Ended<'_>,
    stop: bool,
    policy: &Policy,
    now: Timestamp,
) -> (WriteStep, Record) {
    let mut next = record.clone();
    next.not_before = None;
    if stop {
        next.stopreq = 1;
    }
    let happened = match stage {
        Stage::Configure => configured(ended, stop, &mut next),
        Stage::Algorithm => ran(ended, stop, &mut next),
        Stage::Filter => filtered(ended, stop),
        Stage::Publish => published(ended, stop, &mut next, policy),
    };
    if let Happened::Platform { reason, message } = &happened
        && may_retry(record, stage, stop, policy, now)
    {
        next.failures = next.failures.saturating_add(1);
        next.attempt = next.attempt.saturating_add(1);
        let pause = policy.retries.backoff(next.failures);
        next.not_before = now.checked_add(SignedDuration::try_from(pause).unwrap_or_default()).ok();
        if next.outcome.is_none() {
            next.reason = Some(clip(reason, MAX_REASON_LEN));
            next.message = Some(clip(&where_it_is(record, message), MAX_MESSAGE_LEN));
        }
        return (WriteStep::Retry, next);
    }
    next.times.entry(stage).or_default().ended = Some(now);
    conclude(&mut next, stage, happened);
    if stage == Stage::Publish && rounds::go_on(&mut next, now) {
        return (WriteStep::Transition, next);
    }
    let to = following(&next, stage, ended, policy);
    enter(&mut next, to, now);
    (if to == Phase::Done { WriteStep::Finish } else { WriteStep::Transition }, next)
}

/// Whether a failure of the platform is forgiven once more.
fn may_retry(record: &Record, stage: Stage, stop: bool, policy: &Policy, now: Timestamp) -> bool {
    // The next attempt needs a name of its own.
    if stop || record.attempt == u32::MAX {
        return false;
    }
    if stage != Stage::Publish {
        return record.failures < policy.retries.platform;
    }
    let begun = record.times.get(&stage).and_then(|times| times.started).unwrap_or(now);
    now.duration_since(begun) < SignedDuration::try_from(policy.retries.publish_for).unwrap_or(SignedDuration::MAX)
}

/// Sets outcome, reason and message. What was decided first stays: a job that was stopped does not become `failed` because
/// its logs could not be stored.
fn conclude(next: &mut Record, stage: Stage, happened: Happened) {
    let (outcome, reason, message) = match happened {
        Happened::Success => {
            if next.outcome.is_none() {
                (next.reason, next.message) = (None, None); // Of an attempt that was repeated since.
            }
            return;
        }
        Happened::Failure { outcome, reason, message } => (outcome, reason, message),
        Happened::Platform { reason, message } => (Outcome::Failed, reason, message),
    };
    if stage == Stage::Filter {
        next.withheld = true;
    }
    if next.outcome.is_some() {
        let known = next.message.take().unwrap_or_default();
        next.message = Some(clip(&format!("{known}; {stage}: {message}"), MAX_MESSAGE_LEN));
        return;
    }
    next.outcome = Some(outcome);
    next.reason = Some(clip(&reason, MAX_REASON_LEN));
    next.message = Some(clip(&where_it_is(next, &message), MAX_MESSAGE_LEN));
}

/// Where a workflow goes after `stage`.
fn following(next: &Record, stage: Stage, ended: &Ended<'_>, policy: &Policy) -> Phase {
    match stage {
        Stage::Configure if next.outcome.is_none() => Phase::Algorithm,
        Stage::Configure | Stage::Filter => Phase::Publish,
        // The gate stays shut for whatever may have run; only what certainly did not needs no filter.
        Stage::Algorithm => {
            let never_ran = match ended {
                Ended::NeverRan { .. } | Ended::StoppedBefore | Ended::DocumentChanged => true,
                Ended::Pod { end, ending: Some(Ending::WaitedFor { .. }) } => end.exit_code.is_none(),
                Ended::Pod { .. } | Ended::Vanished | Ended::Lost => false,
            };
            // An earlier attempt, which the platform ended, may have run and left something.
            let nothing_ran = never_ran && next.attempt == 0;
            if nothing_ran || policy.filter_image.is_none() { Phase::Publish } else { Phase::Filter }
        }
        Stage::Publish => Phase::Done,
    }
}

/// Enters a phase: its code, its first attempt, its time.
fn enter(next: &mut Record, phase: Phase, now: Timestamp) {
    next.phase = phase;
    next.attempt = 0;
    next.set_code(match phase {
        Phase::Configure => Code::ConfiguringVolumes,
        Phase::Algorithm => Code::RunningAlgorithm,
        Phase::Filter => Code::FilteringResults,
        Phase::Publish => Code::PublishingResults,
        Phase::Done => Code::JobFinished,
    });
    match phase.stage() {
        Some(stage) => next.times.entry(stage).or_default().started = Some(now),
        None => next.outcome = Some(next.outcome.unwrap_or(Outcome::Succeeded)),
    }
}
