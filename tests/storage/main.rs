//! Stores as they are: one contract over every kind, real servers on loopback, and what networks and servers do to them.
//!
//! The servers are started by the tests (`tests/servers`), on loopback and on data of their own; each test has a part of
//! them to itself.

mod contract;
mod ipfs;
mod mfs_suite;
mod object_store_suite;
mod objects;
#[path = "../servers/server.rs"]
mod server;
mod stores;
