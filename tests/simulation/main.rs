//! The real core on a cluster in memory, with virtual time: scenarios, every single fault, two engines at once.

// All of this is test code, which clippy only sees in functions that are tests themselves.
#![allow(clippy::unwrap_used)]

mod bites;
mod exhaustive;
mod hostile;
mod rules;
mod takeover;
mod world;
