//! The configuration: from a file, a variable or a default to values that are known to be good.
//!
//! `config/default.toml` is part of the program and names every key; it is the reference that people read. Over it come the
//! files given, then `OPERATOR_ENGINE__SECTION__KEY`, then the variables of the old engine by their own names.
//! [`load`] answers with a checked [`Config`], where each value is from, and what the admin should know; or with *all* that
//! is wrong. Past it nothing checks a value again.
//!
//! Nothing below `load` reads the environment: it is handed in. [`environment`] is the one place in the program that asks
//! the operating system for it. No key holds a credential: those of stores are read
//! beside it, by [`credentials()`]. URLs of `[notify]` may, and are shown without their query and user.

mod cadence;
mod certificates;
mod credentials;
mod engine;
mod expiry;
mod fault;
mod fetch;
mod layers;
mod leaks;
mod limits;
mod notify;
mod operator_key;
mod pods;
mod policy;
mod rules;
mod seed;
mod storage;
mod taint;
#[cfg(test)]
mod tests;
mod url;
mod values;

pub use crate::workflow::{duration, quantity::Cpus};
pub use cadence::{Cadence, Cleaning, Lease, Retries, Waiting};
pub use credentials::{StoreCredentials, credentials};
pub use engine::{Engine, LogFormat, Workflows};
pub use expiry::Expiry;
pub use fault::{ConfigErrors, Fault};
pub use fetch::Fetch;
pub use leaks::Leaks;
pub use limits::{Environment, Limits};
pub use notify::{Http, Notify};
pub use operator_key::operator_key;
pub use pods::{Images, Pods, PullPolicy};
pub use seed::{Old, old_variables};
pub use storage::Storage;
pub use taint::{NodeLabel, Taint};
pub use url::redacted;

use layers::{Known, Layer};
use serde::Serialize;
use std::path::PathBuf;
use values::Values;

/// The reference: every key, its default, and what it is for.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// What the structured variables start with.
const PREFIX: &str = "OPERATOR_ENGINE__";

/// A configuration that can be used: every value is within its bounds, and the rules between keys hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `[engine]`.
    pub engine: Engine,
    /// `[workflows]`.
    pub workflows: Workflows,
    /// `[limits]`.
    pub limits: Limits,
    /// `[environment]`.
    pub environment: Environment,
    /// `[images]`.
    pub images: Images,
    /// `[pods]`.
    pub pods: Pods,
    /// `[loop]`, a word that Rust keeps for itself.
    pub cadence: Cadence,
    /// `[lease]`.
    pub lease: Lease,
    /// `[waiting]`.
    pub waiting: Waiting,
    /// `[retries]`.
    pub retries: Retries,
    /// `[cleaning]`.
    pub cleaning: Cleaning,
    /// `[fetch]`.
    pub fetch: Fetch,
    /// `[leaks]`.
    pub leaks: Leaks,
    /// `[storage]`, `[s3]`, `[ipfs]`, `[ipfs_cluster]` and `[adminlogs]`.
    pub storage: Storage,
    /// `[expiry]`.
    pub expiry: Expiry,
    /// `[notify]`.
    pub notify: Notify,
    /// `[http]`.
    pub http: Http,
}

/// What [`load`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// What the program works with.
    pub config: Config,
    /// Every key with its value and source, in the order of `default.toml`.
    pub values: Vec<Effective>,
    /// What the admin should know, each a sentence without its full stop. No values of variables that do nothing.
    pub warnings: Vec<String>,
}

/// A value in force. Safe to show.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Effective {
    /// `limits.cpus`.
    pub key: &'static str,
    /// As it was written, where that is a text. Its JSON is its TOML as well.
    pub value: serde_json::Value,
    /// `default`, `file …` or `environment variable …`.
    pub source: String,
}

/// Reads the configuration from the defaults, `files` (or directories of `*.toml`) and `environment`, each over the one
/// before.
///
/// # Errors
/// Everything that is wrong, at once. A value that another one covers is not looked at; an unknown key always is.
pub fn load(files: &[PathBuf], environment: impl Iterator<Item = (String, String)>) -> Result<Loaded, ConfigErrors> {
    let environment: Vec<_> = environment.collect();
    let (mut faults, mut warnings) = (Vec::new(), Vec::new());
    let mistake = |message: String| Fault { key: String::new(), value: None, source: "default".to_owned(), message };

    let defaults = layers::toml(DEFAULTS, "default").unwrap_or_else(|message| {
        faults.push(mistake(message));
        Layer::default()
    });
    let known = Known::of(&defaults);
    let mut layers = vec![defaults];
    layers.extend(layers::files(files, &mut faults, &mut warnings));
    let structured = layers::structured(&environment);
    let old = seed::layer(&environment, &mut warnings);
    warnings.extend(contradictions(&structured, &old));
    warnings.extend(known.misspelt(&environment));
    layers.extend([structured, old]);

    let mut merged = config::Config::builder();
    for mut layer in layers {
        layer.admit(&known, &mut faults);
        merged = merged.add_source(layer);
    }
    let merged = merged.build().map_err(|error| ConfigErrors { faults: vec![mistake(error.to_string())] })?;
    let mut values = Values::new(&merged.cache, faults);
    let config = Config::read(&mut values);
    rules::check(&config, &mut values);
    if values.faults.is_empty() {
        Ok(Loaded { config, values: values.effective, warnings })
    } else {
        Err(ConfigErrors { faults: values.faults })
    }
}

impl Config {
    /// Every section, in the order of `default.toml`.
    fn read(values: &mut Values) -> Self {
        Self {
            engine: Engine::read(values),
            workflows: Workflows::read(values),
            limits: Limits::read(values),
            environment: Environment::read(values),
            images: Images::read(values),
            pods: Pods::read(values),
            cadence: Cadence::read(values),
            lease: Lease::read(values),
            waiting: Waiting::read(values),
            retries: Retries::read(values),
            cleaning: Cleaning::read(values),
            fetch: Fetch::read(values),
            leaks: Leaks::read(values),
            storage: Storage::read(values),
            expiry: Expiry::read(values),
            notify: Notify::read(values),
            http: Http::read(values),
        }
    }
}

/// Keys that two variables set to different values.
fn contradictions(structured: &Layer, old: &Layer) -> Vec<String> {
    let both = old.values.iter().filter_map(|(key, value)| Some((key, value, structured.values.get(key)?)));
    both.filter(|(_, value, covered)| value.kind != covered.kind)
        .map(|(key, value, covered)| {
            let [wins, loses] = [value, covered].map(|value| value.origin().unwrap_or_default());
            format!("{key} is set twice: {wins} covers {loses}")
        })
        .collect()
}

/// The process's environment. The only reader of it in the program; what is not UTF-8 has its wrong bytes replaced, so that
/// it is refused where a value is checked instead of ending the program here.
#[expect(clippy::disallowed_methods, reason = "this is the one reader")]
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .collect()
}
