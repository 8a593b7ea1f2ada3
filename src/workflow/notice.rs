//! Notifications that are owed: the part of the record that is their outbox.
//!
//! ```text
//!   owed ──attempt recorded──▶ owed, next at … ──answered 2xx──▶ delivered
//!                                   │  └─ anything else: again when its time has come
//!                                   └─ too old ─────────────────▶ undelivered
//! ```
//!
//! An attempt is recorded before it is made, by compare-and-swap. So of several engines one makes it, one that dies midway
//! is followed by another attempt, and what was delivered may be delivered again, but is never forgotten.

use super::{Record, duration::doubled, report::clip};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// The label by which workflows are found that owe somebody a word.
pub const NOTIFY_LABEL: &str = "operator-engine/notify";
/// Its only value.
pub const OWED: &str = "owed";
/// The most bytes of [`Notice::error`].
const MAX_ERROR_LEN: usize = 256;

/// What is told of a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Occasion {
    /// It was claimed.
    Start,
    /// It is at its end.
    Stop,
}

impl fmt::Display for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Start => "start",
            Self::Stop => "stop",
        })
    }
}

/// The notifications of one workflow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notices {
    /// Of its start; none: nobody is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Notice>,
    /// Of its end; none: nobody is told, or it has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Notice>,
}

/// One notification.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// How far it is.
    pub state: NoticeState,
    /// Attempts that were begun.
    #[serde(default)]
    pub attempts: u32,
    /// When the first attempt was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_at: Option<Timestamp>,
    /// No further attempt is begun before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// Why the last attempt failed, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How far a notification is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoticeState {
    /// It is to be delivered.
    #[default]
    Owed,
    /// Its receiver answered with 2xx.
    Delivered,
    /// It was given up.
    Undelivered,
}

/// When attempts are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patience {
    /// The pause after the first attempt; it doubles.
    pub backoff_first: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
    /// How long after the first attempt the last one may begin.
    pub give_up_after: Duration,
}

impl Notices {
    /// Whether anything is owed.
    pub fn owed(&self) -> bool {
        [&self.start, &self.stop].into_iter().flatten().any(|notice| notice.state == NoticeState::Owed)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.start.is_none() && self.stop.is_none()
    }

    /// The notification of this occasion.
    pub fn of(&mut self, occasion: Occasion) -> &mut Option<Notice> {
        match occasion {
            Occasion::Start => &mut self.start,
            Occasion::Stop => &mut self.stop,
        }
    }

    /// Notes that it is owed, unless it was noted before.
    pub fn owe(&mut self, occasion: Occasion) {
        self.of(occasion).get_or_insert_with(Notice::default);
    }
}

/// What to do about what a record owes.
#[derive(Debug, Clone, PartialEq)]
pub enum Due {
    /// Nothing before this time; none: nothing at all.
    Nothing(Option<Timestamp>),
    /// Record this, then tell of the occasion.
    Attempt(Occasion, Box<Record>),
    /// Record this: its time is up.
    GiveUp(Occasion, Box<Record>),
}

/// What to do about what `record` owes, the start first. Pure: the time is an argument.
pub fn due(record: &Record, patience: &Patience, now: Timestamp) -> Due {
    let mut next: Option<Timestamp> = None;
    for occasion in [Occasion::Start, Occasion::Stop] {
        let mut changed = record.clone();
        let Some(notice) = changed.notices.of(occasion).as_mut().filter(|n| n.state == NoticeState::Owed) else {
            continue;
        };
        // A clock that was set back must not silence anybody for longer than the longest pause.
        let latest = after(now, patience.backoff_max);
        if let Some(at) = notice.next_at.filter(|at| *at > now && *at <= latest) {
            next = Some(next.map_or(at, |next| next.min(at)));
            continue;
        }
        let first_at = *notice.first_at.get_or_insert(now);
        if notice.attempts > 0 && now.duration_since(first_at).unsigned_abs() > patience.give_up_after {
            notice.state = NoticeState::Undelivered;
            notice.next_at = None;
            return Due::GiveUp(occasion, Box::new(changed));
        }
        let pause = doubled(patience.backoff_first, notice.attempts, patience.backoff_max);
        notice.next_at = Some(after(now, pause));
        notice.attempts = notice.attempts.saturating_add(1);
        return Due::Attempt(occasion, Box::new(changed));
    }
    Due::Nothing(next)
}

/// The record after an attempt ended so: `Ok` when the receiver answered with 2xx.
pub fn told(record: &Record, occasion: Occasion, result: &Result<(), String>) -> Record {
    let mut record = record.clone();
    if let Some(notice) = record.notices.of(occasion) {
        match result {
            Ok(()) => {
                notice.state = NoticeState::Delivered;
                (notice.next_at, notice.error) = (None, None);
            }
            Err(error) => notice.error = Some(clip(error, MAX_ERROR_LEN)),
        }
    }
    record
}

fn after(time: Timestamp, pause: Duration) -> Timestamp {
    SignedDuration::try_from(pause).ok().and_then(|pause| time.checked_add(pause).ok()).unwrap_or(Timestamp::MAX)
}
