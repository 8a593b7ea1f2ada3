//! Plain lines about how far publishing is.

use super::{parts::Places, walk::Walk};
use crate::workflow::report::Published;
use std::{
    io::Write,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// How often a line is written while files are on their way.
const PERIOD: Duration = Duration::from_secs(5);

/// Counts what is done. A writer that fails is ignored.
pub(super) struct Progress {
    out: Mutex<Box<dyn Write + Send>>,
    files: AtomicU64,
    bytes: AtomicU64,
    total_files: AtomicU64,
    total_bytes: AtomicU64,
}

/// Ticks when [`Progress::so_far`] is due.
pub(super) fn pulse() -> Interval {
    let mut pulse = interval_at(Instant::now() + PERIOD, PERIOD);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pulse
}

impl Progress {
    pub(super) fn new(out: Box<dyn Write + Send>) -> Self {
        let zero = AtomicU64::default;
        Self { out: Mutex::new(out), files: zero(), bytes: zero(), total_files: zero(), total_bytes: zero() }
    }

    pub(super) fn begin(&self, walk: &Walk, places: &Places) {
        let bytes = walk.files.iter().map(|found| found.size).sum();
        self.total_files.store(walk.files.len() as u64, Relaxed);
        self.total_bytes.store(bytes, Relaxed);
        self.tell(&format!("{} files with {bytes} bytes go to {}", walk.files.len(), places.outputs.name()));
        if let Some(place) = &places.adminlogs {
            self.tell(&format!("of these the admin's logs go to {}", place.name()));
        }
        if !walk.refused.is_empty() {
            self.tell(&format!("{} entries are refused; the manifest names them", walk.refused.len()));
        }
    }

    pub(super) fn sent(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
    }

    pub(super) fn stored_file(&self) {
        self.files.fetch_add(1, Relaxed);
    }

    pub(super) fn so_far(&self) {
        let [files, total_files, bytes, total_bytes] =
            [&self.files, &self.total_files, &self.bytes, &self.total_bytes].map(|count| count.load(Relaxed));
        self.tell(&format!("{files} of {total_files} files, {bytes} of {total_bytes} bytes"));
    }

    pub(super) fn end(&self, published: &Published) {
        self.tell(&format!("published {} in {}", published.manifest, published.store));
    }

    pub(super) fn tell(&self, line: &str) {
        if let Ok(mut out) = self.out.lock() {
            let _ = writeln!(out, "{line}");
        }
    }
}
