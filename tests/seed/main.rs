//! What users of Ocean Protocol's operator-engine rely on: that it still works, and that what was broken there is not.
//!
//! - [`shapes`]: documents in every shape that clients send, each run from its text to its results by the program itself, over
//!   real servers; what came of it is a page beside them (`snapshots`), to be read like the documents.
//! - [`pods`]: what the pods of a workflow get, and what they do not.
//! - [`wallets`]: signatures, between this program and the libraries that others have.
//! - [`broken`]: everything that was odd or broken there, line by line, with what became of it.

// All of this is test code, which clippy only sees in functions that are tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods)]

mod broken;
#[path = "../../src/pod/configure/tests/provider/market.rs"]
#[allow(dead_code, reason = "its other tests ask it for more")]
mod market;
mod pods;
mod program;
#[path = "../servers/python.rs"]
mod python;
mod shapes;
mod wallets;

// For the market, which is written beside what it tests.
use operator_engine::{ethereum, workflow};
