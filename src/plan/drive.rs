//! One workflow, one step.
//!
//! ```text
//!  pending ─claim─▶ configure ─▶ algorithm ─▶ filter ─▶ publish ─▶ done
//!                       │  failed,   │ stopped,   ▲  withheld  ▲
//!                       │  stopped   │ over time  │            │
//!                       └────────────┴── the algorithm ran? ───┘
//!
//!  of several rounds, the document's stages: publish ─▶ configure of the next, if all went well
//!
//!  within a stage:  intent recorded ─▶ volume, pod created ─▶ seen to wait, run, end ─▶ next intent recorded
//!                        ▲                                          │ the platform failed
//!                        └──────────── attempt + 1 ─────────────────┘
//! ```
//!
//! Each step follows from the record and the evidence alone, so a restart and an ordinary turn are one path.

use super::{
    Action, Intent, Now, Policy, Verdict, WaitingOn,
    action::WriteStep,
    end::{Cause, End},
    kind::{self, Kind},
    lease::{Liveness, liveness},
    namesake::{self, NameTrack},
    pod::{deadline, spec_for},
    seen::{PodSeen, Progress, WaitingCause, pod_name},
    standing::Standing,
    step::Step,
    transition::{self, Ended},
    view::{Ending, PodTrack, Tracked, View, VolumeTrack},
    write::write,
};
use crate::workflow::{
    Document, JobId, Record, Stage, State,
    report::{self, ExecReport},
};
use jiff::SignedDuration;
use std::{sync::Arc, time::Duration};

/// Decides about one workflow. Pending ones are admitted elsewhere ([`super::admission`]), because they compete.
pub fn decide(view: &View, name: &str, tracked: &Tracked, policy: &Policy, now: Now, may_write: bool) -> Step {
    let version = tracked.seen.as_ref().map(|seen| seen.version).unwrap_or_default();
    if let Some(quarantine) = tracked.quarantine.as_ref().filter(|quarantine| quarantine.version == version) {
        return Step::verdict(Verdict::Quarantined(quarantine.panic.clone()));
    }
    if let Some(action) = tracked.busy {
        return Step::verdict(Verdict::Acting(action));
    }
    if let Some(trouble) = tracked.trouble.as_ref().filter(|trouble| trouble.until > now.mono) {
        return Step::wait(WaitingOn::Trouble { error: trouble.error.clone() }).until(trouble.until);
    }
    if tracked.stale {
        return Step::act(name, Intent::ReadWorkflow);
    }
    if tracked.is_deleting() {
        // Its pods and its volume go with it; whatever is begun now would be in their way.
        return Step::verdict(Verdict::Ignored);
    }
    match tracked.standing() {
        Standing::Unknown | Standing::Foreign => Step::verdict(Verdict::Ignored),
        Standing::Done(record) if tracked.is_labelled(State::Done) => match record.outcome {
            Some(outcome) => Step::verdict(Verdict::Finished(outcome)),
            None => Step::verdict(Verdict::Ignored),
        },
        _ if !may_write => Step::wait(WaitingOn::OwnLease),
        _ if !view.looks.audited() => Step::wait(WaitingOn::FirstAudit),
        // Applying a manifest once more sets its label again. The end is final, so the label is put right.
        Standing::Done(record) => write(name, tracked, policy, WriteStep::Finish, record.clone()),
        // Decided by admission, which overrules this.
        Standing::Pending => Step::wait(WaitingOn::Slot { ahead: 0 }),
        Standing::StoppedUnclaimed => {
            write(name, tracked, policy, WriteStep::Finish, transition::stopped_unclaimed(&view.me))
        }
        Standing::Broken(error) => {
            write(name, tracked, policy, WriteStep::Finish, transition::record_unreadable(&view.me, error))
        }
        Standing::Running(record) if !view.is_mine(record) => match liveness(view, &record.holder, policy, now) {
            Liveness::Dead => take_over(view, name, tracked, record, policy),
            Liveness::Alive { until } => {
                Step::wait(WaitingOn::OtherEngine { lease: record.holder.lease.clone() }).until(until)
            }
        },
        Standing::Running(record) => drive(name, tracked, record, policy, now),
    }
}

/// Takes a dead engine's workflow. Nothing else changes: its intents are carried out by the next steps.
fn take_over(view: &View, name: &str, tracked: &Tracked, record: &Record, policy: &Policy) -> Step {
    let mut record = record.clone();
    record.holder = view.me.clone();
    let mut step = write(name, tracked, policy, WriteStep::Takeover, record);
    // Somebody who wants it to end must not be forgotten: the record says so, and the label stays, since in the filter an
    // earlier wish counts as fulfilled and one that nobody has acted upon does not.
    if let Some(Action { intent: Intent::Write(write), .. }) = &mut step.action
        && tracked.stop_requested()
    {
        write.record.stopreq = 1;
        if tracked.is_labelled(State::Stopping) {
            write.state = State::Stopping;
        }
    }
    step
}

