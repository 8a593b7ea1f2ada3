//! The stages as they move: a live line on a terminal, plain lines elsewhere. Everything goes to standard error.

use super::follow::Follow;
use crate::{
    plan::{
        seen::pod_name,
        view::{RecordSeen, Tracked},
    },
    workflow::{JobId, Outcome, Record, Stage, record::Times},
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::SignedDuration;
use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    path::PathBuf,
    time::Duration,
};

/// A pod's round, stage and attempt.
type Intended = (u32, Stage, u32);

/// Shows one workflow's way.
pub(super) struct Progress {
    job: JobId,
    /// Where each pod's output is: `<pod>.log`.
    pods: PathBuf,
    bar: ProgressBar,
    terminal: bool,
    current: Option<(Intended, Follow)>,
    ended: Vec<(u32, Stage)>,
    /// Whether lines say which of several rounds they are of.
    rounds: bool,
    begun: bool,
}

impl Progress {
    pub(super) fn new(job: &JobId, pods: PathBuf) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let terminal = !bar.is_hidden();
        // No wider than its text: a line as wide as the terminal breaks when the terminal echoes ^C.
        let style = ProgressStyle::with_template("{spinner} {prefix:<9} {elapsed:>4}  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Self { job: job.clone(), pods, bar, terminal, current: None, ended: Vec::new(), rounds: false, begun: false }
    }

    /// What others may speak with meanwhile.
    pub(super) fn voice(&self) -> Voice {
        Voice(self.bar.clone())
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
        let intended = record.phase.stage().map(|stage| (record.round, stage, record.attempt));
        let shown = self.current.as_ref().map(|(intended, _)| *intended);
        if intended == shown {
            return;
        }
        self.rounds = record.has_rounds();
        if let Some(((round, stage, _), follow)) = self.current.take() {
            self.print(round, stage, follow.finish());
        }
        for (round, earlier) in (0..).zip(&record.earlier) {
            self.show_ended(round, &earlier.times, |_| String::new());
        }
        self.show_ended(record.round, &record.times, |stage| outcome_of(stage, record));
        if let Some((round, stage, attempt)) = intended {
            if !std::mem::replace(&mut self.begun, true) {
                let job = &self.job;
                self.say(&format!(
                    "{job}: the algorithm runs with this machine's programs, not in its container image"
                ));
            }
            let again = if attempt > 0 { format!(", attempt {}", attempt + 1) } else { String::new() };
            if !self.terminal {
                self.say(&format!("{} begins{again}", self.label(round, stage)));
            }
            self.bar.set_prefix(self.label(round, stage).trim_end().to_owned());
            self.bar.set_message(again.trim_start_matches(", ").to_owned());
            self.bar.reset_elapsed();
            self.bar.enable_steady_tick(Duration::from_millis(100));
            let log = self.pods.join(format!("{}.log", pod_name(&self.job, round, stage, attempt)));
            self.current = Some(((round, stage, attempt), Follow::new(log)));
        }
    }

    /// The ends of a round's stages that were not shown yet.
    fn show_ended(&mut self, round: u32, all: &BTreeMap<Stage, Times>, outcome: impl Fn(Stage) -> String) {
        for stage in Stage::ALL {
            if let Some(Times { started: Some(started), ended: Some(ended) }) = all.get(&stage)
                && !self.ended.contains(&(round, stage))
            {
                self.ended.push((round, stage));
                let took = seconds(ended.duration_since(*started));
                self.say(&format!("{} ended after {took}{}", self.label(round, stage), outcome(stage)));
            }
        }
    }

    fn label(&self, round: u32, stage: Stage) -> String {
        if self.rounds { format!("[{round}] {stage:<9}") } else { format!("{stage:<9}") }
    }

    fn print_new_lines(&mut self) {
        let Some(((round, stage, _), follow)) = &mut self.current else { return };
        let (round, stage, lines) = (*round, *stage, follow.lines());
        self.print(round, stage, lines);
    }

