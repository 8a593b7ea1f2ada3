//! Whether stored results are what they should be: every byte, and nothing beside them.
//!
//! ```text
//!   manifest   is it the one that the record names, is it of this workflow, who signed it
//!   files      is each where its path says, of its size, of its digest, of its content id
//!   the rest   is there anything that the manifest does not name; does the old engine's array say the same
//! ```
//!
//! A store that cannot be asked is an error and no verdict. What cannot be checked, for want of something to check it by, is said
//! to be unchecked and never passed over.

mod blocks;
mod cids;

use super::{
    Folder, Keys, ResultStore, StorageError, Stored,
    manifest::{File, Manifest, Part, signed},
};
use crate::{
    ethereum::Address,
    workflow::{
        JobId,
        digest::{Hasher, Sha256},
    },
};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use std::collections::BTreeSet;

/// How many files are read at once.
const CONCURRENCY: usize = 4;
/// The most findings of one kind that are told one by one.
const MAX_TOLD: usize = 100;

/// What results are checked against, besides their own manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// The recorded digest of the manifest.
    pub manifest: Option<Sha256>,
    /// Whose signature it should have.
    pub signer: Option<Address>,
}

/// What came of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked, in one word.
    pub name: &'static str,
    /// What came of it.
    pub verdict: Verdict,
    /// What was found, each a sentence; for one that passed, what it means.
    pub notes: Vec<String>,
}

/// What comes of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is as it should be.
    Passed,
    /// It is not.
    Failed,
    /// There was nothing to check it by.
    Unchecked,
}

impl Check {
    fn new(name: &'static str, verdict: Verdict, note: impl Into<String>) -> Self {
        Self { name, verdict, notes: vec![note.into()] }
    }

    /// Failed if there is something wrong, else passed with `good`.
    fn of(name: &'static str, wrong: Vec<String>, good: impl Into<String>) -> Self {
        if wrong.is_empty() {
            return Self::new(name, Verdict::Passed, good);
        }
        let more = wrong.len().saturating_sub(MAX_TOLD);
        let mut notes: Vec<_> = wrong.into_iter().take(MAX_TOLD).collect();
        if more > 0 {
            notes.push(format!("and {more} more"));
        }
        Self { name, verdict: Verdict::Failed, notes }
    }
}

/// Checks everything that can be. `watch` is told of the bytes as they are read.
///
/// # Errors
///
/// The store's, when it cannot be asked. [`StorageError::Missing`] only if there is no manifest.
pub async fn verify(
    store: &dyn ResultStore,
    stored: &Stored,
    expected: &Expected,
    watch: &(dyn Fn(u64) + Sync),
) -> Result<Vec<Check>, StorageError> {
    let key = Keys(&stored.job).manifest().to_string();
    let bytes = store.manifest(stored).await?;
    let bytes = bytes.ok_or_else(|| StorageError::Missing { key, store: store.name().to_owned() })?;
    let mut checks = vec![recorded(&bytes, expected.manifest), signature(&bytes, expected.signer)];
    let Some(manifest) = Manifest::parse(&bytes) else {
        checks.push(Check::new("manifest", Verdict::Failed, "it is no manifest of a version that is known here"));
        return Ok(checks);
    };
    checks.push(names(&stored.job, &manifest));
    let files: Vec<&File> = manifest.files.iter().filter(|file| place(&stored.job, file).is_ok()).collect();
    let read = stream::iter(&files).map(|file| read(store, stored, file, watch)).buffered(CONCURRENCY);
    let wrong: Vec<Option<String>> = read.try_collect().await?;
    let good = format!("{} files have their sizes and digests", files.len());
    checks.push(Check::of("files", wrong.into_iter().flatten().collect(), good));
    checks.extend(cids::check(store, stored, &manifest, &bytes, watch).await?);
    checks.push(nothing_else(store, stored, &manifest).await?);
    checks.push(array(store, stored, &manifest, watch).await?);
    Ok(checks)
}

/// The folder and the path below it of a file, if its key is the one that its path has.
///
/// # Errors
///
/// What is wrong with it, for people. Whoever can write to the store can write a manifest, so no name is taken on trust.
pub fn place<'a>(job: &JobId, file: &'a File) -> Result<(Folder, &'a str), String> {
    let (folder, relative) = file.path.split_once('/').ok_or("its path has no folder")?;
    let folder =
        Folder::ALL.into_iter().find(|known| known.as_str() == folder).ok_or("its path is in no folder of a result")?;
    let key = Keys(job).file(folder, relative).map_err(|error| error.to_string())?;
    if key.as_ref() == file.key {
        Ok((folder, relative))
    } else {
        Err("its key is not the one that its path has".to_owned())
    }
}

fn recorded(bytes: &Bytes, expected: Option<Sha256>) -> Check {
    let digest = Sha256::of(bytes);
    match expected {
        None => Check::new(
            "record",
            Verdict::Unchecked,
            format!("there is no record to compare with; the manifest's SHA-256 is {digest}"),
        ),
        Some(expected) if expected == digest => {
            Check::new("record", Verdict::Passed, format!("the manifest is the recorded one, SHA-256 {digest}"))
        }
        Some(expected) => Check::new(
            "record",
            Verdict::Failed,
            format!("the manifest has the SHA-256 {digest}, recorded is {expected}"),
        ),
    }
}

