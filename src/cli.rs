//! The command line: one file per command.

pub mod check;
pub mod config_args;
pub mod configure;
pub mod exec;
pub mod load;
pub mod output;
pub mod publish;
