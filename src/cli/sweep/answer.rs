//! How a sweep is shown: while it lasts, on a terminal; and what came of it.

use crate::{
    cli::output::{self, Output},
    sweep::{
        Report,
        relink::RelinkReport,
        report::{Fate, Line},
    },
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, Write};

/// A line that moves, where there is a terminal for it.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{spinner} {pos} of {len} workflows  {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Self(bar)
    }

    pub(super) fn show(&self, done: usize, all: usize) {
        self.0.set_length(all as u64);
        self.0.set_position(done as u64);
    }

    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}

/// Writes what came of a sweep.
pub(super) fn swept(report: &Report, form: Output, out: &mut dyn Write) -> io::Result<()> {
    if form == Output::Json {
        return output::json(out, report);
    }
    if !report.lines.is_empty() {
        let mut rows = vec![["WORKFLOW", "STORE", "WHAT"].map(str::to_owned)];
        rows.extend(report.lines.iter().map(|line| row(line, report.dry_run)));
        output::table(out, &rows)?;
    }
    if report.more_lines > 0 {
        writeln!(out, "… and {} more", report.more_lines)?;
    }
    for failed in &report.stores_failed {
        writeln!(out, "{} could not be looked through: {}", failed.store, failed.error)?;
    }
    if let Some(distrust) = &report.distrust {
        return writeln!(out, "nothing was looked at: {distrust}");
    }
    let skipped: u64 = report.skipped.values().sum();
    let deleted = if report.dry_run { "would be deleted" } else { "deleted" };
    writeln!(
        out,
        "{} past their time: {} {deleted} ({} bytes), {} gone already, {} failed; {skipped} left alone, {} not due; \
         {} records {deleted}",
        report.found,
        report.deleted,
        report.bytes,
        report.already_gone,
        report.failed,
        report.kept,
        report.records_deleted
    )?;
    if report.complete { Ok(()) } else { writeln!(out, "It was broken off; what is left goes with the next run.") }
}

fn row(line: &Line, dry_run: bool) -> [String; 3] {
    let what = match &line.fate {
        Fate::Deleted { .. } if dry_run => "would be deleted".to_owned(),
        Fate::Deleted { objects, bytes } => format!("deleted: {objects} objects, {bytes} bytes"),
        Fate::AlreadyGone => "gone already".to_owned(),
        Fate::Skipped { reason } => format!("left: {reason}"),
        Fate::Failed { error } => format!("failed: {error}"),
        Fate::RecordDeleted if dry_run => "its ConfigMap would be deleted".to_owned(),
        Fate::RecordDeleted => "its ConfigMap was deleted".to_owned(),
        Fate::Kept => "not due".to_owned(),
    };
    [line.job.clone(), if line.store.is_empty() { "-".to_owned() } else { line.store.clone() }, what]
}

/// Writes what was entered again.
pub(super) fn relinked(report: &RelinkReport, form: Output, out: &mut dyn Write) -> io::Result<()> {
    if form == Output::Json {
        return output::json(out, report);
    }
    for job in &report.lost {
        writeln!(out, "{job}: not all of it is there any more")?;
    }
    for job in &report.other {
        writeln!(out, "{job}: something else has its name, or it is not what its record says; left alone")?;
    }
    for failure in &report.failures {
        writeln!(out, "failed: {failure}")?;
    }
    let RelinkReport { found, entered, present, .. } = report;
    writeln!(out, "{found} recorded: {entered} entered again, {present} entered already, {} lost", report.lost.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::decide::Reason;
    use std::collections::BTreeMap;

    #[test]
    fn a_report_is_a_table_and_a_sentence_or_json() {
        let line = |job: &str, fate| Line { job: job.to_owned(), store: "s3://out".to_owned(), fate };
        let report = Report {
            at: "2026-03-01T10:17:00Z".parse().unwrap(),
            dry_run: false,
            found: 3,
            deleted: 1,
            already_gone: 0,
            failed: 1,
            objects: 4,
            bytes: 400,
            skipped: BTreeMap::from([(Reason::Unconfirmed, 1)]),
            kept: 7,
            records_deleted: 0,
            stores_failed: Vec::new(),
            distrust: None,
            complete: true,
            lines: vec![
                line("a", Fate::Deleted { objects: 4, bytes: 400 }),
                line("b", Fate::Skipped { reason: Reason::Unconfirmed }),
                line("c", Fate::Failed { error: "denied".to_owned() }),
            ],
            more_lines: 0,
        };
        let mut text = Vec::new();
        swept(&report, Output::Table, &mut text).unwrap();
        let expected = "\
WORKFLOW  STORE     WHAT
a         s3://out  deleted: 4 objects, 400 bytes
b         s3://out  left: its time is up; it goes when a later run, expiry.confirm_after from now at the earliest, finds the same
c         s3://out  failed: denied
3 past their time: 1 deleted (400 bytes), 0 gone already, 1 failed; 1 left alone, 7 not due; 0 records deleted
";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
        let mut json = Vec::new();
        swept(&report, Output::Json, &mut json).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!((&json["deleted"], &json["skipped"]["unconfirmed"]), (&1.into(), &1.into()));
        let first = serde_json::json!({"job": "a", "store": "s3://out", "fate": "deleted", "objects": 4, "bytes": 400});
        assert_eq!(json["lines"][0], first);
        assert_eq!(json["lines"][1]["reason"], "unconfirmed");
    }
}
