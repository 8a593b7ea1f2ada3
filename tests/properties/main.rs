//! The decision core against arbitrary evidence: what holds whatever strangers write, in whatever order it is seen.

// All of this is test code, which clippy only sees in functions that are tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod admission;
mod cleaning;
mod evidence;
mod lease;
mod look;
mod merge;
mod plan;
mod remembered;
mod transition;
