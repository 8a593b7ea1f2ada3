//! When to try again: exponential backoff with jitter, bounded, and what a server asks for in `Retry-After`.
//!
//! No clock and no entropy here: jitter comes from a small generator seeded with the job id. Its only task is that
//! workflows which fail together do not return together; nobody needs to be surprised by it.

use super::policy::FetchPolicy;
use crate::workflow::JobId;
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use std::time::Duration;

/// The waits between the attempts at one file.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    max: Duration,
    retries: u32,
    used: u32,
}

impl Backoff {
    pub(super) fn new(policy: &FetchPolicy) -> Self {
        Self {
            first: Duration::from_millis(policy.backoff_first_ms),
            max: Duration::from_millis(policy.backoff_max_ms),
            retries: policy.retries,
            used: 0,
        }
    }

    /// The wait before the next attempt, or none when there is none. Half of it is fixed, half is jitter; a server that
    /// asks for more gets it, up to the longest wait.
    pub(super) fn next(&mut self, asked_for: Option<Duration>, jitter: &mut Jitter) -> Option<Duration> {
        if self.used >= self.retries {
            return None;
        }
        let full = self.first.saturating_mul(1_u32.checked_shl(self.used).unwrap_or(u32::MAX)).min(self.max);
        self.used += 1;
        let wait = full / 2 + (full / 2).mul_f64(jitter.next());
        Some(wait.max(asked_for.unwrap_or_default()).min(self.max))
    }

    /// Forgets failures: the transfer got on.
    pub(super) fn reset(&mut self) {
        self.used = 0;
    }
}

/// Knuth's MMIX linear congruential generator (TAOCP vol. 2, 3.3.4), seeded by FNV-1a.
#[derive(Debug, Clone)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) fn seeded(job: &JobId) -> Self {
        let hash = |state: u64, byte: u8| (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Self(job.as_str().bytes().fold(0xcbf2_9ce4_8422_2325, hash))
    }

    /// The next number in `0.0..1.0`, from the upper bits, which are the better ones.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(self.0 >> 32).unwrap_or(0)) / (f64::from(u32::MAX) + 1.0)
    }
}

/// Reads a `Retry-After` (RFC 9110 §10.2.3): seconds, or a date to be compared with `now`.
pub(super) fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTimeParser::new().parse_timestamp(value).ok()?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> FetchPolicy {
        FetchPolicy { retries: 8, backoff_first_ms: 500, backoff_max_ms: 30_000, ..FetchPolicy::default() }
    }

    fn waits(job: &str) -> Vec<Duration> {
        let (mut backoff, mut jitter) = (Backoff::new(&policy()), Jitter::seeded(&job.parse().unwrap()));
        std::iter::from_fn(|| backoff.next(None, &mut jitter)).collect()
    }

    #[test]
    fn waits_double_up_to_the_bound_and_then_end() {
        let full = [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000];
        let waits = waits("wf-1");
        assert_eq!(waits.len(), full.len());
        for (wait, full) in waits.iter().zip(full.map(Duration::from_millis)) {
            assert!((full / 2..=full).contains(wait), "{wait:?} of {full:?}");
        }
    }

    #[test]
    fn jobs_that_fail_together_do_not_return_together() {
        assert_eq!(waits("wf-1"), waits("wf-1"));
        assert_ne!(waits("wf-1"), waits("wf-2"));
    }

    #[test]
    fn a_server_may_ask_for_more_but_not_for_more_than_the_bound() {
        let (mut backoff, mut jitter) = (Backoff::new(&policy()), Jitter::seeded(&"a".parse().unwrap()));
        assert_eq!(backoff.next(Some(Duration::from_secs(7)), &mut jitter), Some(Duration::from_secs(7)));
        assert_eq!(backoff.next(Some(Duration::from_secs(86_400)), &mut jitter), Some(Duration::from_secs(30)));
    }

    #[test]
    fn no_policy_makes_it_overflow() {
        let policy = FetchPolicy { retries: 100, backoff_first_ms: u64::MAX, backoff_max_ms: 5, ..policy() };
        let (mut backoff, mut jitter) = (Backoff::new(&policy), Jitter::seeded(&"a".parse().unwrap()));
        assert!((0..100).all(|_| backoff.next(None, &mut jitter).is_some_and(|wait| wait.as_millis() <= 5)));
        assert_eq!(backoff.next(None, &mut jitter), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "1994-11-06T08:49:30Z".parse().unwrap();
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:00 GMT", now), Some(Duration::ZERO));
        assert_eq!((retry_after("soon", now), retry_after("-1", now)), (None, None));
    }
}
