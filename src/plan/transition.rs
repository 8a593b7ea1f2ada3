//! What the record says after a stage has ended: the rules of the contract, in one place.
//!
//! - Configure failed, or was stopped: publish still runs, so that its log comes out.
//! - The algorithm ended, however: the filter (if any) looks at what came out, then publish runs.
//! - The filter is a gate: unless it exits with 0, no output and no log of the algorithm leaves.
//! - Publish is tried again until its time is up; nothing is dropped silently.
//! - Failures of the platform are charged to a budget of their own, and the stage is tried again.

use super::{
    action::WriteStep,
    end::{Cause, End},
    policy::Policy,
    seen::WaitingCause,
    view::Ending,
};
use crate::workflow::{
    Code, Outcome, Phase, Record, Stage,
    digest::Sha256,
    document::Fault,
    record::{Holder, MAX_MESSAGE_LEN, Results, Times, Usage},
    report::{self, ConfigureReport, ExecReport, PublishReport, clip},
};
use jiff::{SignedDuration, Timestamp};
use std::{collections::BTreeMap, time::Duration};

/// How the intended pod of a stage came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended<'a> {
    /// It ended, perhaps because it was asked to.
    Pod {
        /// Its end.
        end: &'a End,
        /// Why it was asked to end, if it was.
        ending: Option<&'a Ending>,
    },
    /// It was there, and somebody or something deleted it.
    Vanished,
    /// It is being deleted and does not go, because its node does not answer. It may still run there.
    Lost,
    /// A person stopped the workflow before it ran.
    StoppedBefore,
    /// It could not be created, or waited too long.
    NeverRan {
        /// One CamelCase word.
        reason: String,
        /// What happened and what to do.
        message: String,
    },
    /// The document is not the one that was claimed.
    DocumentChanged,
}

impl Ended<'_> {
    /// The end of a pod that waited too long for `cause`.
    pub fn waited(cause: WaitingCause, message: &str, after: Duration) -> Self {
        let (reason, what) = match cause {
            WaitingCause::Starting => ("StartTimeout", "the pod did not start"),
            WaitingCause::Unschedulable => {
                ("Unschedulable", "no node took the pod; ask for less or let the admin add capacity")
            }
            WaitingCause::Image => {
                ("ImageNotAvailable", "the image could not be pulled; check its name, tag and registry")
            }
            WaitingCause::Volume => {
                ("VolumeNotAvailable", "the volume was not ready; the admin should check the storage class")
            }
            WaitingCause::Quota => {
                ("QuotaExceeded", "a quota stayed used up; the admin should check the namespace's quotas")
            }
        };
        let detail = if message.is_empty() { String::new() } else { format!(": {message}") };
        let after = SignedDuration::try_from(after).unwrap_or_default();
        Self::NeverRan { reason: reason.to_owned(), message: format!("after {after:#} {what}{detail}") }
    }
}

/// What happened in a stage, sorted by what it means for the workflow.
enum Happened {
    /// It did what it was for.
    Success,
    /// It failed for good.
    Failure { outcome: Outcome, reason: String, message: String },
    /// It failed, and trying again may help. Charged to the platform.
    Platform { reason: String, message: String },
}

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
            next.reason = Some(reason.clone());
            next.message = Some(clip(message, MAX_MESSAGE_LEN));
        }
        return (WriteStep::Retry, next);
    }
    next.times.entry(stage).or_default().ended = Some(now);
    conclude(&mut next, stage, happened);
    let to = following(&next, stage, ended, policy);
    enter(&mut next, to, now);
    (if to == Phase::Done { WriteStep::Finish } else { WriteStep::Transition }, next)
}

