//! What the record says after a stage has ended: the rules of the contract, in one place.
//!
//! - Configure failed, or was stopped: publish still runs, so that its log comes out.
//! - The algorithm ended, however: the filter (if any) looks at what came out, then publish runs. A stop that comes
//!   while the filter runs ends it, and nothing gets out.
//! - The filter is a gate: unless it exits with 0, no output and no log of the algorithm leaves.
//! - Publish is a gate as well, where the admin has rules about what may leave: what breaks one stays inside, and publish is
//!   begun again for the admin's logs alone, also for somebody who wants it to stop by then.
//! - Publish is tried again until its time is up, also where an admin has to see to the store first; nothing is dropped
//!   silently, and the record says what is waited for.
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
        // Behind how it ended it is clear which one is meant.
        let message = if record.outcome.is_none() { where_it_is(record, message) } else { message.clone() };
        tell_of_retry(&mut next, stage, reason, &message, policy, now);
        return (WriteStep::Retry, next);
    }
    if matches!(happened, Happened::Leak { .. }) && next.attempt < u32::MAX {
        // Recorded before another attempt begins: that one is told by the record.
        conclude(&mut next, stage, happened);
        next.attempt += 1;
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
    publish_until(record, policy, now).is_none_or(|end| now < end)
}

/// When publishing is given up; none for a time that no calendar has.
fn publish_until(record: &Record, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
    let begun = record.times.get(&Stage::Publish).and_then(|times| times.started).unwrap_or(now);
    begun.checked_add(SignedDuration::try_from(policy.retries.publish_for).ok()?).ok()
}

/// What stands in a message before what publishing waits for, behind how the workflow itself ended.
const WAITS: &str = "; publish waits: ";

/// Says what went wrong, and of publishing until when it waits: an admin has so long to see to it.
fn tell_of_retry(next: &mut Record, stage: Stage, reason: &str, message: &str, policy: &Policy, now: Timestamp) {
    let until = publish_until(next, policy, now).filter(|_| stage == Stage::Publish);
    let until = until.map(|end| format!("; the results are kept, and it is tried again until {end:.0}"));
    let until = until.unwrap_or_default();
    let message = format!("{}{until}", clip(message, MAX_MESSAGE_LEN.saturating_sub(until.len())));
    if next.outcome.is_none() {
        next.reason = Some(clip(reason, MAX_REASON_LEN));
        next.message = Some(message);
    } else if stage == Stage::Publish {
        let known = end_alone(next.message.take()).unwrap_or_default();
        next.message = Some(clip(&format!("{known}{WAITS}{message}"), MAX_MESSAGE_LEN));
    }
}

/// How the workflow itself ended, without what publishing waited for.
fn end_alone(message: Option<String>) -> Option<String> {
    let message = message?;
    let known = message.split_once(WAITS).map_or(message.as_str(), |(known, _)| known);
    Some(known.to_owned()).filter(|known| !known.is_empty())
}

/// Sets outcome, reason and message. What was decided first stays: a job that was stopped does not become `failed` because
/// its logs could not be stored.
fn conclude(next: &mut Record, stage: Stage, happened: Happened) {
    let (outcome, reason, message) = match happened {
        Happened::Success => {
            match next.outcome {
                None => (next.reason, next.message) = (None, None), // Of an attempt that was repeated since.
                Some(_) => next.message = end_alone(next.message.take()),
            }
            return;
        }
        Happened::Failure { outcome, reason, message } => (outcome, reason, message),
        Happened::Leak { reason, message } => {
            next.withheld = true;
            (Outcome::Withheld, reason, message)
        }
        Happened::Platform { reason, message } => (Outcome::Failed, reason, message),
    };
    if stage == Stage::Filter {
        next.withheld = true;
    }
    if next.outcome.is_some() {
        let known = end_alone(next.message.take()).unwrap_or_default();
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
