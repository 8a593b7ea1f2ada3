//! The program as people start it: real processes, real files, real signals.
//!
//! Every test has a [`bench::Bench`]: a folder of its own, which at the end must not have left a process behind. Needed
//! beside Rust: `sh`, `python3`, and util-linux (`script`, `setsid`, `setpriv`). No network but loopback.

// What a test cannot do without fails it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods)]

mod algorithms;
mod bench;
mod data_folder;
mod examples;
mod folders;
mod help;
mod hostile;
mod inputs;
mod leaving;
mod outcomes;
mod output;
mod results;
mod stores;
