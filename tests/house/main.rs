//! The rules of the house, as code: what a review would have to look for again and again.
//!
//! Each rule is a pure function from text to faults, tried on a small bad sample beside it, and one test that asks it about
//! this project. A fault says where, what, and what to do instead.

// All of this is test code, which clippy only sees in functions that are tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod arrows;
mod dependencies;
mod licences;
mod names;
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
