//! What an end means, stage by stage.

use super::Ended;
use crate::{
    plan::{
        end::{Cause, End},
        policy::Policy,
        view::Ending,
    },
    workflow::{
        Code, Outcome, Record,
        record::{MAX_IMAGE_ID_LEN, MAX_USAGE, Results, Usage},
        report::{self, ConfigureReport, ExecReport, PublishReport},
    },
};

/// What happened in a stage, sorted by what it means for the workflow.
pub(super) enum Happened {
    /// It did what it was for.
    Success,
    /// It failed for good.
    Failure { outcome: Outcome, reason: String, message: String },
    /// What was to be published may not leave. What the engine's own stages said still is to be.
    Leak { reason: String, message: String },
    /// It failed, and trying again may help. Charged to the platform.
    Platform { reason: String, message: String },
}

pub(super) fn configured(ended: &Ended<'_>, stop: bool, next: &mut Record) -> Happened {
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

pub(super) fn ran(ended: &Ended<'_>, stop: bool, next: &mut Record) -> Happened {
    let Ended::Pod { end, ending } = ended else {
        return if stop { stopped() } else { not_by_itself(ended) };
    };
    let report = report::parse::<ExecReport>(&end.message).unwrap_or_default();
    if report.wall_ms > 0 {
        // The report is a stranger's.
        let [wall_ms, cpu_ms, peak_memory_bytes] =
            [report.wall_ms, report.cpu_ms, report.peak_memory_bytes].map(|number| number.min(MAX_USAGE));
        next.usage = Some(Usage { wall_ms, cpu_ms, peak_memory_bytes });
    }
    next.exit_code = end.exit_code;
    next.image_id = end.image_id.as_deref().map(|id| report::clip(id, MAX_IMAGE_ID_LEN));
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
                _ if end.is_out_of_disk() => (
                    "OutOfDisk",
                    format!("it needs more local disk than the environment gives: {}", end.message.trim()),
                ),
                (Some("OOMKilled"), _) => ("OutOfMemory", OUT_OF_MEMORY.to_owned()),
                // The kernel killed a process of it that was not its container's first, which not every runtime tells.
                _ if report.out_of_memory => ("OutOfMemory", OUT_OF_MEMORY.to_owned()),
                (_, Some(error)) => ("CannotStart", error.to_owned()),
                _ => ("AlgorithmFailed", "see logs/algorithm.log".to_owned()),
            };
            let by_signal = report.signal.map(|signal| format!(", killed by signal {signal}")).unwrap_or_default();
            failed(reason, &format!("the algorithm ended with {}{by_signal}; {hint}", end.describe()))
        }
    }
}

/// What to do about it.
const OUT_OF_MEMORY: &str = "it needs more memory than the environment gives";

pub(super) fn filtered(ended: &Ended<'_>, stop: bool) -> Happened {
    let happened = match ended {
        Ended::Pod { end, ending: None } => match end.cause() {
            Cause::Success => return Happened::Success,
            Cause::Platform => platform(end),
            Cause::Deadline => withheld("the filter did not answer in time".to_owned()),
            Cause::Workflow => withheld(match report::parse::<ExecReport>(&end.message) {
                Some(ExecReport { error: Some(error), .. }) => format!("the filter could not be started: {error}"),
                _ => format!("the filter did not agree ({})", end.describe()),
            }),
        },
        Ended::NeverRan { reason, message } => withheld(format!("the filter could not run ({reason}: {message})")),
        Ended::DocumentChanged => not_by_itself(ended),
        Ended::Pod { end, .. } => withheld(format!("the filter did not run to its end ({})", end.describe())),
        Ended::Vanished | Ended::Lost | Ended::StoppedBefore => not_by_itself(ended),
    };
    if stop { stopped() } else { happened }
}

pub(super) fn published(ended: &Ended<'_>, stop: bool, next: &mut Record, policy: &Policy) -> Happened {
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
                    root: published.root,
                    adminlogs: published.adminlogs,
                    files: published.files,
                    bytes: published.bytes,
                    expires_at: crate::plan::pod::expires_at(next, policy),
                    deleted_at: None,
                });
                return Happened::Success;
            }
            // Told to store nothing of the algorithm's, it has nothing to refuse.
            (_, Some(PublishReport { fault: Some(fault), .. })) if fault.withheld && !next.withheld => {
                Happened::Leak { reason: fault.reason, message: fault.message }
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
        // What is wrong with its image or its node passes, or an admin sees to it: the results are worth the wait.
        other => match not_by_itself(other) {
            Happened::Failure { outcome: Outcome::Failed, reason, message } if never_ran(other) => {
                Happened::Platform { reason: "PublishFailed".to_owned(), message: format!("{reason}: {message}") }
            }
            happened => happened,
        },
    };
    match happened {
        // A wish to stop lets nothing out, and the admin's logs are to be stored all the same.
        Happened::Leak { .. } => happened,
        _ if stop => stopped(),
        _ => happened,
    }
}

fn never_ran(ended: &Ended<'_>) -> bool {
    matches!(ended, Ended::NeverRan { .. } | Ended::Pod { ending: Some(Ending::WaitedFor { .. }), .. })
}

/// Ends that have nothing to do with what the stage is for.
fn not_by_itself(ended: &Ended<'_>) -> Happened {
    match ended {
        Ended::NeverRan { reason, message } => failed(reason, message),
        Ended::Vanished => Happened::Platform {
            reason: "PodDeleted".to_owned(),
            message: "the pod was deleted or evicted by somebody else".to_owned(),
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
        Ended::Pod { ending: Some(Ending::WaitedFor { cause, message, after }), .. } => {
            match Ended::waited(*cause, message, *after) {
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
    // A person's wish is not forgotten over it.
    if next.stopreq != 1 {
        next.stopreq = 2;
    }
    let message = "the algorithm's time was up; what it had written by then is published".to_owned();
    Happened::Failure { outcome: Outcome::TimedOut, reason: "MaxTimeExceeded".to_owned(), message }
}

fn platform(end: &End) -> Happened {
    let reason = end.reason.clone().unwrap_or_else(|| "PodFailed".to_owned());
    Happened::Platform { reason, message: format!("the platform ended the pod ({})", end.describe()) }
}
