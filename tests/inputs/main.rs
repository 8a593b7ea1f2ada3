//! Inputs from real servers: a Kubo's gateway, an S3 server, and wallets that sign as we do.
//!
//! The servers are those of `tests/servers`, on loopback. What they will not do on request is played by servers of our own,
//! beside the code (`src/pod/configure/tests`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod bucket;
mod fetching;
mod kubo;
#[path = "../servers/python.rs"]
mod python;
#[path = "../servers/server.rs"]
mod server;
mod wallets;
