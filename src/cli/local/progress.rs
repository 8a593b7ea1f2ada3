//! The stages as they move: a live line on a terminal, plain lines elsewhere. Everything goes to standard error.

use super::follow::Follow;
use crate::{
    plan::view::{RecordSeen, Tracked},
    workflow::{JobId, Record, Stage, record::Times},
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::SignedDuration;
use std::{path::PathBuf, time::Duration};

/// Shows one workflow's way.
pub(super) struct Progress {
    job: JobId,
    /// Where each pod's output is: `<pod>.log`.
    pods: PathBuf,
    bar: ProgressBar,
    terminal: bool,
    current: Option<(Stage, u32, Follow)>,
    ended: Vec<Stage>,
}

impl Progress {
    pub(super) fn new(job: &JobId, pods: PathBuf) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let terminal = !bar.is_hidden();
        let style = ProgressStyle::with_template("{spinner} {prefix:<9} {elapsed:>4}  {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Self { job: job.clone(), pods, bar, terminal, current: None, ended: Vec::new() }
    }

    /// Says what is about to run.
    pub(super) fn begin(&self) {
        self.say(&format!(
            "job {}: the algorithm runs with this machine's programs, not in its container image",
            self.job
        ));
    }

    /// Shows what has changed.
    pub(super) fn turn(&mut self, tracked: Option<&Tracked>) {
        if let Some(RecordSeen::Some(record)) = tracked.map(|tracked| &tracked.record) {
            self.show(record);
        }
        self.print_new_lines();
    }

    /// Shows the last of it.
    pub(super) fn end(&mut self, record: &Record) {
        self.show(record);
        self.bar.finish_and_clear();
    }

    fn show(&mut self, record: &Record) {
        let intended = record.phase.stage().map(|stage| (stage, record.attempt));
        let shown = self.current.as_ref().map(|(stage, attempt, _)| (*stage, *attempt));
        if intended == shown {
            return;
        }
        self.print_new_lines();
        self.current = None;
        for stage in Stage::ALL {
            if let Some(Times { started: Some(started), ended: Some(ended) }) = record.times.get(&stage)
                && !self.ended.contains(&stage)
            {
                self.ended.push(stage);
                let took = seconds(ended.duration_since(*started));
                self.say(&format!("{stage:<9} ended after {took}{}", outcome_of(stage, record)));
            }
        }
        if let Some((stage, attempt)) = intended {
            let again = if attempt > 0 { format!(", attempt {}", attempt + 1) } else { String::new() };
            if !self.terminal {
                self.say(&format!("{stage:<9} begins{again}"));
            }
            self.bar.set_prefix(stage.to_string());
            self.bar.set_message(again);
            self.bar.reset_elapsed();
            self.bar.enable_steady_tick(Duration::from_millis(100));
            let log = self.pods.join(format!("{}.log", crate::plan::seen::pod_name(&self.job, stage, attempt)));
            self.current = Some((stage, attempt, Follow::new(log)));
        }
    }

    fn print_new_lines(&mut self) {
        let Some((stage, _, follow)) = &mut self.current else { return };
        let (stage, lines) = (*stage, follow.lines());
        for line in lines {
            self.say(&format!("{stage:<9} | {line}"));
        }
    }

    /// Prints a line above the live one.
    fn say(&self, line: &str) {
        self.bar.suspend(|| {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "{line}");
        });
    }
}

/// What to add to a stage's end when it was not a good one.
fn outcome_of(stage: Stage, record: &Record) -> String {
    match (stage, record.exit_code, record.outcome) {
        (Stage::Algorithm, Some(code), _) if code != 0 => format!(", exit code {code}"),
        (Stage::Configure, _, Some(outcome)) if !record.times.contains_key(&Stage::Algorithm) => {
            format!(", {}", outcome.as_str())
        }
        _ => String::new(),
    }
}

/// A duration as people say it.
pub(super) fn seconds(took: SignedDuration) -> String {
    let millis = took.as_millis().max(0);
    match millis {
        0..60_000 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        _ => format!("{} min {} s", millis / 60_000, millis % 60_000 / 1000),
    }
}
