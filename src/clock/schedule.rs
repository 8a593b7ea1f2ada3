//! A cron expression: six fields (second, minute, hour, day of month, month, day of week), in UTC.
//!
//! It is read exactly as tokio-cron-scheduler reads it, so that what is accepted here fires there; and it is asked for a
//! firing at once, because an expression such as `0 0 0 31 2 *` is well-formed and never fires.

use chrono::{DateTime, Utc};
use croner::{
    Cron,
    parser::{CronParser, Seconds},
};
use jiff::Timestamp;
use std::{fmt, str::FromStr};

/// A schedule that fires.
#[derive(Debug, Clone)]
pub struct Schedule {
    text: String,
    cron: Cron,
}

/// Why a text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchedule {
    /// Not a cron expression.
    #[error("not a schedule ({0}): write six fields, second minute hour day month weekday, e.g. \"0 17 * * * *\"")]
    Wrong(String),
    /// It matches no time there is.
    #[error("never fires: there is no such day")]
    Never,
}

impl Schedule {
    /// The first firing after `time`; none if there is none that can be told.
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let time: DateTime<Utc> = DateTime::from_timestamp(time.as_second(), 0)?;
        let next = self.cron.find_next_occurrence(&time, false).ok()?;
        Timestamp::from_second(next.timestamp()).ok()
    }

    /// The expression, as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Schedule {
    type Err = InvalidSchedule;

    fn from_str(text: &str) -> Result<Self, InvalidSchedule> {
        // The parser would take a seventh field, a year, after which nothing fires any more.
        if !text.starts_with('@') && text.split_whitespace().count() != 6 {
            return Err(InvalidSchedule::Wrong("it has not six fields".to_owned()));
        }
        let parser = CronParser::builder().seconds(Seconds::Required).dom_and_dow(true).build();
        let cron = parser.parse(text).map_err(|error| InvalidSchedule::Wrong(error.to_string()))?;
        let schedule = Self { text: text.to_owned(), cron };
        // Some day whose successors hold every date there is, a 29th of February among them.
        match schedule.next_after(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(schedule),
            None => Err(InvalidSchedule::Never),
        }
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, after: &str) -> String {
        let schedule: Schedule = schedule.parse().unwrap();
        schedule.next_after(after.parse().unwrap()).unwrap().to_string()
    }

    #[test]
    fn a_schedule_says_when_it_fires_next_in_utc() {
        assert_eq!(next("0 17 * * * *", "2026-03-01T10:17:00Z"), "2026-03-01T11:17:00Z");
        assert_eq!(next("0 17 * * * *", "2026-03-01T10:16:59.9Z"), "2026-03-01T10:17:00Z");
        assert_eq!(next("0 0 3 29 2 *", "2026-03-01T00:00:00Z"), "2028-02-29T03:00:00Z");
        assert_eq!(next("*/10 * * * * *", "2026-03-01T00:00:01Z"), "2026-03-01T00:00:10Z");
    }

    #[test]
    fn what_is_no_schedule_or_never_fires_is_refused_with_a_reason() {
        for text in ["", "hourly", "0 * * * *", "61 * * * * *", "0 0 25 * * *", "* * * * * * *", "a b c d e f"] {
            assert!(matches!(text.parse::<Schedule>(), Err(InvalidSchedule::Wrong(_))), "{text}");
        }
        for text in ["0 0 0 31 2 *", "0 0 0 30 2 *"] {
            assert_eq!(text.parse::<Schedule>().unwrap_err(), InvalidSchedule::Never, "{text}");
        }
        // Day of month and weekday both: some years have it.
        assert!("0 0 0 29 2 1".parse::<Schedule>().is_ok());
    }

    #[test]
    fn what_fires_here_is_taken_by_the_scheduler() {
        for text in ["0 17 * * * *", "0 0 3 29 2 *", "@hourly", "0 0 3 L * *"] {
            assert!(text.parse::<Schedule>().is_ok(), "{text}");
            let job = tokio_cron_scheduler::Job::new_async(text, |_, _| Box::pin(async {}));
            assert!(job.is_ok(), "{text}");
        }
    }
}
