//! What the algorithm used: CPU time and memory, of it and of everything it started; and whether memory ran out.

use nix::{
    sys::resource::{UsageWho, getrusage},
    unistd::getpid,
};
use std::fs;

/// The peak of the container's control group, version 2, as the container itself sees it (Linux 5.19 or later).
const CGROUP_PEAK: &str = "/sys/fs/cgroup/memory.peak";

/// Where the kernel counts the processes it killed in the container's control group for want of memory: version 2, version 1.
const CGROUP_KILLS: [&str; 2] = ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"];

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
    has_its_own_group().then_some(())?;
    fs::read_to_string(CGROUP_PEAK).ok()?.trim().parse().ok()
}

/// Whether the kernel killed a process of this container for want of memory. Of one that is not the container's first, the
/// runtime may know nothing.
pub(super) fn was_out_of_memory() -> bool {
    has_its_own_group()
        && CGROUP_KILLS.iter().any(|path| fs::read_to_string(path).is_ok_and(|counters| counts_kills(&counters)))
}

/// A line `oom_kill N`, with N over 0, in either version's file.
fn counts_kills(counters: &str) -> bool {
    let count = counters.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.trim().parse::<u64>().ok()).is_some_and(|count| count > 0)
}

/// Whether this process is its container's first; elsewhere the group is shared with strangers.
fn has_its_own_group() -> bool {
    getpid().as_raw() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_read_from_either_version() {
        assert!(counts_kills("low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\noom_group_kill 0\n"));
        assert!(counts_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"));
        assert!(!counts_kills("oom_kill_disable 1\nunder_oom 1\noom_kill 0\n"));
        assert!(!counts_kills("oom 4\n"));
    }
}
