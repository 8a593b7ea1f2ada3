//! What a workflow is, by label and record together.

use super::view::{RecordSeen, Tracked};
use crate::workflow::{Phase, Record, State};

/// What a workflow is, by label and record together. The record is the truth where both speak.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Standing<'a> {
    /// Not looked at yet, or deleted.
    Unknown,
    /// Nothing to us.
    Foreign,
    /// Waiting to be claimed.
    Pending,
    /// To be stopped before anybody claimed it.
    StoppedUnclaimed,
    /// Claimed, by its label, but without a record that could be read: the text says what is wrong.
    Broken(&'a str),
    /// Claimed and not at its end.
    Running(&'a Record),
    /// At its end.
    Done(&'a Record),
}

impl Tracked {
    /// What it is. See [`Standing`].
    pub fn standing(&self) -> Standing<'_> {
        let Some(seen) = &self.seen else { return Standing::Unknown };
        match (&self.record, seen.state) {
            (RecordSeen::Some(record), _) if record.phase == Phase::Done => Standing::Done(record),
            (RecordSeen::Some(record), _) => Standing::Running(record),
            (RecordSeen::Unreadable(error), Some(State::Active | State::Stopping | State::Pending)) => {
                Standing::Broken(error)
            }
            (RecordSeen::None, Some(State::Active)) => Standing::Broken("there is none"),
            (RecordSeen::None, Some(State::Pending)) => Standing::Pending,
            (RecordSeen::None, Some(State::Stopping)) => Standing::StoppedUnclaimed,
            (RecordSeen::None | RecordSeen::Unreadable(_), Some(State::Done) | None) => Standing::Foreign,
        }
    }
}
