//! Stores as they are: one contract over every kind, real servers on loopback, and what networks and servers do to them.
//!
//! The servers are started by the tests (`tests/servers`), on loopback and on data of their own; each test has a part of
//! them to itself.

mod contract;
mod faults;
mod identity;
mod kills;
mod object_store_suite;
mod objects;
mod proxy;
#[path = "../servers/server.rs"]
mod server;
mod stores;
