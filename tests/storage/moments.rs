//! When to kill, so that kills fall all over what they are to interrupt.

use std::time::Duration;

/// Moments spread evenly over the whole, in an order without one (the golden ratio). How long the whole takes changes with what
/// else the machine does, so it is learned from kills that came too late or in time.
pub(crate) struct Moments(pub(crate) Duration);

impl Moments {
    /// How long to wait in this round, from 1.
    pub(crate) fn next(&self, round: u32) -> Duration {
        self.0.mul_f64((f64::from(round) * 0.618_034).fract()).max(Duration::from_millis(1))
    }

    /// What came of the last one.
    pub(crate) fn learn(&mut self, came_in_time: bool) {
        self.0 = self.0.mul_f64(if came_in_time { 1.2 } else { 0.7 });
    }
}
