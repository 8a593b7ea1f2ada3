//! How it ended and where the results lie.

use crate::{
    cli::output::{self, Output},
    storage::{
        keys::Keys,
        manifest::{File, Manifest, Refused},
    },
    workflow::{JobId, Outcome, Record, digest::Sha256, record::Usage},
};
use serde::Serialize;
use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};

/// The answer of `local`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    job: JobId,
    outcome: Option<Outcome>,
    code: u16,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    /// Where the results are; none if nothing was stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<PathBuf>,
    /// The manifest's file.
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<PathBuf>,
    files: Vec<File>,
    refused: Vec<Refused>,
    /// The work folder, if it was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    work: Option<PathBuf>,
}

impl Summary {
    /// What `record` says, and what the manifest it names in `out` says. A manifest that is not the recorded one is none.
    pub(super) fn of(job: &JobId, record: &Record, out: &Path, work: Option<PathBuf>) -> Self {
        let stored = record.results.as_ref().and_then(|results| {
            let path = out.join(&results.manifest);
            let bytes = fs::read(&path).ok()?;
            let same = Sha256::of(&bytes) == results.manifest_sha256;
            let manifest: Manifest = serde_json::from_slice(&bytes).ok().filter(|_| same)?;
            Some((path, manifest))
        });
        let (manifest, files, refused) = match stored {
            Some((path, manifest)) => (Some(path), manifest.files, manifest.refused),
            None => (None, Vec::new(), Vec::new()),
        };
        Self {
            job: job.clone(),
            outcome: record.outcome,
            code: record.code.number(),
            text: record.text.clone(),
            reason: record.reason.clone(),
            message: record.message.clone(),
            exit_code: record.exit_code,
            usage: record.usage.clone(),
            directory: manifest.as_ref().map(|_| out.join(Keys(job).prefix().as_ref())),
            manifest,
            files,
            refused,
            work,
        }
    }

    pub(super) fn write(&self, form: Output, out: &mut dyn Write) -> io::Result<()> {
        match form {
            Output::Json => output::json(out, self),
            Output::Table => self.table(out),
        }
    }

    fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        let outcome = self.outcome.map_or("unknown", Outcome::as_str);
        write!(out, "\njob {}: {outcome}", self.job)?;
        match &self.reason {
            Some(reason) => writeln!(out, " ({reason})")?,
            None => writeln!(out)?,
        }
        if let Some(message) = &self.message {
            // One fault of a document a line.
            for line in message.split("; ") {
                writeln!(out, "  {line}")?;
            }
        }
        if let Some(usage) = &self.usage {
            let (wall, cpu) = (usage.wall_ms as f64 / 1000.0, usage.cpu_ms as f64 / 1000.0);
            let memory = usage.peak_memory_bytes.div_ceil(1 << 20);
            writeln!(out, "the algorithm took {wall:.1} s, {cpu:.1} s of CPU time and {memory} MiB of memory")?;
        }
        if let Some(directory) = &self.directory {
            writeln!(out, "\nresults in {}", directory.display())?;
            let rows: Vec<[String; 3]> =
                self.files.iter().map(|file| [format!("  data/{}", file.path), size(file.size), kind(file)]).collect();
            output::table(out, &rows)?;
            writeln!(out, "  manifest.json names them with their digests")?;
        } else {
            writeln!(out, "nothing was stored")?;
        }
        for refused in &self.refused {
            writeln!(out, "  not stored: {} ({})", refused.path, refused.reason)?;
        }
        if let Some(work) = &self.work {
            writeln!(out, "work folder kept: {}", work.display())?;
        }
        Ok(())
    }
}

fn kind(file: &File) -> String {
    serde_json::to_value(file.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default()
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}
