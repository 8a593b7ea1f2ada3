//! What a failed request costs: a pause, of this workflow only. And what keeps a pod from being made, while its deadline runs.

use super::{
    Now,
    seen::WaitingCause,
    view::{PodTrack, Tracked, Trouble},
};
use std::time::Duration;

/// The first pause after a request failed; it doubles up to [`MAX`]. Turns are the retry, so it is short.
const FIRST: Duration = Duration::from_millis(500);
/// The longest. No server may ask for more, or a proxy's whim would silence the engine.
pub(super) const MAX: Duration = Duration::from_secs(60);

/// Notes a failure: nothing is tried for the workflow for a while, and for `at_least` so long.
pub(super) fn trouble(tracked: &mut Tracked, error: String, at_least: Duration, now: Now) {
    let failures = tracked.trouble.as_ref().map_or(0, |trouble| trouble.failures).saturating_add(1);
    let pause = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(7)).min(MAX);
    tracked.trouble = Some(Trouble { failures, until: now.mono + pause.max(at_least), error });
}

/// Notes what keeps a pod from being made, and since when that has been so.
pub(super) fn obstacle(track: &mut PodTrack, cause: WaitingCause, now: Now) {
    let since = track.waiting.filter(|(known, _)| *known == cause).map(|(_, since)| since);
    track.waiting = Some((cause, since.unwrap_or(now.mono)));
}
