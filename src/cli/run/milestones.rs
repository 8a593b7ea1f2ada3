//! A workflow's milestones, as they are reached: for Kubernetes Events.

use crate::{
    cluster::kube::events::Milestone,
    plan::{View, seen::Uid, standing::Standing},
    workflow::{Outcome, Phase, Record},
};
use std::collections::BTreeMap;

/// What was told already.
#[derive(Default)]
pub(super) struct Milestones {
    told: BTreeMap<String, (Uid, u32, Phase, u32)>,
}

impl Milestones {
    /// The milestones that this engine's workflows have reached since the last call.
    pub(super) fn new_ones(&mut self, view: &View) -> Vec<Milestone> {
        self.told.retain(|name, _| view.workflows.contains_key(name));
        let mut new = Vec::new();
        for (name, tracked) in &view.workflows {
            let (Standing::Running(record) | Standing::Done(record)) = tracked.standing() else { continue };
            let Some(uid) = tracked.uid().filter(|_| view.is_mine(record)) else { continue };
            let reached = (uid.clone(), record.round, record.phase, record.attempt);
            if self.told.get(name) != Some(&reached) {
                self.told.insert(name.clone(), reached);
                new.push(milestone(name, uid, record));
            }
        }
        new
    }
}

fn milestone(name: &str, uid: &Uid, record: &Record) -> Milestone {
    let (reason, message, good) = match (record.phase, record.outcome) {
        (Phase::Done, outcome) => {
            let outcome = outcome.unwrap_or(Outcome::Failed);
            let reason = record.reason.clone().unwrap_or_else(|| "Succeeded".to_owned());
            let message = record.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
            (reason, format!("{}{message}", outcome.as_str()), outcome == Outcome::Succeeded)
        }
        (_, _) if record.attempt > 0 => {
            let why = record.message.as_deref().unwrap_or("the platform failed");
            ("Retrying".to_owned(), format!("{}, attempt {}: {why}", record.place(), record.attempt + 1), false)
        }
        (_, _) => ("Started".to_owned(), format!("{} begins", record.place()), true),
    };
    Milestone { workflow: name.to_owned(), uid: uid.clone(), reason, message, good }
}
