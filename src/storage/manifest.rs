//! What a published workflow consists of: `manifest.json`, and the old engine's array beside it.
//!
//! Both are functions of the [`Facts`], the files and the operator's key; neither knows a clock, and the same text has one
//! signature. So publishing twice writes the same bytes.

pub mod canonical;
pub mod signed;
#[cfg(test)]
mod tests;

use super::Folder;
use crate::{
    ethereum::{Address, Signature},
    workflow::{Facts, Outcome, digest::Sha256},
};
use serde::{Deserialize, Serialize};

/// The version of the format that is written.
pub const VERSION: u32 = 1;
/// The most bytes of a manifest that are read: some 100,000 files.
pub const MAX_LEN: u64 = 64 * 1024 * 1024;
/// The content type of both.
pub const CONTENT_TYPE: &str = "application/json";

/// `manifest.json`. Written last: a workflow without one has no results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// [`VERSION`].
    pub version: u32,
    /// What is known of the workflow; its members stand beside the others.
    #[serde(flatten)]
    pub facts: Facts,
    /// Which part of the result this is; none: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// Whether the outputs may be incomplete: the workflow failed, was stopped, or ran out of time.
    pub partial: bool,
    /// What configure put in place for the algorithm, ordered by path; none if that is not known.
    pub inputs: Option<Vec<Input>>,
    /// The stored files: outputs, logs, adminlogs, each ordered by name, byte by byte.
    pub files: Vec<File>,
    /// What was found and not stored.
    pub refused: Vec<Refused>,
    /// Whose signature it is; none without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<Address>,
    /// The operator's signature; see [`signed`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

/// A file that the algorithm was given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Input {
    /// Its path below `/data`, e.g. `inputs/<id>/0` or `transformations/algorithm`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// The digest of its bytes.
    pub sha256: Sha256,
    /// The earlier stage of the workflow that put it out; absent of everything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<u32>,
}

/// A part of a result that is stored in a place of its own, so that neither can be passed off as the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// Outputs and the algorithm's logs: what the consumer gets.
    Outputs,
    /// The logs of the stages around it: what the admin gets.
    Adminlogs,
}

/// A stored file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct File {
    /// The object's key in the store.
    pub key: String,
    /// The file's path below `/data`, e.g. `outputs/a/b.csv`.
    pub path: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    /// The digest of its bytes.
    pub sha256: Sha256,
    /// Guessed from its name.
    pub content_type: String,
    /// The content id of its bytes, in a store that has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cid: Option<String>,
}

impl File {
    /// Its name without folders.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// Something found and not stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Refused {
    /// Its path below `/data`, with what cannot be shown escaped.
    pub path: String,
    /// Why, for people.
    pub reason: String,
}

/// What a file is, in the words that clients of the old engine know, typing error included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Anything that is none of the others.
    Output,
    /// `logs/algorithm.log`; among the admin's, the same as it was before a filter could rewrite it.
    AlgorithmLog,
    /// `adminlogs/configure.log`.
    #[serde(rename = "configrationLog")]
    ConfigurationLog,
    /// `adminlogs/filter.log`.
    FilteringLog,
    /// `adminlogs/publish.log`.
    PublishLog,
}

impl Kind {
    /// The kind of the file at `relative` below `folder`: its exact place decides.
    pub fn of(folder: Folder, relative: &str) -> Self {
        match (folder, relative) {
            (Folder::Logs | Folder::Adminlogs, "algorithm.log") => Self::AlgorithmLog,
            (Folder::Adminlogs, "configure.log") => Self::ConfigurationLog,
            (Folder::Adminlogs, "filter.log") => Self::FilteringLog,
            (Folder::Adminlogs, "publish.log") => Self::PublishLog,
            _ => Self::Output,
        }
    }
}

impl Manifest {
    /// Whether what a workflow of this outcome hands out may be incomplete.
    pub fn is_partial(outcome: Outcome) -> bool {
        matches!(outcome, Outcome::Failed | Outcome::Stopped | Outcome::TimedOut)
    }

    /// The manifest's bytes.
    pub fn render(&self) -> Vec<u8> {
        // Strings, numbers and lists only: this cannot fail.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Reads a manifest; none if it is not one of this version.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|manifest: &Self| manifest.version == VERSION)
    }

    /// The old engine's array for the same files, each under its `url`: consumers address results by position in it.
    pub fn results(&self, url: impl Fn(&File) -> String) -> Vec<u8> {
        let entries: Vec<_> = self
            .files
            .iter()
            .map(|file| Entry { filename: file.name(), filesize: file.size, url: url(file), kind: file.kind })
            .collect();
        serde_json::to_vec(&entries).unwrap_or_default()
    }
}

/// An element of the old engine's array; its members in this order.
#[derive(Serialize)]
struct Entry<'a> {
    filename: &'a str,
    filesize: u64,
    url: String,
    #[serde(rename = "type")]
    kind: Kind,
}
