//! `[expiry]`: when results whose time is up are looked for, and what keeps a mistake from deleting much.

use super::{duration, values::Values};
use crate::clock::Schedule;
use std::time::Duration;

/// `[expiry]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Expiry {
    /// When `run` sweeps; none: never by itself.
    pub schedule: Option<Schedule>,
    /// Results deleted in one run at most.
    pub max_per_run: u32,
    /// How long before a run an earlier one must have found the same.
    pub confirm_after: Duration,
    /// How far clocks may be apart.
    pub clock_tolerance: Duration,
    /// How old results without a manifest must be; none: they stay.
    pub orphans_after: Option<Duration>,
    /// How long ConfigMaps are kept after their results are gone; none: for ever.
    pub keep_records: Option<Duration>,
}

impl Expiry {
    pub(super) fn read(values: &mut Values) -> Self {
        let second = Duration::from_secs(1);
        Self {
            schedule: values.optional("expiry.schedule"),
            max_per_run: values.whole("expiry.max_per_run", 1..=1_000_000),
            confirm_after: values.duration("expiry.confirm_after", second..=duration::MAX),
            clock_tolerance: values.duration("expiry.clock_tolerance", second..=Duration::from_hours(1)),
            // An upload that takes this long is still under way.
            orphans_after: values.optional_duration("expiry.orphans_after", Duration::from_hours(24)..=duration::MAX),
            keep_records: values.optional_duration("expiry.keep_records", second..=duration::MAX),
        }
    }
}
