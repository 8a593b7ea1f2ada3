//! The processes below this one: found, ended and reaped, wherever they hid.
//!
//! A daemon leaves its process group with `setsid` and its parent by a double fork. As child subreaper (or as process 1)
//! this process becomes the parent of every such orphan, so the chains of parents in `/proc` lead to all of them.
//! This module takes every child of the process for its own: whoever uses it must have no other children.

use nix::{
    errno::Errno,
    sys::{
        prctl,
        signal::{Signal, kill, killpg},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{Pid, getpid},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// How long a killed process may take to go: only one that waits for a broken disk needs longer, and nothing helps then.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// Makes this process the parent of every orphan below it.
pub fn adopt_orphans() {
    // Process 1 is that already, and a kernel older than 3.4 has other problems.
    let _ = prctl::set_child_subreaper(true);
}

/// Sends `signal` to the process group that `leader` leads, and wakes it in case it was stopped.
pub(super) fn signal_group(leader: Pid, signal: Signal) {
    let _ = killpg(leader, signal);
    let _ = killpg(leader, Signal::SIGCONT);
}

/// Reaps every child that has ended, and says how `of_interest` ended if it was among them.
pub(super) fn reap(of_interest: Option<Pid>) -> Option<WaitStatus> {
    let mut found = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(status @ (WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _))) => {
                if Some(pid) == of_interest {
                    found = Some(status);
                }
            }
            Err(Errno::EINTR) => {}
            Ok(WaitStatus::StillAlive) | Err(_) => return found,
            Ok(_) => {}
        }
    }
}

/// Sends SIGKILL to every process below this one.
pub(super) fn kill_all() {
    if getpid() == Pid::from_raw(1) {
        // All of the pid namespace but this process, in one go: no fork can slip through.
        let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
        return;
    }
    for pid in living_below(getpid()) {
        let _ = kill(pid, Signal::SIGKILL);
    }
}

/// Kills `root` and every process below it, for whoever started a wrapper and cannot wait for it. The root goes last:
/// while it lives, it adopts what its children leave behind, so that nothing slips out of the tree.
pub fn kill_tree(root: Pid) {
    // Each round kills all there are; a further one is needed only for what was forked meanwhile.
    for _ in 0..100 {
        let below = living_below(root);
        if below.is_empty() {
            break;
        }
        for pid in below {
            let _ = kill(pid, Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let _ = kill(root, Signal::SIGKILL);
}

/// Kills every child of this process that is none of `ours`, with all below it: what a wrapper left behind that was killed
/// itself. For a process that adopts its orphans ([`adopt_orphans`]) and has no children but `ours`.
pub fn kill_orphans(ours: &BTreeSet<i32>) {
    let mut seen = BTreeSet::new();
    loop {
        let of_ours = children().remove(&getpid().as_raw()).unwrap_or_default();
        let strangers: Vec<_> =
            of_ours.iter().filter(|(pid, alive)| *alive && !ours.contains(pid) && seen.insert(*pid)).collect();
        // One that is killed may have had children, and those come here in turn.
        if strangers.is_empty() {
            return;
        }
        strangers.iter().for_each(|(pid, _)| kill_tree(Pid::from_raw(*pid)));
    }
}

/// Kills and reaps until nothing is left below this process. Returns how many survived [`KILL_LIMIT`]: normally 0.
pub(super) async fn end_all() -> usize {
    let deadline = Instant::now() + KILL_LIMIT;
    let mut pause = Duration::from_millis(1);
    loop {
        kill_all();
        reap(None);
        let left = living_below(getpid()).len();
        if left == 0 || Instant::now() >= deadline {
            return left;
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Whether anything below this process is still alive.
pub(super) fn any_left() -> bool {
    !living_below(getpid()).is_empty()
}

/// The processes below `root` that have not ended yet.
fn living_below(root: Pid) -> Vec<Pid> {
    let mut children = children();
    let mut found = Vec::new();
    let mut queue = vec![root.as_raw()];
    while let Some(parent) = queue.pop() {
        for (pid, alive) in children.remove(&parent).unwrap_or_default() {
            queue.push(pid);
            if alive {
                found.push(Pid::from_raw(pid));
            }
        }
    }
    found
}

/// The children of every process, and whether they have not ended yet.
fn children() -> BTreeMap<i32, Vec<(i32, bool)>> {
    let mut children: BTreeMap<i32, Vec<(i32, bool)>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        // A process that ends meanwhile has no file any more.
        let Ok(stat) = fs::read(entry.path().join("stat")) else { continue };
        if let Some((state, parent)) = state_and_parent(&stat) {
            children.entry(parent).or_default().push((pid, !matches!(state, 'Z' | 'X')));
        }
    }
    children
}

/// From `/proc/<pid>/stat`: `pid (name) state parent …`. The name is the process's own choice and may hold anything,
/// parentheses and blanks included; nothing after it does.
fn state_and_parent(stat: &[u8]) -> Option<(char, i32)> {
    let end_of_name = stat.iter().rposition(|&byte| byte == b')')?;
    let mut fields = std::str::from_utf8(stat.get(end_of_name + 1..)?).ok()?.split_ascii_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_cannot_hide_behind_its_name() {
        assert_eq!(state_and_parent(b"7 (sh) S 3 7 7 0"), Some(('S', 3)));
        assert_eq!(state_and_parent(b"7 (a) Z 1 (\xff) R 42 7"), Some(('R', 42)));
        assert_eq!(state_and_parent(b"7 (sh"), None);
        assert_eq!(state_and_parent(b"7 (sh)"), None);
    }
}
