//! `list`: the workflows of a namespace.

use super::{
    cluster_args::{self, FindArgs},
    output::{self, Output},
    refusal::Refusal,
};
use crate::{
    clock::{Clock as _, SystemClock},
    cluster::kube::Registered,
    exit::Exit,
    plan::{Failure, kind::Kind},
    workflow::{Outcome, Phase, Record, report::clip},
};
use jiff::Timestamp;
use serde::Serialize;
use std::io::{self, Write as _};

/// List the workflows of a namespace.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ListArgs {
    /// The form of the answer; with json, standard output has one JSON document and nothing else
    #[arg(short, long, value_enum, default_value_t, hide_possible_values = true, value_name = "table|json")]
    output: Output,
    #[command(flatten)]
    cluster: FindArgs,
}

const EXAMPLES: &str = "\
Examples:
  operator-engine list -n operator-engine-jobs
  operator-engine list -o json | jq -r '.[] | select(.outcome == \"failed\") | .name'

Exit codes: 0 done · 1 the cluster does not answer, or does not allow it";

/// A workflow on one line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    name: String,
    kind: &'static str,
    /// The label, whatever its value.
    state: String,
    phase: Option<Phase>,
    /// Which of the document's stages is in hand, if it has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<u32>,
    outcome: Option<Outcome>,
    reason: Option<String>,
    /// The old engine's status code.
    code: Option<u16>,
    created: Timestamp,
    expires_at: Option<Timestamp>,
}

impl Line {
    /// What is to say of a workflow. A record that cannot be read says nothing.
    pub fn of(found: &Registered) -> Self {
        let record = found.seen.status.as_deref().map(Record::parse);
        let reason = match &record {
            Some(Ok(record)) => record.reason.clone(),
            Some(Err(_)) => Some("RecordUnreadable".to_owned()),
            None => None,
        };
        let record = record.and_then(Result::ok);
        Self {
            name: found.name().to_owned(),
            kind: found.kind().as_str(),
            state: found.label.clone().unwrap_or_default(),
            phase: record.as_ref().map(|record| record.phase),
            stage: record.as_ref().filter(|record| record.has_rounds()).map(|record| record.round),
            outcome: record.as_ref().and_then(|record| record.outcome),
            reason,
            code: record.as_ref().map(|record| record.code.number()),
            created: found.seen.created,
            expires_at: record.and_then(|record| record.results?.expires_at),
        }
    }

    fn row(&self, now: Timestamp) -> [String; 6] {
        let phase = self.phase.map(|phase| match (self.stage, phase.stage()) {
            (Some(number), Some(stage)) => format!("{number}:{stage}"),
            _ => phase.as_str().to_owned(),
        });
        let outcome = self.outcome.map(|outcome| outcome.as_str().to_owned());
        let cell =
            |text: Option<String>| clip(&text.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned()), 64);
        let age = output::age(self.created, now);
        [Some(self.name.clone()), Some(self.state.clone()), phase, outcome, Some(age), self.reason.clone()].map(cell)
    }
}

/// Runs the command.
pub fn run(args: &ListArgs) -> Exit {
    cluster_args::run(args.output, list(args))
}

async fn list(args: &ListArgs) -> Result<Exit, Refusal> {
    let cluster = args.cluster.connect().await?;
    let mut found = cluster.list(Kind::ConfigMap).await?;
    if args.cluster.secrets {
        match cluster.list(Kind::Secret).await {
            Ok(secrets) => found.extend(secrets),
            // The others are still worth seeing.
            Err(failure @ Failure::Denied { .. }) => {
                writeln!(io::stderr(), "warning: workflows that are Secrets are not shown: {failure}")?;
            }
            Err(failure) => return Err(failure.into()),
        }
    }
    let lines: Vec<Line> = found.iter().map(Line::of).collect();
    let out = &mut io::stdout().lock();
    if args.output == Output::Json {
        output::json(out, &lines)?;
        return Ok(Exit::Success);
    }
    if lines.is_empty() {
        writeln!(io::stderr(), "no workflows in the namespace {}", cluster.namespace())?;
        return Ok(Exit::Success);
    }
    let now = SystemClock::new().now().wall;
    if args.cluster.secrets {
        let mut rows = vec![["NAME", "KIND", "STATE", "PHASE", "OUTCOME", "AGE", "REASON"].map(str::to_owned)];
        rows.extend(lines.iter().map(|line| {
            let [name, rest @ ..] = line.row(now);
            let [state, phase, outcome, age, reason] = rest;
            [name, line.kind.to_owned(), state, phase, outcome, age, reason]
        }));
        output::table(out, &rows)?;
        return Ok(Exit::Success);
    }
    let mut rows = vec![["NAME", "STATE", "PHASE", "OUTCOME", "AGE", "REASON"].map(str::to_owned)];
    rows.extend(lines.iter().map(|line| line.row(now)));
    output::table(out, &rows)?;
    Ok(Exit::Success)
}
