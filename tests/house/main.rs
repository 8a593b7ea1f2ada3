//! The rules of the house, as code: what a review would have to look for again and again.
//!
//! Each rule is a pure function from text to faults, tried on a small bad sample beside it, and one test that asks it about
//! this project. A fault says where, what, and what to do instead.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and runs in the environment it is given"
)]

mod arrows;
mod dependencies;
mod licences;
mod names;
mod old_variables;
mod panics;
mod purity;
mod readme;
mod tokens;
mod tree;
mod words;

/// Fails with every fault, each on its line.
#[track_caller]
fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults:\n  {}\n", faults.len(), faults.join("\n  "));
}
