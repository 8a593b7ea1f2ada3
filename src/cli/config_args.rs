//! `--config`, for every command that reads the configuration.

use crate::config::{self, ConfigErrors, Loaded};
use std::path::PathBuf;

/// Which files the configuration is read from.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ConfigArgs {
    /// A configuration file, or a directory of *.toml files, read in the order of their names. Repeatable: later files cover
    /// earlier ones, and environment variables (OPERATOR_ENGINE__SECTION__KEY) cover files
    #[arg(long = "config", value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

impl ConfigArgs {
    /// Reads the configuration from these files and the process's environment.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(&self) -> Result<Loaded, ConfigErrors> {
        config::load(&self.files, config::environment().into_iter())
    }
}
