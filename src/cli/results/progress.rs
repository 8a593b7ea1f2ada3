//! Lines about how far reading is, for what takes longer than a moment.

use std::{
    io::{self, Write as _},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};
use tokio::time::{Instant, interval_at};

/// How often a line is written.
const PERIOD: Duration = Duration::from_secs(5);

/// Counts bytes.
pub(super) struct Progress {
    read: AtomicU64,
    total: u64,
}

impl Progress {
    /// Of so many bytes; 0: nobody knows.
    pub(super) fn of(total: u64) -> Self {
        Self { read: AtomicU64::new(0), total }
    }

    pub(super) fn add(&self, bytes: u64) {
        self.read.fetch_add(bytes, Relaxed);
    }

    /// Does the work, and tells on standard error how far it is.
    pub(super) async fn beside<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        let mut pulse = interval_at(Instant::now() + PERIOD, PERIOD);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = pulse.tick() => self.tell(),
            }
        }
    }

    fn tell(&self) {
        let read = self.read.load(Relaxed);
        let of = if self.total > 0 { format!(" of {}", self.total) } else { String::new() };
        let _ = writeln!(io::stderr(), "{read}{of} bytes");
    }
}
