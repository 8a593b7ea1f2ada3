//! What the algorithm used: CPU time and memory, of it and of everything it started.

use nix::{
    sys::resource::{UsageWho, getrusage},
    unistd::getpid,
};
use std::fs;

/// The peak of the container's control group, version 2, as the container itself sees it (Linux 5.19 or later).
const CGROUP_PEAK: &str = "/sys/fs/cgroup/memory.peak";

/// CPU time in milliseconds and peak memory in bytes, of all children reaped so far and all they reaped.
///
/// The kernel counts memory per process, so the peak is that of the largest one; where this process is its container's
/// first, the control group knows that of all together (file cache included), and the larger of both counts.
pub(super) fn of_children() -> (u64, u64) {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else { return (0, 0) };
    let cpu = [usage.user_time(), usage.system_time()]
        .iter()
        .map(|time| u64::try_from(time.tv_sec() * 1000 + time.tv_usec() / 1000).unwrap_or(0))
        .sum();
    let largest = u64::try_from(usage.max_rss()).unwrap_or(0) * 1024;
    (cpu, largest.max(cgroup_peak().unwrap_or(0)))
}

fn cgroup_peak() -> Option<u64> {
    // Elsewhere the group is shared with strangers.
    if getpid().as_raw() != 1 {
        return None;
    }
    fs::read_to_string(CGROUP_PEAK).ok()?.trim().parse().ok()
}
