//! `show`: one workflow, told for people, or as its record for programs.

use super::{
    cluster_args::{self, FindArgs, find, record},
    output::{self, Output},
    refusal::Refusal,
};
use crate::{
    clock::{Clock as _, SystemClock},
    cluster::kube::{Registered, Submitter},
    exit::Exit,
    plan::seen::{PodSeen, Progress},
    workflow::{
        JobId, Outcome, Record, Stage,
        record::{Earlier, Results},
        report::clip,
    },
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::io::{self, Write};

/// Show how far a workflow is, how it ended and why, and where its results are.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ShowArgs {
    /// The workflow's name: its job id
    job: JobId,
    /// The form of the answer; with json, standard output has one JSON document and nothing else
    #[arg(short, long, value_enum, default_value_t, hide_possible_values = true, value_name = "table|json")]
    output: Output,
    #[command(flatten)]
    cluster: FindArgs,
}

const EXAMPLES: &str = "\
Examples:
  operator-engine show penguins -n operator-engine-jobs
  operator-engine show penguins -o json | jq .record.outcome

Exit codes: 0 done · 1 the cluster does not answer, or does not allow it · 4 there is no such workflow";

/// The most bytes of one thing that a stranger wrote.
const SHOWN: usize = 1000;

/// Runs the command.
pub fn run(args: &ShowArgs) -> Exit {
    cluster_args::run(args.output, async {
        let cluster = args.cluster.connect().await?;
        let found = find(&cluster, &args.job).await?;
        show(&cluster, &found, args.output).await?;
        Ok(Exit::Success)
    })
}

/// Shows a workflow on standard output.
///
/// # Errors
/// Its record cannot be read, or the answer cannot be written.
pub async fn show(cluster: &Submitter, found: &Registered, form: Output) -> Result<(), Refusal> {
    let record = record(found)?;
    if form == Output::Json {
        return Ok(output::json(&mut io::stdout().lock(), &as_json(cluster.namespace(), found, record.as_ref()))?);
    }
    let is_done = record.as_ref().is_some_and(|record| record.phase.stage().is_none());
    // Pods say what is waited for. Whoever may not look at them sees the rest.
    let pods = if is_done { Vec::new() } else { cluster.pods(found).await.unwrap_or_default() };
    let rows = rows(found, record.as_ref(), &pods, SystemClock::new().now().wall);
    let mut out = io::stdout().lock();
    writeln!(out, "{}: {}", found.name(), headline(found, record.as_ref()))?;
    Ok(output::table(&mut out, &rows)?)
}

fn as_json(namespace: &str, found: &Registered, record: Option<&Record>) -> Value {
    let record = record.map(serde_json::to_value).and_then(Result::ok);
    json!({
        "name": found.name(),
        "kind": found.kind().as_str(),
        "namespace": namespace,
        "state": found.label,
        "created": found.seen.created,
        "deleting": found.seen.deleting,
        "record": record,
    })
}

fn headline(found: &Registered, record: Option<&Record>) -> String {
    let state = clip(found.label.as_deref().unwrap_or_default(), 63);
    if found.seen.deleting {
        return format!("{state}, being deleted");
    }
    let Some(record) = record else { return format!("{state}, not claimed by an engine yet") };
    match (record.outcome, record.phase.stage()) {
        (Some(outcome), None) => format!("{state}, {}", outcome.as_str()),
        (Some(outcome), Some(_)) => format!("{state}, in {}; will end as {}", record.place(), outcome.as_str()),
        (None, Some(_)) => format!("{state}, in {}", record.place()),
        (None, None) => state,
    }
}

fn rows(found: &Registered, record: Option<&Record>, pods: &[PodSeen], now: Timestamp) -> Vec<[String; 2]> {
    let row = |name: &str, text: String| [format!("  {name}"), clip(&text, SHOWN)];
    let created = found.seen.created;
    let mut rows = vec![row("registered", format!("{created}, {} ago", output::age(created, now)))];
    let Some(record) = record else { return rows };
    if let Some(reason) = &record.reason {
        rows.push(row("reason", reason.clone()));
    }
    if let Some(message) = &record.message {
        rows.push(row("message", message.clone()));
    }
    if record.failures > 0 {
        rows.push(row("tried again", format!("{} times, because of the platform", record.failures)));
    }
    for (stage, earlier) in record.earlier.iter().enumerate() {
        let (name, results) = (format!("stages[{stage}]"), earlier.results.as_ref().map(kept));
        rows.push(row(&name, format!("{}; {}", span(earlier), results.unwrap_or_else(|| "no results".to_owned()))));
    }
    if record.has_rounds() {
        let (all, number) = (record.earlier.len() + 1 + record.ahead.len(), record.round);
        rows.push(row(&format!("stages[{number}]"), format!("of {all}")));
    }
    for stage in Stage::ALL {
        let Some(times) = record.times.get(&stage) else { continue };
        let text = match (times.started, times.ended) {
            (Some(started), Some(ended)) => format!("{started}, took {}", took(ended.duration_since(started))),
            (Some(started), None) => format!("{started}, since {}", output::age(started, now)),
            _ => continue,
        };
        rows.push(row(stage.as_str(), text));
    }
    for pod in pods {
        if let Progress::Waiting(waiting) = &pod.progress {
            let what = if waiting.message.is_empty() { "to start" } else { &waiting.message };
            rows.push(row("waits", format!("{}: {what}", pod.name)));
        }
    }
    if let Some(code) = record.exit_code {
        rows.push(row("exit code", code.to_string()));
    }
    if let Some(usage) = &record.usage {
        let memory = usage.peak_memory_bytes.div_ceil(1 << 20);
        let (wall, cpu) = (usage.wall_ms as f64 / 1000.0, usage.cpu_ms as f64 / 1000.0);
        rows.push(row("usage", format!("{wall:.1} s, {cpu:.1} s of CPU time, at most {memory} MiB of memory")));
    }
    if let Some(image) = &record.image_id {
        rows.push(row("image", image.clone()));
    }
    rows.extend(results(record).map(|text| row("results", text)));
    rows
}

/// Where the results are; none where nobody expects any.
fn results(record: &Record) -> Option<String> {
    let Some(results) = &record.results else {
        let expected = record.phase.stage().is_none() && record.outcome != Some(Outcome::Refused);
        return expected.then(|| "none were stored".to_owned());
    };
    Some(kept(results))
}

fn kept(results: &Results) -> String {
    if let Some(deleted) = results.deleted_at {
        return format!("were deleted at {deleted}");
    }
    let until = results.expires_at.map(|at| format!(", until {at}")).unwrap_or_default();
    format!("{} files, {} bytes, in {}{until}", results.files, results.bytes, results.store)
}

/// From the begin of its first pod to the end of its last.
fn span(earlier: &Earlier) -> String {
    let started = earlier.times.values().filter_map(|times| times.started).min();
    let ended = earlier.times.values().filter_map(|times| times.ended).max();
    match started.zip(ended) {
        Some((started, ended)) => format!("{started}, took {}", took(ended.duration_since(started))),
        None => "ended".to_owned(),
    }
}

fn took(took: SignedDuration) -> String {
    match took.as_millis().max(0) {
        millis @ 0..10_000 => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        millis => output::span(SignedDuration::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))),
    }
}
