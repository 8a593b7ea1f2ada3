//! What is wrong with a configuration: all of it, each with its key, its value and where it is from.

use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `limits.cpus`; empty for a file as a whole.
    pub key: String,
    /// The value as TOML. None where it is not to be shown (an unknown key may hold a credential) or there is none.
    pub value: Option<String>,
    /// `file /etc/operator-engine/engine.toml`, `environment variable nCPU`, `default`; empty for rules between keys.
    pub source: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        match (self.key.is_empty(), self.source.is_empty()) {
            (_, true) => {}
            (true, false) => f.write_str(&self.source)?,
            (false, false) => write!(f, " ({})", self.source)?,
        }
        write!(f, ": {}", self.message)
    }
}

/// A configuration that cannot be used: at least one fault, all that were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// In the order found: files, unknown keys, values, rules between keys.
    pub faults: Vec<Fault>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.faults.len() {
            1 => f.write_str("the configuration cannot be used:")?,
            n => write!(f, "the configuration cannot be used, for {n} reasons:")?,
        }
        self.faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for ConfigErrors {}
