//! The program: parse, run one command, turn its end into an exit code.

use clap::Parser as _;
use operator_engine::cli::{Cli, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    run(Cli::parse())
}