/// One step of a workflow of ours.
fn drive(name: &str, tracked: &Tracked, record: &Record, policy: &Policy, now: Now) -> Step {
    let (Ok(job), Some(stage)) = (kind::job(name), record.phase.stage()) else {
        return Step::verdict(Verdict::Ignored);
    };
    let document = match &tracked.document {
        None => return Step::act(name, Intent::ReadDocument),
        Some(Ok(document)) if document.sha256 == record.document => Some(document),
        Some(_) => None,
    };
    let run = Run { name, tracked, record, job: &job, stage, policy, now };
    let pod = tracked.intended_pod(&job, record);
    match pod.and_then(|track| track.seen.as_ref().map(|seen| (track, seen))) {
        Some((track, _)) if track.gone => run.settle(run.after_gone(track)),
        Some((track, seen)) => match &seen.progress {
            Progress::Ended(end) if run.is_taken_away(track, end) => run.settle(Ended::Vanished),
            Progress::Ended(end) => run.settle(Ended::Pod { end, ending: track.ending.as_ref() }),
            _ if run.lost_at(track).is_some_and(|at| now.mono >= at) => run.settle(Ended::Lost),
            _ if track.missing => Step::act(name, Intent::ReadPod { name: seen.name.clone() }),
            Progress::Waiting(waiting) => run.waiting(track, seen, waiting.cause, &waiting.message),
            Progress::Running => run.running(track, seen),
        },
        None => run.begin(pod, document),
    }
}

/// A step of a running workflow: everything it is decided from.
struct Run<'a> {
    name: &'a str,
    tracked: &'a Tracked,
    record: &'a Record,
    job: &'a JobId,
    stage: Stage,
    policy: &'a Policy,
    now: Now,
}

