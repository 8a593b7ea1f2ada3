//! `--kubeconfig`, `--namespace` and `--secrets`, for every command that asks a cluster with the caller's own rights.

use super::{output::Output, refusal::Refusal, runtime};
use crate::{
    cluster::kube::{Registered, Submitter},
    config::Config,
    exit::Exit,
    workflow::{JobId, Record},
};
use std::{io, path::PathBuf};

/// Which cluster, and which namespace of it.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ClusterArgs {
    /// The kubeconfig to use, instead of KUBECONFIG or ~/.kube/config
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The namespace of the workflows [default: that of the kubeconfig's context]
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
}

impl ClusterArgs {
    /// Connects.
    ///
    /// # Errors
    /// There are no credentials, or none that can be used.
    pub async fn connect(&self) -> Result<Submitter, Refusal> {
        Ok(Submitter::connect(self.kubeconfig.as_deref(), self.namespace.as_deref()).await?)
    }
}

/// The same, for commands about workflows that are there.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct FindArgs {
    /// Which cluster, and which namespace of it.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Look for workflows among Secrets too, which takes the right to list them
    #[arg(long)]
    pub secrets: bool,
}

impl FindArgs {
    /// What is not given, by the engine's configuration.
    pub fn or(&self, config: &Config) -> Self {
        let mut args = self.clone();
        args.cluster.namespace = args.cluster.namespace.or_else(|| config.engine.jobs_namespace.clone());
        args.secrets |= config.workflows.secrets;
        args
    }

    /// Connects.
    ///
    /// # Errors
    /// There are no credentials, or none that can be used.
    pub async fn connect(&self) -> Result<Submitter, Refusal> {
        Ok(self.cluster.connect().await?.with_secrets(self.secrets))
    }
}

/// The workflow of that name.
///
/// # Errors
/// There is none, or something else has the name.
pub async fn find(cluster: &Submitter, job: &JobId) -> Result<Registered, Refusal> {
    let namespace = cluster.namespace();
    let found = cluster.find(job).await?.ok_or_else(|| {
        let message = format!(
            "there is no workflow {job} in the namespace {namespace}; operator-engine list shows which there are, and one that is a \
             Secret is found with --secrets"
        );
        Refusal::new(Exit::NotFound, message)
    })?;
    if found.label.is_none() {
        let message = format!(
            "the ConfigMap {job} in the namespace {namespace} is no workflow: it has no label operator-engine/state"
        );
        return Err(Refusal::new(Exit::NotFound, message));
    }
    Ok(found)
}

/// What is recorded of a workflow; none if nothing is yet.
///
/// # Errors
/// There is something, and it cannot be read.
pub fn record(found: &Registered) -> Result<Option<Record>, Refusal> {
    let parsed = found.seen.status.as_deref().map(Record::parse).transpose();
    parsed
        .map_err(|error| Refusal::new(Exit::Failure, format!("the record of {} cannot be read: {error}", found.name())))
}

/// Runs a command to its end and says why if it has none.
pub fn run(form: Output, command: impl Future<Output = Result<Exit, Refusal>>) -> Exit {
    let ended = match runtime() {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => Err(Refusal::new(Exit::Failure, error)),
    };
    ended.unwrap_or_else(|refusal| refusal.tell(form, &mut io::stdout().lock(), &mut io::stderr().lock()))
}
