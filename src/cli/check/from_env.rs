//! `check --from-env`: what the variables of an old deployment are in the configuration of this engine.
//!
//! The answer is a file of TOML that means the same as those variables. What has no place in it stands there as a comment,
//! with the reason; credentials are named and never shown.

mod variables;

use crate::{
    cli::output::{self, Output},
    config::{self, ConfigErrors, Effective, Loaded, Old, old_variables},
    storage::{
        Targets,
        secret_keys::{same_server, secret_keys},
    },
    workflow::report::clip,
};
use serde_json::json;
use std::{
    fs::File,
    io::{self, Read as _, Write},
    path::Path,
};
use variables::{Given, Variable};

/// What an old deployment's variables mean.
#[derive(Debug)]
pub(super) struct Migration {
    loaded: Loaded,
    /// Keys whose value is shown without its query or credentials.
    shortened: Vec<&'static str>,
    credentials: Vec<&'static str>,
    notes: Vec<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("{0} cannot be read")]
    File(String, #[source] io::Error),
    #[error("{0} {1}")]
    Text(String, String),
    #[error(transparent)]
    Values(#[from] ConfigErrors),
}

/// The most bytes of a note: names in it are the file's, and must not begin a line of their own.
const MAX_NOTE: usize = 1000;
/// The most bytes of a file.
const MAX_LEN: u64 = 4 * 1024 * 1024;

impl Migration {
    /// From the file at `path`.
    pub(super) fn read(path: &Path) -> Result<Self, Unreadable> {
        let shown = || path.display().to_string();
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(MAX_LEN).read_to_string(&mut text));
        read.map_err(|error| Unreadable::File(shown(), error))?;
        let variables = variables::read(&text).map_err(|message| Unreadable::Text(shown(), message))?;
        Ok(Self::of(&variables)?)
    }

    fn of(variables: &[Variable]) -> Result<Self, ConfigErrors> {
        let known = |name: &str| old_variables().find(|(known, _)| *known == name).map(|(_, old)| old);
        let environment: Vec<_> = variables
            .iter()
            .filter_map(|variable| match &variable.value {
                Given::Text(text) => Some((variable.name.clone(), text.clone())),
                Given::Elsewhere(_) => None,
            })
            .collect();
        let loaded = config::load(&[], environment.iter().cloned())?;
        let mut notes = loaded.warnings.clone();
        for Variable { name, value } in variables {
            let Given::Elsewhere(place) = value else {
                if known(name).is_none() && !name.starts_with("OPERATOR_ENGINE__") && !is_warned_of(&notes, name) {
                    notes.push(format!("{name} is no variable of the old engine and is passed over"));
                }
                continue;
            };
            match known(name) {
                Some(Old::Sets(key)) => {
                    notes.push(format!("{name} is kept elsewhere ({place}) and not known here; it sets {key}"));
                }
                Some(Old::Dropped(why)) => notes.push(format!("{name} has no effect: {why}")),
                Some(Old::Credential) => {}
                None => notes.push(format!("{name} is no variable of the old engine and is passed over")),
            }
        }
        let given = |name: &str| variables.iter().any(|variable| variable.name == name && is_set(variable));
        notes.extend(NOT_SET.iter().filter(|(name, _)| !given(name)).map(|(_, note)| (*note).to_owned()));
        notes.extend(SET.iter().filter(|(name, _)| given(name)).map(|(_, note)| (*note).to_owned()));
        let mut credentials: Vec<_> = old_variables()
            .filter(|(name, old)| *old == Old::Credential && given(name))
            .map(|(name, _)| name)
            .collect();
        if let Some(targets) = &loaded.config.storage.targets {
            notes.extend(of_stores(targets, &loaded, &mut credentials));
        }
        let notify = &loaded.config.notify;
        let urls = [("notify.start_url", &notify.start_url), ("notify.stop_url", &notify.stop_url)];
        let shown = |key: &str, url: &str| loaded.values.iter().any(|value| value.key == key && value.value == url);
        let shortened = urls.into_iter().filter(|(key, url)| url.as_ref().is_some_and(|url| !shown(key, url)));
        Ok(Self { shortened: shortened.map(|(key, _)| key).collect(), credentials, notes, loaded })
    }

    fn set(&self) -> impl Iterator<Item = &Effective> {
        self.loaded.values.iter().filter(|value| value.source != "default")
    }

    /// Writes it, as TOML for a file or as JSON for a program.
    pub(super) fn write(&self, output: Output, out: &mut dyn Write) -> io::Result<()> {
        let secret = &self.loaded.config.storage.secret;
        if output == Output::Json {
            let credentials: Vec<_> =
                self.credentials.iter().map(|name| json!({"secret": secret, "key": name})).collect();
            let keys: Vec<_> = self.set().collect();
            return output::json(out, &json!({"keys": keys, "credentials": credentials, "notes": self.notes}));
        }
        let mut section = "";
        for value in self.set() {
            let (of, name) = value.key.rsplit_once('.').unwrap_or(("", value.key));
            if of != section {
                let space = if section.is_empty() { "" } else { "\n" };
                writeln!(out, "{space}[{of}]")?;
                section = of;
            }
            let source = value.source.strip_prefix("environment variable ").unwrap_or(&value.source);
            if self.shortened.contains(&value.key) {
                let variable = format!("OPERATOR_ENGINE__{}", value.key.to_ascii_uppercase().replace('.', "__"));
                writeln!(
                    out,
                    "# {name}: from {source}, which holds what is not to be shown; set the variable {variable}"
                )?;
                writeln!(out, "# of the engine's container from a Secret.")?;
            } else {
                writeln!(out, "{name} = {}  # {source}", value.value)?;
            }
        }
        if !self.credentials.is_empty() {
            writeln!(
                out,
                "\n# Credentials, which no file holds: keys of the Secret \"{secret}\" in the jobs' namespace, for publish"
            )?;
            writeln!(out, "# pods, and variables of the engine's own container, from a Secret in its namespace.")?;
            self.credentials.iter().try_for_each(|name| writeln!(out, "# - {name}"))?;
        }
        if !self.notes.is_empty() {
            writeln!(out, "\n# What else is to be known:")?;
            self.notes.iter().try_for_each(|note| writeln!(out, "# - {}", clip(note, MAX_NOTE)))?;
        }
        Ok(())
    }
}

