//! Whose turn it is to sweep: one process at a time.
//!
//! Two at once would do no harm (each deletion is idempotent, and of two that mark a record one meets a conflict); but each
//! would report what the other did. A process that died holds its turn until others have seen it unchanged for
//! [`DURATION`], by their own monotonic clocks.

use super::memory::Memory;
use crate::{
    cluster::archive::{Archive, Turn},
    plan::Failure,
};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A turn that has not changed for this long is a dead process's.
pub(super) const DURATION: Duration = Duration::from_secs(30);
/// How often it is renewed.
pub(super) const RENEW_EVERY: Duration = Duration::from_secs(10);

/// What came of asking for the turn.
pub(super) enum Asked {
    /// It is ours.
    Ours(Turn),
    /// It is somebody else's.
    Theirs(String),
    /// There is nothing to do.
    NotDue,
}

/// Takes the turn, if `due` says so of what earlier sweeps left in writing.
pub(super) async fn take(
    archive: &dyn Archive,
    me: &str,
    due: &(dyn Fn(&Memory) -> bool + Sync),
    stop: &CancellationToken,
) -> Result<Asked, Failure> {
    let mut seen = archive.turn().await?;
    loop {
        if !due(&Memory::parse(&seen.memory)) {
            return Ok(Asked::NotDue);
        }
        if !seen.holder.is_empty() && seen.holder != me {
            tokio::select! {
                () = tokio::time::sleep(DURATION) => {}
                () = stop.cancelled() => return Ok(Asked::Theirs(seen.holder)),
            }
            let now = archive.turn().await?;
            if now.holder.is_empty() {
                // It has ended meanwhile; what it left in writing says whether there is still something to do.
                seen = now;
                continue;
            }
            if now != seen {
                return Ok(Asked::Theirs(now.holder));
            }
        }
        return match archive.set_turn(&seen, me, &seen.memory).await {
            Ok(ours) => Ok(Asked::Ours(ours)),
            Err(Failure::Conflict | Failure::NotFound) => {
                let now = archive.turn().await?;
                if now.holder.is_empty() || now.holder == me {
                    seen = now;
                    continue;
                }
                Ok(Asked::Theirs(now.holder))
            }
            Err(failure) => Err(failure),
        };
    }
}