/// Whether a failure of the platform is forgiven once more.
fn may_retry(record: &Record, stage: Stage, stop: bool, policy: &Policy, now: Timestamp) -> bool {
    if stop {
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
    next.reason = Some(clip(&reason, 64));
    next.message = Some(clip(&message, MAX_MESSAGE_LEN));
}

/// Where a workflow goes after `stage`.
fn following(next: &Record, stage: Stage, ended: &Ended<'_>, policy: &Policy) -> Phase {
    match stage {
        Stage::Configure if next.outcome.is_none() => Phase::Algorithm,
        Stage::Configure | Stage::Filter => Phase::Publish,
        // The gate stays shut for whatever may have run; only what certainly did not needs no filter.
        Stage::Algorithm => match ended {
            Ended::NeverRan { .. } | Ended::StoppedBefore | Ended::DocumentChanged => Phase::Publish,
            Ended::Pod { end, ending: Some(Ending::WaitedFor { .. }) } if end.exit_code.is_none() => Phase::Publish,
            Ended::Pod { .. } | Ended::Vanished | Ended::Lost if policy.filter_image.is_some() => Phase::Filter,
            Ended::Pod { .. } | Ended::Vanished | Ended::Lost => Phase::Publish,
        },
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

fn configured(ended: &Ended<'_>, stop: bool, next: &mut Record) -> Happened {
    let happened = match ended {
        Ended::Pod { end, ending: None } => match (end.cause(), report::parse::<ConfigureReport>(&end.message)) {
            (Cause::Success, Some(ConfigureReport { fault: None, .. })) => return Happened::Success,
            (Cause::Success | Cause::Workflow, Some(ConfigureReport { fault: Some(fault), .. })) => {
                next.set_code(fault.code);
                Happened::Failure { outcome: Outcome::Failed, reason: fault.reason, message: fault.message }
            }
            (Cause::Platform, _) => platform(end),
            (Cause::Deadline, _) => failed("ConfigureTimedOut", "the inputs were not fetched in time"),
            (Cause::Success | Cause::Workflow, _) => failed(
                "ConfigureFailed",
                &format!("configure ended without a report ({}); see its log", end.describe()),
            ),
        },
        other => not_by_itself(other),
    };
    let happened = if stop { stopped() } else { happened };
    if !stop && matches!(happened, Happened::Failure { .. }) {
        next.set_code(Code::DataProvisioningFailed);
    }
    happened
}

fn ran(ended: &Ended<'_>, stop: bool, next: &mut Record) -> Happened {
    let Ended::Pod { end, ending } = ended else {
        return if stop { stopped() } else { not_by_itself(ended) };
    };
    let report = report::parse::<ExecReport>(&end.message).unwrap_or_default();
    if report.wall_ms > 0 {
        let (wall_ms, cpu_ms, peak_memory_bytes) = (report.wall_ms, report.cpu_ms, report.peak_memory_bytes);
        next.usage = Some(Usage { wall_ms, cpu_ms, peak_memory_bytes });
    }
    next.exit_code = end.exit_code;
    if let Some(Ending::WaitedFor { .. }) = ending {
        return not_by_itself(ended);
    }
    match end.cause() {
        // It may answer the signal at the end of its time with 0. A lie here would harm only the liar.
        Cause::Success if report.timed_out => timed_out(next),
        // A stop that came too late to matter: it had ended by itself.
        Cause::Success => Happened::Success,
        _ if stop => stopped(),
        Cause::Platform => platform(end),
        Cause::Deadline => timed_out(next),
        Cause::Workflow if report.timed_out => timed_out(next),
        Cause::Workflow => {
            let (reason, hint) = match (end.reason.as_deref(), report.error.as_deref()) {
                (Some("OOMKilled"), _) => ("OutOfMemory", "it needs more memory than the environment gives".to_owned()),
                (_, Some(error)) => ("CannotStart", error.to_owned()),
                _ => ("AlgorithmFailed", "see logs/algorithm.log".to_owned()),
            };
            let by_signal = report.signal.map(|signal| format!(", killed by signal {signal}")).unwrap_or_default();
            failed(reason, &format!("the algorithm ended with {}{by_signal}; {hint}", end.describe()))
        }
    }
}

fn filtered(ended: &Ended<'_>, stop: bool) -> Happened {
    let happened = match ended {
        Ended::Pod { end, ending: None } => match end.cause() {
            Cause::Success => return Happened::Success,
            Cause::Platform => platform(end),
            Cause::Deadline => withheld("the filter did not answer in time".to_owned()),
            Cause::Workflow => withheld(format!("the filter did not agree ({})", end.describe())),
        },
        Ended::NeverRan { reason, message } => withheld(format!("the filter could not run ({reason}: {message})")),
        Ended::DocumentChanged => not_by_itself(ended),
        Ended::Pod { end, .. } => withheld(format!("the filter did not run to its end ({})", end.describe())),
        Ended::Vanished | Ended::Lost | Ended::StoppedBefore => not_by_itself(ended),
    };
    if stop { stopped() } else { happened }
}

fn published(ended: &Ended<'_>, stop: bool, next: &mut Record, policy: &Policy) -> Happened {
    let happened = match ended {
        Ended::Pod { end, ending: None } => match (end.cause(), report::parse::<PublishReport>(&end.message)) {
            (Cause::Success, Some(PublishReport { published: Some(published), fault: None })) => {
                next.results = Some(Results {
                    store: published.store,
                    prefix: published
                        .manifest
                        .rsplit_once('/')
                        .map(|(prefix, _)| prefix.to_owned())
                        .unwrap_or_default(),
                    manifest: published.manifest,
                    manifest_sha256: published.manifest_sha256,
                    files: published.files,
                    bytes: published.bytes,
                    expires_at: super::pod::expires_at(next, policy),
                    deleted_at: None,
                });
                return Happened::Success;
            }
            (_, Some(PublishReport { fault: Some(fault), .. })) if !fault.retry => {
                failed("PublishFailed", &format!("{}: {}", fault.reason, fault.message))
            }
            (_, Some(PublishReport { fault: Some(fault), .. })) => Happened::Platform {
                reason: "PublishFailed".to_owned(),
                message: format!("{}: {}", fault.reason, fault.message),
            },
            _ => Happened::Platform {
                reason: "PublishFailed".to_owned(),
                message: format!("publish ended without a report ({}); see its log", end.describe()),
            },
        },
        Ended::NeverRan { reason, message } => {
            Happened::Platform { reason: "PublishFailed".to_owned(), message: format!("{reason}: {message}") }
        }
        other => not_by_itself(other),
    };
    if stop { stopped() } else { happened }
}

/// Ends that have nothing to do with what the stage is for.
fn not_by_itself(ended: &Ended<'_>) -> Happened {
    match ended {
        Ended::NeverRan { reason, message } => failed(reason, message),
        Ended::Vanished => Happened::Platform {
            reason: "PodDeleted".to_owned(),
            message: "the pod was deleted by somebody else".to_owned(),
        },
        // Not tried again: two pods at once over one volume would be worse.
        Ended::Lost => failed(
            "NodeLost",
            "the pod's node does not answer, so nobody knows whether it still runs; the admin should look at the node",
        ),
        Ended::DocumentChanged => failed(
            "DocumentChanged",
            "the document was edited or removed after the workflow was claimed; register a new workflow instead",
        ),
        Ended::StoppedBefore => stopped(),
        Ended::Pod { ending: Some(Ending::WaitedFor { cause, message }), .. } => {
            match Ended::waited(*cause, message, Duration::ZERO) {
                Ended::NeverRan { reason, message } => failed(&reason, &message),
                _ => stopped(),
            }
        }
        Ended::Pod { ending: Some(Ending::Stop), .. } => stopped(),
        Ended::Pod { end, ending: None } => platform(end),
    }
}

fn failed(reason: &str, message: &str) -> Happened {
    Happened::Failure { outcome: Outcome::Failed, reason: reason.to_owned(), message: message.to_owned() }
}

fn stopped() -> Happened {
    let (reason, message) = ("Stopped".to_owned(), "stopped by request".to_owned());
    Happened::Failure { outcome: Outcome::Stopped, reason, message }
}

fn withheld(message: String) -> Happened {
    Happened::Failure { outcome: Outcome::Withheld, reason: "Withheld".to_owned(), message }
}

fn timed_out(next: &mut Record) -> Happened {
    next.stopreq = 2;
    let message = "the algorithm's time was up; what it had written by then is published".to_owned();
    Happened::Failure { outcome: Outcome::TimedOut, reason: "MaxTimeExceeded".to_owned(), message }
}

fn platform(end: &End) -> Happened {
    let reason = end.reason.clone().unwrap_or_else(|| "PodFailed".to_owned());
    Happened::Platform { reason, message: format!("the platform ended the pod ({})", end.describe()) }
}

/// The record of a workflow just claimed: configure is intended.
pub fn claimed(holder: &Holder, document: Sha256, now: Timestamp) -> Record {
    let mut record = blank(holder, document);
    enter(&mut record, Phase::Configure, now);
    record
}

/// The record of a workflow whose document cannot be used.
pub fn refused(holder: &Holder, document: Sha256, faults: &[Fault]) -> Record {
    let mut record = blank(holder, document);
    let in_algorithm = !faults.is_empty() && faults.iter().all(Fault::is_in_algorithm);
    record.set_code(if in_algorithm { Code::AlgorithmProvisioningFailed } else { Code::DataProvisioningFailed });
    let list: Vec<String> = faults.iter().map(Fault::to_string).collect();
    finish(&mut record, Outcome::Refused, "InvalidDocument", &list.join("; "));
    record
}

/// The record of a workflow that was stopped before anybody claimed it. Nothing ran, so there is nothing to publish.
pub fn stopped_unclaimed(holder: &Holder) -> Record {
    let mut record = blank(holder, Sha256::of(""));
    record.stopreq = 1;
    finish(&mut record, Outcome::Stopped, "Stopped", "stopped by request before it began");
    record
}

/// The record of a workflow that is labelled as claimed and has no record that can be read.
pub fn record_unreadable(holder: &Holder, error: &str) -> Record {
    let mut record = blank(holder, Sha256::of(""));
    let message = format!("its record cannot be read ({error}), so nobody knows how far it was; register it anew");
    finish(&mut record, Outcome::Failed, "RecordUnreadable", &message);
    record
}

fn finish(record: &mut Record, outcome: Outcome, reason: &str, message: &str) {
    record.phase = Phase::Done;
    record.set_code(Code::JobFinished);
    record.outcome = Some(outcome);
    record.reason = Some(reason.to_owned());
    record.message = Some(clip(message, MAX_MESSAGE_LEN));
}

fn blank(holder: &Holder, document: Sha256) -> Record {
    Record {
        code: Code::WarmingUp,
        text: Code::WarmingUp.text().to_owned(),
        phase: Phase::Configure,
        attempt: 0,
        document,
        holder: holder.clone(),
        stopreq: 0,
        failures: 0,
        not_before: None,
        outcome: None,
        withheld: false,
        reason: None,
        message: None,
        exit_code: None,
        usage: None,
        times: BTreeMap::<Stage, Times>::new(),
        results: None,
    }
}
