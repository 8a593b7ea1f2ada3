//! Which pending workflow may start: as many as `max_jobs` and the budget allow, in the order of the `queue`.
//!
//! The first in line waits until there is room for it, and everybody behind it with it: else small ones would
//! pass a large one for ever.

use super::{
    Action, Intent, Now, Plan, Policy, Target, Verdict, WaitingOn,
    action::WriteStep,
    guarded, kind,
    namesake::{self, NameTrack},
    queue,
    standing::Standing,
    step::Step,
    transition,
    view::{Tracked, View},
    write::write,
};
use crate::workflow::{Document, Resources, digest::Sha256, document::Fault, record::Ahead};
use jiff::Timestamp;

/// Overrules the verdicts of pending workflows that nothing else stands against.
pub fn plan(view: &View, policy: &Policy, now: Now, plan: &mut Plan) {
    if !view.looks.audited() || !view.counted() {
        return;
    }
    let queue = queue::in_order(view, now);
    if queue.is_empty() {
        return; // What the others have together matters to nobody: this runs on every turn.
    }
    // What is under way has its slot, even from one that is older and was seen later.
    let under_way = queue
        .iter()
        .filter(|(name, tracked)| tracked.busy.is_some() && turned_away(view, name, tracked, policy, now).is_none());
    let claimed: Vec<Resources> = under_way.map(|(_, tracked)| wanted(tracked, policy)).collect();
    let max = usize::try_from(policy.max_jobs).unwrap_or(usize::MAX);
    let mut free = max.saturating_sub(view.running() + claimed.len());
    let mut used = claimed.into_iter().fold(in_use(view, policy), Resources::plus);
    let mut ahead = 0;
    for (name, tracked) in queue {
        // One that is in trouble keeps its place in the queue but does not hold up the others.
        let ready = matches!(plan.verdicts.get(name), Some(Verdict::Waiting(WaitingOn::Slot { .. })));
        // What is not taken takes no slot.
        let no = turned_away(view, name, tracked, policy, now).is_some();
        let with_it = used.plus(wanted(tracked, policy));
        if !no && (free == 0 || !with_it.fits(policy.budget)) {
            if ready {
                free = 0;
                plan.verdicts.insert(name.clone(), Verdict::Waiting(WaitingOn::Slot { ahead }));
            }
            ahead += 1;
            continue;
        }
        if ready {
            if !no {
                // A document that turns out unusable gives its slot back in the next round.
                free = free.saturating_sub(1);
                used = with_it;
            }
            let step = guarded(|| admit(view, name, tracked, policy, now));
            let step = step.unwrap_or_else(|panic| Step::verdict(Verdict::Quarantined(panic)));
            plan.actions.extend(step.action);
            plan.verdicts.insert(name.clone(), step.verdict);
        }
    }
}

/// What the workflows in work have together, whoever drives them.
fn in_use(view: &View, policy: &Policy) -> Resources {
    let running = view.workflows.values().filter_map(|tracked| match tracked.standing() {
        Standing::Running(record) => Some(record.resources.unwrap_or(policy.resources)),
        _ => None,
    });
    running.fold(Resources::default(), Resources::plus)
}

/// What a pending workflow will be given; until its document was read, that may be all that can be given.
fn wanted(tracked: &Tracked, policy: &Policy) -> Resources {
    match &tracked.document {
        Some(Ok(document)) => needed(document, policy),
        _ => policy.resources,
    }
}

/// The most that any of its stages is given; they run one after another.
fn needed(document: &Document, policy: &Policy) -> Resources {
    document.stages().map(|stage| policy.resources(stage.wish)).fold(Resources::default(), Resources::most)
}

/// Why a pending workflow is not taken, as far as is known.
enum Away<'a> {
    Document(&'a [Fault]),
    TooLate(Timestamp),
    Chain(u64),
    Name,
}

fn turned_away<'a>(view: &View, name: &str, tracked: &'a Tracked, policy: &Policy, now: Now) -> Option<Away<'a>> {
    if namesake::gives_way(view, name, tracked, policy) {
        return Some(Away::Name);
    }
    let until = tracked.seen.as_ref().and_then(|seen| seen.order.valid_until);
    let (document_until, chain) = match &tracked.document {
        Some(Err(faults)) => return Some(Away::Document(faults)),
        Some(Ok(document)) => (document.valid_until, document.chain_id),
        None => (None, None),
    };
    if let Some(until) = [until, document_until].into_iter().flatten().min().filter(|until| now.wall > *until) {
        return Some(Away::TooLate(until));
    }
    let allowed = &policy.allowed_chain_ids;
    chain.filter(|chain| !allowed.is_empty() && !allowed.contains(chain)).map(Away::Chain)
}

fn admit(view: &View, name: &str, tracked: &Tracked, policy: &Policy, now: Now) -> Step {
    let finish = |record| write(name, tracked, policy, WriteStep::Finish, record);
    if let Err(error) = kind::job(name) {
        let fault = Fault { path: "metadata.name".to_owned(), message: error.to_string() };
        return finish(transition::refused(&view.me, Sha256::of(""), &[fault]));
    }
    let digest = tracked.document.as_ref().and_then(|document| document.as_ref().ok()).map(|document| document.sha256);
    let digest = digest.unwrap_or_else(|| Sha256::of(""));
    match turned_away(view, name, tracked, policy, now) {
        Some(Away::Name) if tracked.name == NameTrack::Taken => {
            return finish(namesake::refused(&view.me, digest, name));
        }
        Some(Away::Name) => return Step::act(name, Intent::FindNamesake),
        Some(Away::Document(faults)) => return finish(transition::refused(&view.me, digest, faults)),
        Some(Away::TooLate(until)) => {
            let message = format!("its order was valid until {until:.0}, and it had not begun by then; order it anew");
            return finish(transition::turned_away(&view.me, digest, "OrderExpired", &message));
        }
        Some(Away::Chain(chain)) => {
            let allowed: Vec<String> = policy.allowed_chain_ids.iter().map(u64::to_string).collect();
            let message = format!("orders of chain {chain} are not taken here, only those of {}", allowed.join(", "));
            return finish(transition::turned_away(&view.me, digest, "ChainNotAllowed", &message));
        }
        None => {}
    }
    match &tracked.document {
        Some(Ok(document)) => claim(view, name, tracked, document, policy, now),
        _ => Step {
            action: Some(Action { target: Target::Workflow(name.to_owned()), intent: Intent::ReadDocument }),
            verdict: Verdict::Acting(Intent::ReadDocument.name()),
            wake: None,
        },
    }
}

fn claim(view: &View, name: &str, tracked: &Tracked, document: &Document, policy: &Policy, now: Now) -> Step {
    let mut record = transition::claimed(&view.me, document.sha256, now.wall);
    let storage_expiry_secs = |stage: &Document| stage.storage_expiry.map(|expiry| expiry.as_secs());
    record.resources = Some(needed(document, policy));
    record.storage_expiry_secs = storage_expiry_secs(document);
    let ahead = document.later.iter().map(|stage| Ahead { storage_expiry_secs: storage_expiry_secs(stage) });
    record.ahead = ahead.collect();
    write(name, tracked, policy, WriteStep::Claim, record)
}
