//! What a sweep leaves in writing for the next one, whichever process that is: when it looked.
//!
//! Being past a recorded time only ever comes true with time, so "an earlier run found this expired too" is "its time lies
//! before that run's": one timestamp remembers it for any number of results, and for engines that restart, for several of
//! them and for the one-shot command alike. Two are kept, so that looking often does not put off the agreement.

use super::decide::Moment;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// When sweeps looked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Memory {
    /// The newest run that is old enough to agree with a later one.
    #[serde(skip_serializing_if = "Option::is_none")]
    agreed: Option<Timestamp>,
    /// The run after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<Timestamp>,
    /// When the last complete run began by its machine's clock, whether it believed that or not: whether a firing of the
    /// schedule was missed goes by this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swept: Option<Timestamp>,
}

impl Memory {
    /// Reads what was left in writing. What nobody can read is forgotten: that only puts deletions off.
    pub fn parse(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// To be left in writing.
    pub fn render(&self) -> String {
        // Three timestamps: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The moment of a run at `now`. A time that lies in the future agrees with nothing: some clock was wrong.
    pub fn moment(&self, now: Timestamp, confirm_after: Duration) -> Moment {
        let old_enough = SignedDuration::try_from(confirm_after).ok().and_then(|after| now.checked_sub(after).ok());
        let agreed = [self.agreed, self.seen].into_iter().flatten();
        Moment { now, agreed: agreed.filter(|at| old_enough.is_some_and(|old| *at <= old)).max() }
    }

    /// After a run that believed that it was `now`. One that did not leaves this as it is: it confirms nothing.
    pub fn after(&self, now: Timestamp, confirm_after: Duration) -> Self {
        let agreed = self.moment(now, confirm_after).agreed;
        // One that is too young to agree waits on.
        let seen = self.seen.filter(|seen| *seen <= now && Some(*seen) > agreed).unwrap_or(now);
        Self { agreed, seen: Some(seen), ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Duration = Duration::from_mins(10);

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minutes * 60).unwrap()
    }

    fn agreed(memory: &Memory, minutes: i64) -> Option<Timestamp> {
        memory.moment(at(minutes), TEN).agreed
    }

    #[test]
    fn a_run_agrees_with_those_that_come_long_enough_after_it() {
        let memory = Memory::default();
        assert_eq!(agreed(&memory, 0), None, "the first run confirms nothing");
        let memory = memory.after(at(0), TEN);
        assert_eq!(agreed(&memory, 9), None);
        assert_eq!(agreed(&memory, 10), Some(at(0)));
    }

    #[test]
    fn looking_often_does_not_put_off_the_agreement() {
        let mut memory = Memory::default();
        let mut last = None;
        for minute in 0..100 {
            let agreed = agreed(&memory, minute);
            assert_eq!(agreed.is_some(), minute >= 10, "{minute}");
            assert!(agreed >= last && agreed.is_none_or(|agreed| agreed >= at(minute - 20)), "{minute}: {agreed:?}");
            last = agreed;
            memory = memory.after(at(minute), TEN);
        }
    }

    #[test]
    fn a_jump_forward_is_forgotten_when_the_clock_is_right_again() {
        let day = 24 * 60;
        let memory = Memory::default().after(at(0), TEN).after(at(60), TEN);
        // The run after the jump goes by the one before it,
        assert_eq!(agreed(&memory, 120 + day), Some(at(60)));
        let memory = memory.after(at(120 + day), TEN);
        // and those after the repair do as well.
        assert_eq!(agreed(&memory, 180), Some(at(60)));
        let memory = memory.after(at(180), TEN);
        assert_eq!(agreed(&memory, 240), Some(at(180)));
    }

    #[test]
    fn what_cannot_be_read_agrees_with_nothing_and_what_was_written_can() {
        for text in ["", "x", "[]", r#"{"agreed": "yesterday"}"#] {
            assert_eq!(agreed(&Memory::parse(text), 100), None, "{text}");
        }
        let memory = Memory::default().after(at(0), TEN).after(at(60), TEN);
        assert_eq!(Memory::parse(&memory.render()), memory);
        assert!(memory.render().len() < crate::cluster::archive::MAX_MEMORY_LEN);
        // Somebody wrote the far future.
        let text = format!(r#"{{"agreed": "{}", "seen": "{}"}}"#, at(10_000), at(20_000));
        assert_eq!(agreed(&Memory::parse(&text), 100), None);
    }
}
