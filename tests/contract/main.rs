//! The contract of `Cluster`, and who keeps it: the sandbox, the sandbox behind the layer of faults, and not those that
//! break one promise each.

#[macro_use]
mod suite;

mod bites;
mod sandbox;
