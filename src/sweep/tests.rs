//! Sweeps over the cluster in memory and stores in memory, with clocks set by hand.

mod interrupted;
mod many;
mod properties;
mod rounds;
mod rules;
mod world;
