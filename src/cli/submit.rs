//! `submit`: a file becomes a workflow in a cluster.

use super::{
    chain,
    cluster_args::{self, ClusterArgs},
    load,
    output::{self, Output},
    refusal::Refusal,
    wait::{self, Patience},
};
use crate::{
    clock::SystemClock,
    cluster::kube::{Registered, Registration, Submitter},
    config,
    exit::Exit,
    plan::{Failure, kind::Kind},
    workflow::{Document, JobId, State, record::STATE_LABEL, report::clip},
};
use serde_json::json;
use std::{
    io::{self, Write as _},
    path::PathBuf,
    time::Duration,
};

/// Register a workflow in a cluster.
///
/// FILE is a document, the manifest of a ConfigMap or a Secret that holds one, a folder with a workflow.yaml or workflow.json in it, or
/// a minus sign for standard input. A document's inline: urls name files beside it, which go along. It is checked first, as
/// the command check does, and nothing is registered if it would be refused. An engine of the namespace then runs it.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct SubmitArgs {
    /// The workflow
    file: PathBuf,
    /// The workflow's name, by which it is known from then on: its job id [default: the manifest's, else the file's or its
    /// folder's with eight more characters]
    #[arg(long, value_name = "NAME")]
    name: Option<JobId>,
    /// Wait for the workflow's end, telling how far it is, and end with its outcome as the exit code
    #[arg(long)]
    wait: bool,
    /// How long to wait at most, such as 90m [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = config::duration::parse, requires = "wait")]
    timeout: Option<Duration>,
    /// The form of the answer; with json, standard output has one JSON document and nothing else
    #[arg(short, long, value_enum, default_value_t, hide_possible_values = true, value_name = "table|json")]
    output: Output,
    /// Register it as a Secret, for a document that carries tokens; a Secret's manifest is one anyway. The engine must have been
    /// told to take Secrets, and registering takes the right to create them
    #[arg(long)]
    secret: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

const EXAMPLES: &str = "\
Examples:
  operator-engine submit manifests/examples/penguins --name penguins -n operator-engine-jobs
  operator-engine submit private.yaml --secret --name penguins
  operator-engine submit workflow.json --wait --timeout 2h
  kubectl kustomize manifests/examples/penguins | operator-engine submit -

Exit codes:
   0  registered; with --wait: succeeded    1  the cluster does not answer, or does not allow it
   5  there is a workflow of that name       2  wrong usage
  14  refused: the document is unusable
and with --wait:
   6  it has not ended in time               4  it was deleted meanwhile
  10  failed                                11  stopped
  12  its time was up                       13  its results were withheld";

/// Runs the command.
pub fn run(args: &SubmitArgs) -> Exit {
    cluster_args::run(args.output, submit(args))
}

async fn submit(args: &SubmitArgs) -> Result<Exit, Refusal> {
    let registration = registration(args)?;
    let cluster = args.cluster.connect().await?.with_secrets(registration.kind == Kind::Secret);
    let registered = register(&cluster, &registration).await?;
    let (job, namespace) = (&registration.name, cluster.namespace());
    if args.wait {
        writeln!(io::stderr(), "{job} is registered in the namespace {namespace}")?;
        return wait::until_ended(&cluster, job, &Patience::of(args.timeout), args.output).await;
    }
    let flag = if registration.kind == Kind::Secret { " --secrets" } else { "" };
    let out = &mut io::stdout().lock();
    match args.output {
        Output::Json => output::json(out, &json!({"name": job, "namespace": namespace, "state": registered.label}))?,
        Output::Table => writeln!(
            out,
            "{job} is registered in the namespace {namespace}; operator-engine show {job} -n {namespace}{flag} tells how far it is"
        )?,
    }
    Ok(Exit::Success)
}

/// The file as a workflow that an engine would run.
fn registration(args: &SubmitArgs) -> Result<Registration, Refusal> {
    let loaded = load::load(&args.file).map_err(|error| Refusal::new(Exit::WorkflowRefused, chain(&error)))?;
    let document = Document::parse(&loaded.text())
        .map_err(|faults| Refusal::of_faults(&args.file.display().to_string(), faults))?;
    if !document.ignored.is_empty() {
        let unread: Vec<_> = document.unread().collect();
        writeln!(io::stderr(), "warning: not read: {}", clip(&unread.join(", "), 1000))?;
    }
    let mut labels = loaded.labels.clone();
    if let Some(state) = labels.remove(STATE_LABEL).filter(|state| state != State::Pending.as_str()) {
        let message = format!(
            "the manifest's label {STATE_LABEL} is {:?}; a workflow begins as pending: leave the label out, or say that",
            clip(&state, 63)
        );
        return Err(Refusal::new(Exit::WorkflowRefused, message));
    }
    let name = match args.name.clone().or_else(|| loaded.name.clone()) {
        Some(name) => name,
        None => loaded.fresh_job(&SystemClock::new()).map_err(|error| {
            Refusal::new(Exit::Usage, format!("the file's name makes no job id ({error}); give one with --name"))
        })?,
    };
    let kind = if args.secret { Kind::Secret } else { loaded.kind };
    Ok(Registration { kind, name, labels, annotations: loaded.annotations, data: loaded.data })
}

async fn register(cluster: &Submitter, registration: &Registration) -> Result<Registered, Refusal> {
    cluster.register(registration).await.map_err(|failure| match failure {
        Failure::Refused { reason, .. } if reason == "AlreadyExists" => {
            let (job, namespace) = (&registration.name, cluster.namespace());
            let message = format!(
                "there is something called {job} in the namespace {namespace} already; choose another --name, or remove it with \
                 operator-engine delete {job} -n {namespace}"
            );
            Refusal::new(Exit::Exists, message)
        }
        Failure::NotFound => {
            let message = format!("there is no namespace {}; name another one with --namespace", cluster.namespace());
            Refusal::new(Exit::Failure, message)
        }
        other => other.into(),
    })
}
