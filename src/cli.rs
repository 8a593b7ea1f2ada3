//! The command line: one file per command.

pub mod check;
pub mod configure;
pub mod exec;
pub mod load;
pub mod publish;
