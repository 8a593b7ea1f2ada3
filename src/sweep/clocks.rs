//! Which clock to believe: none alone. Time is the earliest of all that were asked, and they must be near one another.
//!
//! What each guard is for:
//!
//! - *The engine's own clock is wrong* (a machine that started without network time): the API server's says otherwise, and the
//!   store's does, where it has one. Beyond the tolerance nothing is deleted; within it the earliest counts.
//! - *It jumps while the engine runs* (also together with the others, on a machine that runs everything): it then moves
//!   otherwise than the monotonic clock did since the last run. That run deletes nothing and confirms nothing.
//! - *All jumped while no engine ran*: an earlier sweep has to agree ([`super::memory`]), and that one did not know of the time
//!   that was jumped over. What this cannot tell from the truth is a wrong time that all clocks agree on for longer than
//!   from one run to the next; the number of deletions in one run bounds what it costs.

use crate::plan::Now;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// Why nothing may be deleted now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// The wall clock did not go as the monotonic one did.
    #[error("this machine's clock jumped by {0:#} since the last look")]
    Jumped(SignedDuration),
    /// Clocks are too far apart.
    #[error("this machine's clock and that of {who} are {apart:#} apart")]
    Apart {
        /// Whose clock it is.
        who: String,
        /// By how much.
        apart: SignedDuration,
    },
    /// There is no other clock.
    #[error("the API server does not say what time it is")]
    Alone,
}

/// The time to go by: `now`'s wall clock or an earlier one of the cluster's or the store's.
///
/// `before` is an earlier look at this process's clocks.
///
/// # Errors
///
/// See [`Distrust`].
pub fn believed(
    before: Now,
    now: Now,
    cluster: Option<Timestamp>,
    store: Option<(&str, Timestamp)>,
    tolerance: Duration,
) -> Result<Timestamp, Distrust> {
    let passed = SignedDuration::try_from(now.mono.saturating_sub(before.mono)).unwrap_or(SignedDuration::MAX);
    let jump = now.wall.duration_since(before.wall).saturating_sub(passed);
    if jump.unsigned_abs() > tolerance {
        return Err(Distrust::Jumped(whole(jump)));
    }
    let cluster = ("the API server", cluster.ok_or(Distrust::Alone)?);
    let mut earliest = now.wall;
    for (who, time) in std::iter::once(cluster).chain(store) {
        let apart = now.wall.duration_since(time);
        if apart.unsigned_abs() > tolerance {
            return Err(Distrust::Apart { who: who.to_owned(), apart: whole(apart.abs()) });
        }
        earliest = earliest.min(time);
    }
    Ok(earliest)
}

fn whole(duration: SignedDuration) -> SignedDuration {
    SignedDuration::from_secs(duration.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTES: Duration = Duration::from_mins(5);

    fn at(mono: u64, wall: i64) -> Now {
        Now { mono: Duration::from_secs(mono), wall: Timestamp::from_second(1_800_000_000 + wall).unwrap() }
    }

    fn wall(wall: i64) -> Timestamp {
        at(0, wall).wall
    }

    #[test]
    fn the_earliest_clock_counts() {
        let believed = |cluster, store: i64| {
            believed(at(0, 0), at(3600, 3600), Some(wall(cluster)), Some(("s3", wall(store))), MINUTES).unwrap()
        };
        assert_eq!(believed(3600, 3600), wall(3600));
        assert_eq!(believed(3500, 3600), wall(3500));
        assert_eq!(believed(3700, 3400), wall(3400));
        assert_eq!(believed(3900, 3900), wall(3600));
    }

    #[test]
    fn clocks_far_apart_and_clocks_that_jump_are_not_believed() {
        let day = 86_400;
        let refused = |now: Now, cluster: Option<i64>, store: Option<i64>| {
            believed(at(0, 0), now, cluster.map(wall), store.map(|store| ("s3", wall(store))), MINUTES).unwrap_err()
        };
        assert!(matches!(refused(at(60, day), Some(day), Some(day)), Distrust::Jumped(_)), "all at once");
        assert!(matches!(refused(at(day as u64, 60), Some(60), None), Distrust::Jumped(_)), "backwards");
        assert!(matches!(refused(at(60, 60), Some(60 + day), None), Distrust::Apart { .. }));
        assert!(matches!(refused(at(60, 60), Some(60 - day), None), Distrust::Apart { .. }));
        let distrust = refused(at(60, 60), Some(60), Some(60 - day));
        assert_eq!(distrust.to_string(), "this machine's clock and that of s3 are 24h apart");
        assert_eq!(refused(at(60, 60), None, Some(60)), Distrust::Alone);
    }

    #[test]
    fn any_clocks_are_answered() {
        for now in [Timestamp::MIN, Timestamp::MAX] {
            for before in [Timestamp::MIN, Timestamp::MAX] {
                let at = |wall| Now { mono: Duration::MAX, wall };
                let _ = believed(at(before), at(now), Some(before), Some(("s3", now)), Duration::MAX);
            }
        }
    }
}
