//! Stores as they are: one contract over every kind, real servers on loopback, and what networks and servers do to them.
//!
//! The servers are started by the tests (`tests/servers`), on loopback and on data of their own; each test has a part of
//! them to itself.

// All of this is test code, which clippy only sees in functions that are tests themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod contract;
mod expiry;
mod faults;
mod identity;
mod ipfs;
mod ipfs_cluster;
mod ipfs_faults;
mod ipfs_kills;
mod ipfs_wire;
mod kills;
mod measured;
mod mfs_suite;
mod moments;
mod object_store_functions;
mod object_store_suite;
mod objects;
mod proxy;
#[path = "../servers/server.rs"]
mod server;
mod stores;