    fn print(&self, round: u32, stage: Stage, lines: Vec<String>) {
        for line in lines {
            self.say(&format!("{} | {}", self.label(round, stage), tidy(stage, &line)));
        }
    }

    fn say(&self, line: &str) {
        self.voice().say(line);
    }
}

/// Speaks without breaking the live line.
pub(super) struct Voice(ProgressBar);

impl Voice {
    /// Prints a line above the live one.
    pub(super) fn say(&self, line: &str) {
        self.0.suspend(|| {
            let _ = writeln!(io::stderr(), "{line}");
        });
    }

    /// Says it, and in the live line that the stage in hand has been asked to end.
    pub(super) fn stopping(&self, line: &str) {
        self.0.set_message("stopping");
        self.say(line);
    }

    /// Takes the live line away.
    pub(super) fn hush(&self) {
        self.0.finish_and_clear();
    }
}

/// A stage's line as people want to see it. The algorithm's are its own; ours come without time, full digests and what
/// goes without saying, for the log has it all.
fn tidy(stage: Stage, line: &str) -> String {
    if stage == Stage::Algorithm {
        return line.to_owned();
    }
    let is_time = |word: &str| word.ends_with('Z') && word.parse::<jiff::Timestamp>().is_ok();
    let text = line.split_once(' ').filter(|(first, _)| is_time(first)).map_or(line, |(_, rest)| rest);
    let short = |word: &str| match word.trim_end_matches(',') {
        digest if digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            word.replace(digest.get(12..).unwrap_or_default(), "…")
        }
        _ => word.to_owned(),
    };
    let text = text.strip_prefix("configure: ").unwrap_or(text);
    let text = text.strip_suffix(", 0 retries").unwrap_or(text);
    text.split(' ').map(short).collect::<Vec<_>>().join(" ")
}

/// What to add to a stage's end when it was not a good one.
fn outcome_of(stage: Stage, record: &Record) -> String {
    match (stage, record.outcome) {
        (Stage::Algorithm, Some(Outcome::Stopped)) => ", stopped".to_owned(),
        (Stage::Algorithm, Some(Outcome::TimedOut)) => ", its time was up".to_owned(),
        (Stage::Algorithm, _) => match record.exit_code {
            Some(code) if code != 0 => format!(", exit code {code}"),
            _ => String::new(),
        },
        (Stage::Configure, Some(outcome)) if !record.times.contains_key(&Stage::Algorithm) => {
            format!(", {}", outcome.as_str())
        }
        (Stage::Publish, _) if record.results.is_none() => ", nothing is stored".to_owned(),
        _ => String::new(),
    }
}

/// A duration as people say it.
fn seconds(took: SignedDuration) -> String {
    let millis = took.as_millis().max(0);
    match millis {
        0..1000 => format!("{millis} ms"),
        1000..60_000 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        _ => format!("{} min {} s", millis / 60_000, millis % 60_000 / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_lines_come_without_time_and_with_short_digests_and_the_algorithms_as_they_are() {
        let digest = "f204db2c753b0937caac3cb35258562c14f073e4bbc76be24b4c51ce22767a93";
        let line = format!("2026-11-24T11:57:54.447Z input a, sha256 {digest}, 0 retries");
        assert_eq!(tidy(Stage::Configure, &line), "input a, sha256 f204db2c753b…");
        assert_eq!(tidy(Stage::Configure, "2026-11-24T11:57:54Z configure: done"), "done");
        assert_eq!(tidy(Stage::Publish, "5 files  go"), "5 files  go");
        assert_eq!(tidy(Stage::Algorithm, &line), line);
    }

    #[test]
    fn durations_are_as_fine_as_they_are_short() {
        let said = [7, 999, 1250, 61_000].map(|millis| seconds(SignedDuration::from_millis(millis)));
        assert_eq!(said, ["7 ms", "999 ms", "1.2 s", "1 min 1 s"]);
    }
}
