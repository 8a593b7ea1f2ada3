//! Which pending workflow may start: first in, first out, up to `max_jobs`.

use super::{
    Action, Intent, Now, Plan, Policy, Target, Verdict, WaitingOn,
    action::WriteStep,
    drive::write,
    guarded,
    standing::Standing,
    step::Step,
    transition,
    view::{Tracked, View},
};
use crate::workflow::{JobId, digest::Sha256, document::Fault};

/// Overrules the verdicts of pending workflows that nothing else stands against.
pub fn plan(view: &View, policy: &Policy, now: Now, plan: &mut Plan) {
    if !view.looks.audited() || !view.counted() {
        return;
    }
    let mut queue: Vec<(&String, &Tracked)> =
        view.workflows.iter().filter(|(_, tracked)| matches!(tracked.standing(), Standing::Pending)).collect();
    // By age, as the server saw it; names only break ties. Lists come in order of names, which would starve the last.
    queue.sort_by_key(|(name, tracked)| (tracked.seen.as_ref().map(|seen| seen.created), (*name).clone()));
    let max = usize::try_from(policy.max_jobs).unwrap_or(usize::MAX);
    // What is under way has its slot, even from one that is older and was seen later.
    let under_way = queue.iter().filter(|(_, tracked)| tracked.busy.is_some() && !is_refusal(tracked)).count();
    let mut free = max.saturating_sub(view.running() + under_way);
    let mut ahead = 0;
    for (name, tracked) in queue {
        // One that is in trouble keeps its place in the queue but does not hold up the others.
        let ready = matches!(plan.verdicts.get(name), Some(Verdict::Waiting(WaitingOn::Slot { .. })));
        let refusal = is_refusal(tracked);
        if free == 0 && !refusal {
            if ready {
                plan.verdicts.insert(name.clone(), Verdict::Waiting(WaitingOn::Slot { ahead }));
            }
            ahead += 1;
            continue;
        }
        if ready {
            // A document that turns out unusable gives its slot back in the next round.
            free = free.saturating_sub(usize::from(!refusal));
            let step = guarded(|| admit(view, name, tracked, now));
            let step = step.unwrap_or_else(|panic| Step::verdict(Verdict::Quarantined(panic)));
            plan.actions.extend(step.action);
            plan.verdicts.insert(name.clone(), step.verdict);
        }
    }
}

/// Whether its document is known to be unusable: it is refused, which takes no slot.
fn is_refusal(tracked: &Tracked) -> bool {
    matches!(&tracked.document, Some(Err(_)))
}

fn admit(view: &View, name: &str, tracked: &Tracked, now: Now) -> Step {
    if let Err(error) = name.parse::<JobId>() {
        let fault = Fault { path: "metadata.name".to_owned(), message: error.to_string() };
        let record = transition::refused(&view.me, Sha256::of(""), &[fault]);
        return write(name, tracked, WriteStep::Finish, record);
    }
    match &tracked.document {
        None => Step {
            action: Some(Action { target: Target::Workflow(name.to_owned()), intent: Intent::ReadDocument }),
            verdict: Verdict::Acting(Intent::ReadDocument.name()),
            wake: None,
        },
        Some(Ok(document)) => {
            let mut record = transition::claimed(&view.me, document.sha256, now.wall);
            record.storage_expiry_secs = document.storage_expiry.map(|expiry| expiry.as_secs());
            write(name, tracked, WriteStep::Claim, record)
        }
        Some(Err(faults)) => {
            write(name, tracked, WriteStep::Finish, transition::refused(&view.me, Sha256::of(""), faults))
        }
    }
}