fn signature(bytes: &[u8], expected: Option<Address>) -> Check {
    let check = |verdict, note: String| Check::new("signature", verdict, note);
    match (signed::signer(bytes), expected) {
        (Ok(signer), Some(expected)) if signer == expected => check(Verdict::Passed, format!("signed by {signer}")),
        (Ok(signer), Some(expected)) => check(Verdict::Failed, format!("signed by {signer}, expected is {expected}")),
        (Ok(signer), None) => check(
            Verdict::Unchecked,
            format!(
                "signed by {signer}, and nothing here says whose address that is; name the operator's with --signer"
            ),
        ),
        (Err(signed::Unsigned::None), None) => check(Verdict::Unchecked, "the manifest is not signed".to_owned()),
        (Err(error), _) => check(Verdict::Failed, error.to_string()),
    }
}

/// That the manifest is of this workflow, and names each file once and where it belongs.
fn names(job: &JobId, manifest: &Manifest) -> Check {
    let mut wrong = Vec::new();
    if manifest.facts.job != *job {
        wrong.push(format!("the manifest is of the workflow {}", manifest.facts.job));
    }
    let mut seen = BTreeSet::new();
    for file in &manifest.files {
        let folder = place(job, file).map(|(folder, _)| folder);
        match (folder, manifest.part) {
            (Err(why), _) => wrong.push(format!("{:?}: {why}", file.path)),
            (Ok(Folder::Adminlogs), Some(Part::Outputs))
            | (Ok(Folder::Outputs | Folder::Logs), Some(Part::Adminlogs)) => {
                wrong.push(format!("{:?} does not belong to this part of the result", file.path));
            }
            (Ok(_), _) => {}
        }
        if !seen.insert(&file.key) {
            wrong.push(format!("{:?} is named twice", file.path));
        }
    }
    Check::of("names", wrong, "each file is named once, and where it belongs")
}

/// What is wrong with a file; none if nothing is.
async fn read(
    store: &dyn ResultStore,
    stored: &Stored,
    file: &File,
    watch: &(dyn Fn(u64) + Sync),
) -> Result<Option<String>, StorageError> {
    let mut bytes = match store.read(stored, &file.key).await {
        Ok(bytes) => bytes,
        Err(StorageError::Missing { .. }) => return Ok(Some(format!("{:?} is missing", file.path))),
        Err(error) => return Err(error),
    };
    let (mut hasher, mut size) = (Hasher::default(), 0_u64);
    while let Some(chunk) = bytes.try_next().await? {
        size += chunk.len() as u64;
        if size > file.size {
            return Ok(Some(format!("{:?} has more than its {} bytes", file.path, file.size)));
        }
        hasher.update(&chunk);
        watch(chunk.len() as u64);
    }
    if size != file.size {
        return Ok(Some(format!("{:?} has {size} of its {} bytes", file.path, file.size)));
    }
    let digest = hasher.finish();
    Ok((digest != file.sha256).then(|| format!("{:?} has the SHA-256 {digest}, not {}", file.path, file.sha256)))
}

async fn nothing_else(store: &dyn ResultStore, stored: &Stored, manifest: &Manifest) -> Result<Check, StorageError> {
    let Some(keys) = store.keys(stored).await? else {
        return Ok(Check::new("nothing else", Verdict::Unchecked, "this store does not tell what it holds"));
    };
    let own = Keys(&stored.job);
    let mut known: BTreeSet<String> = manifest.files.iter().map(|file| file.key.clone()).collect();
    known.extend([own.manifest().to_string(), own.results().to_string()]);
    let extra = keys.into_iter().filter(|key| !known.contains(key));
    let extra = extra.map(|key| format!("{key:?} is there, and the manifest does not name it")).collect();
    Ok(Check::of("nothing else", extra, "there is nothing that the manifest does not name"))
}

/// That clients of the old engine are told the same. Its URLs are not looked at: they are the store's.
async fn array(
    store: &dyn ResultStore,
    stored: &Stored,
    manifest: &Manifest,
    watch: &(dyn Fn(u64) + Sync),
) -> Result<Check, StorageError> {
    let failed = |note: &str| Ok(Check::new("results.json", Verdict::Failed, note));
    let Some(bytes) = small(store, stored, Keys(&stored.job).results().as_ref(), watch).await? else {
        return failed("it is missing, or larger than any that belongs to a manifest");
    };
    let without_urls = |bytes: &[u8]| {
        let mut entries: Vec<serde_json::Map<String, serde_json::Value>> = serde_json::from_slice(bytes).ok()?;
        let urls: Vec<_> = entries.iter_mut().map(|entry| entry.shift_remove("url")).collect();
        urls.iter().all(|url| url.as_ref().is_some_and(serde_json::Value::is_string)).then_some(entries)
    };
    if without_urls(&bytes).is_some_and(|told| without_urls(&manifest.results(|_| String::new())) == Some(told)) {
        return Ok(Check::new("results.json", Verdict::Passed, "the old engine's array names the same files"));
    }
    failed("the old engine's array does not name the files of the manifest")
}

/// A file that is no larger than a manifest; none if it is missing or larger.
///
/// # Errors
///
/// The store's, when it cannot be asked.
pub async fn small(
    store: &dyn ResultStore,
    stored: &Stored,
    key: &str,
    watch: &(dyn Fn(u64) + Sync),
) -> Result<Option<Vec<u8>>, StorageError> {
    let mut chunks = match store.read(stored, key).await {
        Ok(chunks) => chunks,
        Err(StorageError::Missing { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.try_next().await? {
        watch(chunk.len() as u64);
        bytes.extend_from_slice(&chunk);
        if bytes.len() as u64 > super::manifest::MAX_LEN {
            return Ok(None);
        }
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests;
