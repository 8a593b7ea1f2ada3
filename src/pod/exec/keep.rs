//! Keeping the algorithm's log as it was, before a filter may rewrite it.
//!
//! What the filter makes of `logs/algorithm.log` is the consumer's; the copy is the admin's. Made once, by the first attempt:
//! what a later one finds may be the first one's work.

use super::ALGORITHM_LOG;
use crate::pod::layout::Layout;
use nix::fcntl::OFlag;
use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
};

/// What a log may have beyond its limit: the line that stands for what was left out of it.
const MARGIN: u64 = 4096;

/// Copies `logs/algorithm.log` to `adminlogs/algorithm.log`, unless there is a copy. Of a log that is longer than the wrapper
/// would have let it grow, the beginning: the algorithm wrote past the wrapper. A log that is no file (the algorithm may
/// replace it) is not followed and not kept.
pub(super) fn algorithm_log(layout: &Layout, limit: u64) -> io::Result<()> {
    let kept = layout.adminlogs().join(ALGORITHM_LOG);
    if fs::symlink_metadata(&kept).is_ok() {
        return Ok(());
    }
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let log = fs::OpenOptions::new().read(true).custom_flags(flags.bits()).open(layout.logs().join(ALGORITHM_LOG))?;
    if !log.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file any more"));
    }
    let temp = layout.adminlogs().join("algorithm.log.part");
    let mut copy = fs::File::create(&temp)?;
    let limit = limit.saturating_add(MARGIN);
    let mut rest = log.take(limit);
    let copied = io::copy(&mut rest, &mut copy)?;
    if copied == limit && rest.into_inner().read(&mut [0])? > 0 {
        writeln!(copy, "\n[operator-engine: the rest is left out here; the limit is {limit}]")?;
    }
    // Renamed into place, so that half a copy is never taken for one.
    fs::rename(&temp, &kept)
}
