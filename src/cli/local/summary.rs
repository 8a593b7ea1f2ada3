//! How it ended and where the results lie.

use crate::{
    cli::{
        output::{self, Output},
        refusal::with_paths,
    },
    exit::Exit,
    storage::{
        keys::Keys,
        manifest::{File, Kind, Manifest, Refused},
    },
    workflow::{JobId, Outcome, Record, ResultId, digest::Sha256, document::Fault, record::Usage, report::clip},
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
    /// As of every refusal: why, and the exit code.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit: Option<u8>,
    /// All faults of a refused document.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "with_paths")]
    faults: Vec<Fault>,
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
    /// Where the results of the stages before are, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<PathBuf>,
    /// The work folder, if it was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    work: Option<PathBuf>,
}

impl Summary {
    /// What `record` says, and what the manifest it names in `out` says. A manifest that is not the recorded one is none.
    pub(super) fn of(job: &JobId, record: &Record, out: &Path) -> Self {
        let stored = record.results.as_ref().and_then(|results| {
            let path = out.join(&results.manifest);
            let bytes = fs::read(&path).ok()?;
            let same = Sha256::of(&bytes) == results.manifest_sha256;
            Some((path, Manifest::parse(&bytes).filter(|_| same)?))
        });
        let (manifest, files, refused) = match stored {
            Some((path, manifest)) => (Some(path), manifest.files, manifest.refused),
            None => (None, Vec::new(), Vec::new()),
        };
        let earlier = record.all_results().map(|(stage, _)| stage).filter(|stage| *stage < record.round);
        let earlier = earlier.map(|stage| folder(job, stage, out)).collect();
        Self {
            job: job.clone(),
            outcome: record.outcome,
            code: record.code.number(),
            text: record.text.clone(),
            reason: record.reason.clone(),
            message: record.message.clone(),
            error: None,
            exit: None,
            faults: Vec::new(),
            exit_code: record.exit_code,
            usage: record.usage.clone(),
            directory: manifest.as_ref().map(|_| folder(job, record.round, out)),
            manifest,
            files,
            refused,
            earlier,
            work: None,
        }
    }

    /// Adds everything that is wrong with the document.
    pub(super) fn faults(&mut self, faults: Vec<Fault>) {
        self.error.clone_from(&self.message);
        self.exit = Some(Exit::WorkflowRefused as u8);
        self.faults = faults;
    }

    /// Adds that the work folder stays.
    pub(super) fn kept(&mut self, work: &Path) {
        self.work = Some(work.to_owned());
    }

    pub(super) fn write(&self, form: Output, out: &mut dyn Write) -> io::Result<()> {
        match form {
            Output::Json => output::json(out, self),
            Output::Table => self.table(out),
        }
    }

    fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out)?;
        self.ending(out)?;
        match &self.directory {
            Some(directory) => {
                writeln!(out, "\nresults in {}", directory.display())?;
                self.listing(out)?;
            }
            // Nobody expects results of a document that was refused.
            None if self.outcome == Some(Outcome::Refused) => {}
            None => writeln!(out, "\nnothing was stored")?,
        }
        for (stage, folder) in self.earlier.iter().enumerate() {
            writeln!(out, "\nresults of stages[{stage}] in {}", folder.display())?;
        }
        if !self.refused.is_empty() {
            writeln!(out, "\nfound and not stored")?;
            let rows: Vec<_> =
                self.refused.iter().map(|refused| [format!("  {}", refused.path), refused.reason.clone()]).collect();
            shortened(out, &rows)?;
        }
        if let Some(work) = &self.work {
            writeln!(out, "\nwork folder kept in {}", work.display())?;
        }
        Ok(())
    }

    /// How it ended, and why.
    fn ending(&self, out: &mut dyn Write) -> io::Result<()> {
        let outcome = self.outcome.map_or("unknown", Outcome::as_str);
        let reason = self.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        writeln!(out, "{}: {outcome}{reason}", self.job)?;
        if let Some(message) = self.message.as_ref().filter(|_| self.faults.is_empty()) {
            writeln!(out, "  {message}")?;
        }
        for fault in &self.faults {
            writeln!(out, "  {}", clip(&fault.to_string(), SHOWN))?;
        }
        if let Some(usage) = &self.usage {
            let (wall, cpu) = (usage.wall_ms as f64 / 1000.0, usage.cpu_ms as f64 / 1000.0);
            let memory = usage.peak_memory_bytes.div_ceil(1 << 20);
            writeln!(
                out,
                "  the algorithm ran for {wall:.1} s, with {cpu:.1} s of CPU time and at most {memory} MiB of memory"
            )?;
        }
        Ok(())
    }

    fn listing(&self, out: &mut dyn Write) -> io::Result<()> {
        let (outputs, logs): (Vec<&File>, Vec<&File>) = self.files.iter().partition(|file| file.kind == Kind::Output);
        let more = outputs.len().saturating_sub(MOST);
        let mut rows: Vec<_> = outputs.iter().take(MOST).copied().map(row).collect();
        if more > 0 {
            rows.push([format!("  … and {more} more files"), String::new(), String::new()]);
        }
        rows.extend(logs.into_iter().map(row));
        rows.push([
            "  manifest.json".to_owned(),
            String::new(),
            "  all of them with SHA-256, and how it went".to_owned(),
        ]);
        let width = rows.iter().map(|[_, size, _]| size.len()).max().unwrap_or_default();
        let rows: Vec<_> = rows.into_iter().map(|[path, size, what]| [path, format!("{size:>width$}{what}")]).collect();
        output::table(out, &rows)
    }
}

/// Where a stage's results lie.
fn folder(job: &JobId, stage: u32, out: &Path) -> PathBuf {
    out.join(Keys(&ResultId::of(job.clone(), stage)).prefix().as_ref())
}

/// The most outputs, or refused files, that are listed one by one.
const MOST: usize = 30;
/// The most bytes of one thing that a stranger wrote.
const SHOWN: usize = 500;

fn row(file: &File) -> [String; 3] {
    let what = match file.kind {
        Kind::Output => "",
        Kind::AlgorithmLog => "  what the algorithm printed",
        Kind::ConfigurationLog => "  where inputs and algorithm came from",
        Kind::FilteringLog => "  what the filter printed",
        Kind::PublishLog => "  what was stored, and what was not",
    };
    [format!("  data/{}", clip(&file.path, SHOWN)), size(file.size), what.to_owned()]
}

fn shortened<const N: usize>(out: &mut dyn Write, rows: &[[String; N]]) -> io::Result<()> {
    output::table(out, rows.get(..MOST).unwrap_or(rows))?;
    match rows.len().saturating_sub(MOST) {
        0 => Ok(()),
        more => writeln!(out, "  … and {more} more, named in manifest.json"),
    }
}

/// Bytes as people say them, in powers of ten.
fn size(bytes: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{} kB", tenths(1000)),
        1_000_000..1_000_000_000 => format!("{} MB", tenths(1_000_000)),
        _ => format!("{} GB", tenths(1_000_000_000)),
    }
}
