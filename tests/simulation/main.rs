//! The real core on a cluster in memory, with virtual time: scenarios, every single fault, two engines at once.

mod bites;
mod exhaustive;
mod hostile;
mod rules;
mod takeover;
mod world;
