//! The time, both ways: the only place that reads clocks for plans.
//!
//! Plans take [`Now`] as an argument; what drives them asks a [`Clock`], and a test has one that it sets by hand.

mod schedule;

pub use schedule::{InvalidSchedule, Schedule};

use crate::plan::Now;
use jiff::Timestamp;
use tokio::time::Instant;

/// Tells the time, both ways.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Now;
}

/// The machine's clocks: tokio's monotonic one, which tests can pause, and the wall clock.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Monotonic time counts from here.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        Now { mono: self.start.elapsed(), wall: Timestamp::now() }
    }
}
