//! The contract of `Cluster`, and who keeps it: the sandbox, the sandbox behind the layer of faults, and not those that
//! break one promise each.

// All of this is test code, which clippy only sees in functions that are tests themselves.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[macro_use]
mod suite;

mod bites;
mod sandbox;
