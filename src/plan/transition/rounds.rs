//! From one of the document's stages to the next.

use super::enter;
use crate::workflow::{
    Document, Outcome, Phase, Record,
    record::{Earlier, MAX_EARLIER_IMAGE_ID_LEN},
};
use jiff::Timestamp;

/// The number of the last stage that a document can have.
const LAST: u32 = Document::MAX_STAGES as u32 - 1;

/// After publish: begins the next round, if there is one and nothing stands against it. Says whether it did.
pub(super) fn go_on(next: &mut Record, now: Timestamp) -> bool {
    if next.outcome.is_some() || next.ahead.is_empty() {
        return false;
    }
    if next.stopreq == 1 {
        // What was being stored was still stored, and that was not all.
        next.outcome = Some(Outcome::Stopped);
        next.reason = Some("Stopped".to_owned());
        let after = format!("stopped by request before stages[{}] began", next.round.saturating_add(1));
        next.message = Some(after);
        return false;
    }
    // A document has no more; a pod of a round that cannot be counted would have another one's name.
    if next.round >= LAST {
        next.outcome = Some(Outcome::Failed);
        next.reason = Some("RecordUnreadable".to_owned());
        next.message = Some("its record speaks of more stages than there can be; register it anew".to_owned());
        return false;
    }
    let ahead = next.ahead.remove(0);
    next.earlier.push(Earlier {
        times: std::mem::take(&mut next.times),
        exit_code: next.exit_code.take(),
        // Cut off, it would name no image.
        image_id: next.image_id.take().filter(|id| id.len() <= MAX_EARLIER_IMAGE_ID_LEN),
        usage: next.usage.take(),
        results: next.results.take(),
    });
    next.round = next.round.saturating_add(1);
    next.failures = 0;
    next.storage_expiry_secs = ahead.storage_expiry_secs;
    enter(next, Phase::Configure, now);
    true
}

/// What is said of one of several rounds says of which, as the document's faults do.
pub(super) fn where_it_is(record: &Record, message: &str) -> String {
    if record.has_rounds() { format!("stages[{}]: {message}", record.round) } else { message.to_owned() }
}
