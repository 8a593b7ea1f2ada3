//! The real core on a cluster in memory, with virtual time: scenarios, every single fault, two engines at once.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and runs in the environment it is given"
)]

mod bites;
mod denied;
mod evidence;
mod exhaustive;
mod hostile;
mod rounds;
mod rules;
mod secrets;
mod storms;
mod takeover;
mod world;