impl Run<'_> {
    /// Whether a person wants this stage to end. Who stopped the algorithm wants what it had written by then, and only the
    /// filter can let that out; so in the filter an earlier wish counts as fulfilled, and a new one does not.
    fn is_stopped(&self) -> bool {
        let fulfilled = self.stage == Stage::Filter && self.record.outcome.is_some();
        self.tracked.stop_requested() && (!fulfilled || self.tracked.is_labelled(State::Stopping))
    }

    /// The intended pod was not seen yet.
    fn begin(&self, pod: Option<&PodTrack>, document: Option<&Arc<Document>>) -> Step {
        let stop = self.is_stopped();
        if let Some(refused) = pod.and_then(|track| track.refused.as_ref()) {
            let ended = Ended::NeverRan { reason: refused.reason.clone(), message: refused.message.clone() };
            return self.without_pod(pod, ended);
        }
        let not_made = pod.is_some_and(PodTrack::certainly_not_made);
        // Of publish a wish ends the wait for a store, which a failure began; what is to be stored at once is still stored.
        let stores = self.stage == Stage::Publish && self.record.not_before.is_none();
        if stop && not_made && !stores {
            return self.settle(Ended::StoppedBefore);
        }
        // Nobody writes a pause that is longer than the longest: the clock was set back since.
        let due = self.record.not_before.map(|due| due.duration_since(self.now.wall));
        let in_time =
            |pause: &SignedDuration| pause.is_positive() && pause.unsigned_abs() <= self.policy.retries.backoff_max;
        if let Some(pause) = due.filter(in_time).map(SignedDuration::unsigned_abs) {
            let on = WaitingOn::Retry { stage: self.stage, attempt: self.record.attempt };
            return Step::wait(on).until(self.now.mono + pause);
        }
        let Some(owner) = self.tracked.uid() else { return Step::verdict(Verdict::Ignored) };
        let kind = Kind::of(self.name);
        let Some(spec) = spec_for(self.job, owner, kind, document, self.record, self.stage, self.policy) else {
            return self.without_pod(pod, Ended::DocumentChanged);
        };
        if let Some((cause, since)) = pod.and_then(|track| track.waiting)
            && self.now.mono >= since + self.policy.waiting.of(cause)
        {
            let message = self.tracked.trouble.as_ref().map(|trouble| trouble.error.clone()).unwrap_or_default();
            return self.without_pod(pod, Ended::waited(cause, &message, self.policy.waiting.of(cause)));
        }
        if self.tracked.volume != VolumeTrack::Present {
            match self.tracked.name {
                NameTrack::Unknown if self.policy.secrets => return Step::act(self.name, Intent::FindNamesake),
                NameTrack::Taken => {
                    let record = namesake::refused(&self.record.holder, self.record.document, self.name);
                    return write(self.name, self.tracked, self.policy, WriteStep::Finish, record);
                }
                NameTrack::Unknown | NameTrack::Ours => {}
            }
            return Step::act(self.name, Intent::CreateVolume { job: self.job.clone(), owner: owner.clone(), kind });
        }
        Step::act(self.name, Intent::CreatePod(Box::new(spec)))
    }

    /// Whether the pod ended because somebody deletes it, and not by itself: its kubelet still reports the exit status that the
    /// signal led to, which is nobody's result. It may be 0: an algorithm that was asked to end is not done for that, and a
    /// filter has agreed to nothing. The other two say in their reports what they did.
    fn is_taken_away(&self, track: &PodTrack, end: &End) -> bool {
        let deleting = track.seen.as_ref().is_some_and(|seen| seen.deleting);
        let not_its_own = match (end.cause(), self.stage) {
            (Cause::Workflow, _) | (Cause::Success, Stage::Filter) => true,
            (Cause::Success, Stage::Algorithm) => {
                report::parse::<ExecReport>(&end.message).is_some_and(|report| report.stopped)
            }
            _ => false,
        };
        deleting && track.ending.is_none() && not_its_own
    }

    /// The stage ends without a pod: certainly, or else it is looked whether somebody's late request made one.
    fn without_pod(&self, pod: Option<&PodTrack>, ended: Ended<'_>) -> Step {
        if pod.is_some_and(PodTrack::certainly_not_made) {
            return self.settle(ended);
        }
        Step::act(
            self.name,
            Intent::ReadPod { name: pod_name(self.job, self.record.round, self.stage, self.record.attempt) },
        )
    }

    /// When the pod must have been gone: asked to end, being deleted, or past its own deadline. Who is still there then has
    /// a node or a kubelet that does not answer, and nobody knows whether it still runs.
    fn lost_at(&self, track: &PodTrack) -> Option<Duration> {
        let overdue = |since| since + deadline(self.stage, self.tracked.document_of(self.record), self.policy);
        let out = track.leaving.or(track.running.map(overdue))?;
        Some(out + self.policy.stop_grace + self.policy.waiting.start)
    }

    /// The pod is there and does not run yet.
    fn waiting(&self, track: &PodTrack, seen: &PodSeen, cause: WaitingCause, message: &str) -> Step {
        if track.leaving.is_some() {
            return self.stopping(track);
        }
        if self.is_stopped() && self.stage != Stage::Publish {
            return self.end(seen, Ending::Stop);
        }
        let since = track.waiting.map_or(track.since, |(_, since)| since);
        let after = self.policy.waiting.of(cause);
        let deadline = since + after;
        if self.now.mono >= deadline {
            return self.end(seen, Ending::WaitedFor { cause, message: message.to_owned(), after });
        }
        Step::wait(WaitingOn::PodStart { stage: self.stage, cause }).until(deadline)
    }

    /// The pod runs. Its own deadline is kept by the kubelet.
    fn running(&self, track: &PodTrack, seen: &PodSeen) -> Step {
        if track.leaving.is_some() {
            return self.stopping(track);
        }
        // What is being stored already was released; it is finished rather than torn.
        if self.is_stopped() && self.stage != Stage::Publish {
            return self.end(seen, Ending::Stop);
        }
        self.until_lost(track, WaitingOn::PodEnd { stage: self.stage })
    }

    /// The pod is on its way out.
    fn stopping(&self, track: &PodTrack) -> Step {
        self.until_lost(track, WaitingOn::PodStop { stage: self.stage })
    }

    fn until_lost(&self, track: &PodTrack, on: WaitingOn) -> Step {
        Step { wake: self.lost_at(track), ..Step::wait(on) }
    }

    fn end(&self, seen: &PodSeen, why: Ending) -> Step {
        Step::act(self.name, Intent::EndPod { name: seen.name.clone(), uid: seen.uid.clone(), why })
    }

    /// The pod was seen once and is gone now. Only of one that was deleted before a node had taken it is it known that it never
    /// ran.
    fn after_gone<'p>(&self, track: &'p PodTrack) -> Ended<'p> {
        match &track.ending {
            Some(Ending::Stop) if track.never_ran => Ended::StoppedBefore,
            Some(Ending::WaitedFor { cause, message, after }) if track.never_ran => {
                Ended::waited(*cause, message, *after)
            }
            _ => Ended::Vanished,
        }
    }

    /// Records how the stage ended and what comes next.
    fn settle(&self, ended: Ended<'_>) -> Step {
        // What was done to its pod for somebody who wanted it to end is not undone by another label.
        let pod = self.tracked.intended_pod(self.job, self.record);
        let ended_for_stop = pod.is_some_and(|track| track.ending == Some(Ending::Stop));
        let stop = self.is_stopped() || ended_for_stop;
        let (step, record) = transition::after(self.record, self.stage, &ended, stop, self.policy, self.now.wall);
        write(self.name, self.tracked, self.policy, step, record)
    }
}
