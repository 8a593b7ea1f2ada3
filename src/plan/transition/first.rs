//! The first record of a workflow: claimed, or at its end at once.

use super::enter;
use crate::workflow::{
    Code, Outcome, Phase, Record, Stage,
    digest::Sha256,
    document::Fault,
    notice::Notices,
    record::{Holder, MAX_MESSAGE_LEN, Times},
    report::clip,
};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The record of a workflow just claimed: configure is intended.
pub fn claimed(holder: &Holder, document: Sha256, now: Timestamp) -> Record {
    let mut record = blank(holder, document);
    enter(&mut record, Phase::Configure, now);
    record
}

/// The record of a workflow that is not taken, for a reason that its document has nothing to do with.
pub fn turned_away(holder: &Holder, document: Sha256, reason: &str, message: &str) -> Record {
    let mut record = blank(holder, document);
    record.set_code(Code::DataProvisioningFailed);
    finish(&mut record, Outcome::Refused, reason, message);
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
        round: 0,
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
        image_id: None,
        usage: None,
        resources: None,
        times: BTreeMap::<Stage, Times>::new(),
        storage_expiry_secs: None,
        results: None,
        earlier: Vec::new(),
        ahead: Vec::new(),
        notices: Notices::default(),
    }
}