fn is_set(variable: &Variable) -> bool {
    !matches!(&variable.value, Given::Text(text) if text.trim().is_empty())
}

fn is_warned_of(notes: &[String], name: &str) -> bool {
    notes.iter().any(|note| note.starts_with(&format!("{name} ")))
}

/// What is to be known about where results go. Takes out of `credentials` what these stores do not need.
fn of_stores(targets: &Targets, loaded: &Loaded, credentials: &mut Vec<&'static str>) -> Vec<String> {
    let mut notes = Vec::new();
    let needed = secret_keys(targets);
    credentials.retain(|name| {
        let is_needed = needed.iter().any(|key| key.name == *name);
        if !is_needed {
            notes.push(format!("{name} is not needed: results do not go there"));
        }
        is_needed
    });
    if loaded.values.iter().any(|value| value.key == "adminlogs.kind" && value.source == "default") {
        notes.push(
            "admin logs are kept from the consumer; [adminlogs] kind = \"with-outputs\" puts them among the results, as the \
             old engine did"
                .to_owned(),
        );
    }
    if targets.adminlogs.as_ref().is_some_and(|own| !same_server(&targets.outputs, own)) {
        notes.push(
            "admin logs go to another server than outputs, whose credentials it is not sent: its own are keys of the same \
             Secret with _ADMINLOGS at their end"
                .to_owned(),
        );
    }
    notes
}

/// Where silence meant something else in the old engine.
const NOT_SET: [(&str, &str); 1] =
    [("STORAGE_CLASS", "STORAGE_CLASS is not set: the old engine then took gp2, this one takes the cluster's default")];

/// What is honoured now, and was not, or not so.
const SET: [(&str, &str); 3] = [
    (
        "AWS_BUCKET_ADMINLOGS",
        "AWS_BUCKET_ADMINLOGS is honoured: the old publishing image stored admin logs with outputs instead",
    ),
    ("IPFS_ADMINLOGS", "IPFS_ADMINLOGS is honoured: the old publishing image stored admin logs with outputs instead"),
    (
        "IPFS_OUTPUT",
        "IPFS_OUTPUT: URLs have one slash after the content id; [ipfs] double_slash = true writes two, as the old engine did",
    ),
];

#[cfg(test)]
mod tests;
