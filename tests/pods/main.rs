//! The commands inside pods, as the program that users start.

// All of this is test code, which clippy only sees in functions that are tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

mod exec;
mod publish;
