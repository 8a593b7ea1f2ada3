//! Where a workflow's results are: what its record says, and a store to read them from.

use super::{
    chain,
    cluster_args::{FindArgs, find, record},
    config_args::ConfigArgs,
    refusal::Refusal,
};
use crate::{
    cluster::kube::{Submitter, announce},
    config::{self, Loaded},
    ethereum::Address,
    exit::Exit,
    storage::{Credentials, ResultStore, StorageError, Stored, Target, manifest::Manifest, open_results},
    workflow::{JobId, Record, ResultId, digest::Sha256, record::Results},
};
use bytes::Bytes;
use std::path::Path;

/// The member of the announcement that is the operator's address, as the old engine named it.
const ADDRESS: &str = "consumerAddress";

/// Which of the two places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Outputs and the algorithm's logs.
    Outputs,
    /// The admin's logs.
    Adminlogs,
}

/// Results that can be read.
pub(super) struct Opened {
    pub(super) store: Box<dyn ResultStore>,
    pub(super) stored: Stored,
    /// The recorded digest of the manifest; none without a record.
    pub(super) expected: Option<Sha256>,
    /// The address that the cluster says is the operator's.
    pub(super) announced: Option<Address>,
}

/// In a folder: a store's, or the one of the job in it.
pub(super) fn in_folder(id: &ResultId, folder: &Path) -> Result<Opened, Refusal> {
    let is_job = folder.file_name().is_some_and(|name| name == id.as_str()) && folder.join("manifest.json").exists();
    let root = if is_job { folder.join("..") } else { folder.to_owned() };
    let root = root
        .canonicalize()
        .map_err(|error| Refusal::new(Exit::Failure, format!("cannot read {}: {error}", folder.display())))?;
    open(id, &Target::Directory { path: root }, &Credentials::default(), None)
}

/// In the configured store, by its manifest alone.
pub(super) fn in_store(id: &ResultId, part: Part, config: &ConfigArgs) -> Result<Opened, Refusal> {
    let loaded = config.load()?;
    let (target, credentials) = target(&loaded, part)?;
    open(id, &target, &credentials, None)
}

/// By the record that the cluster has; without a stage's number, the last one's.
pub(super) async fn in_cluster(
    job: &JobId,
    stage: Option<u32>,
    part: Part,
    cluster: &FindArgs,
    config: &ConfigArgs,
) -> Result<Opened, Refusal> {
    let loaded = config.load()?;
    let cluster = cluster.or(&loaded.config).connect().await?;
    let found = find(&cluster, job).await?;
    let record = record(&found)?;
    let mut opened = of_record(job, stage, part, record.as_ref(), &loaded)?;
    opened.announced = announced(&cluster).await;
    Ok(opened)
}

/// As `record` says.
pub(super) fn of_record(
    job: &JobId,
    stage: Option<u32>,
    part: Part,
    record: Option<&Record>,
    loaded: &Loaded,
) -> Result<Opened, Refusal> {
    let (stage, results) = results(job, stage, record)?;
    let (store, root, digest) = match (part, &results.adminlogs) {
        (Part::Outputs, _) | (Part::Adminlogs, None) => (&results.store, &results.root, results.manifest_sha256),
        (Part::Adminlogs, Some(place)) => (&place.store, &place.root, place.manifest_sha256),
    };
    // Admin logs that lie with the outputs are read there.
    let part = if results.adminlogs.is_some() { part } else { Part::Outputs };
    let (target, credentials) = target(loaded, part).map_err(|refusal| Refusal {
        message: format!("the results of {job} are in {store}, and {}", refusal.message),
        ..refusal
    })?;
    let mut opened = open(&ResultId::of(job.clone(), stage), &target, &credentials, root.clone())?;
    if opened.store.name() != store {
        let message = format!(
            "the results of {job} are in {store}, and the configuration here speaks of {}; give the engine's with --config, or a \
             copy of that folder with --from",
            opened.store.name()
        );
        return Err(Refusal::new(Exit::Configuration, message));
    }
    opened.expected = Some(digest);
    Ok(opened)
}

fn results<'a>(job: &JobId, stage: Option<u32>, record: Option<&'a Record>) -> Result<(u32, &'a Results), Refusal> {
    let is_over = |record: &&Record| record.phase.stage().is_none() || stage.is_some_and(|stage| stage < record.round);
    let ended = record.filter(is_over);
    let Some(record) = ended else {
        let message = format!(
            "{job} has not ended yet, and results are stored at the end; operator-engine show {job} tells how far it is"
        );
        return Err(Refusal::new(Exit::NotEnded, message));
    };
    let stage = stage.unwrap_or(record.round);
    let Some((_, results)) = record.all_results().find(|(of, _)| *of == stage) else {
        let outcome = record.outcome.map_or("unknown", |outcome| outcome.as_str());
        let of = if record.has_rounds() { format!(" of stages[{stage}]") } else { String::new() };
        let others: Vec<_> = record.all_results().map(|(stage, _)| format!("--stage {stage}")).collect();
        let others =
            if others.is_empty() { String::new() } else { format!("; there are some with {}", others.join(", ")) };
        let message = format!(
            "{job} has no results{of}; its outcome is {outcome}, and operator-engine show {job} tells why{others}"
        );
        return Err(Refusal::new(Exit::NoResults, message));
    };
    match results.deleted_at {
        Some(at) => Err(Refusal::new(
            Exit::NoResults,
            format!("the results of {job} were deleted at {at}, when their time was up"),
        )),
        None => Ok((stage, results)),
    }
}

fn target(loaded: &Loaded, part: Part) -> Result<(Target, Credentials), Refusal> {
    let Some(targets) = &loaded.config.storage.targets else {
        let message = "nothing here says how to read a store: give the engine's [storage] with --config, and credentials by \
                       environment variables; or a copy of its folder with --from";
        return Err(Refusal::new(Exit::Configuration, message));
    };
    let credentials = config::credentials(&config::environment(), targets)?;
    match (part, &targets.adminlogs) {
        (Part::Adminlogs, Some(target)) => Ok((target.clone(), credentials.adminlogs)),
        _ => Ok((targets.outputs.clone(), credentials.outputs)),
    }
}

fn open(id: &ResultId, target: &Target, credentials: &Credentials, root: Option<String>) -> Result<Opened, Refusal> {
    let store = open_results(target, credentials)?;
    let stored = Stored { job: id.clone(), root };
    Ok(Opened { store, stored, expected: None, announced: None })
}

/// Whoever may read the ConfigMap is told; without it nothing is announced.
async fn announced(cluster: &Submitter) -> Option<Address> {
    let texts = cluster.texts(announce::NAME).await.ok()??;
    let announcement: serde_json::Value = serde_json::from_str(texts.get(announce::KEY)?).ok()?;
    announcement.get(ADDRESS)?.as_str()?.parse().ok()
}

impl Opened {
    /// The manifest and its bytes, which are the recorded ones if there is a record.
    pub(super) async fn manifest(&self) -> Result<(Manifest, Bytes), Refusal> {
        let (job, store) = (&self.stored.job, self.store.name());
        let bytes = self.store.manifest(&self.stored).await?;
        let bytes = bytes.ok_or_else(|| {
            let message = format!("{store} has no manifest of {job}, so it has no results of it");
            Refusal::new(Exit::NoResults, message)
        })?;
        let differs =
            |what: &str| Refusal::new(Exit::ResultsDiffer, format!("the manifest of {job} in {store} {what}"));
        if self.expected.is_some_and(|expected| expected != Sha256::of(&bytes)) {
            return Err(differs("is not the one that the record names; do not use it"));
        }
        let manifest = Manifest::parse(&bytes).ok_or_else(|| differs("is of no version that is known here"))?;
        if manifest.facts.result() != *job {
            return Err(differs(&format!("is of another workflow, {}", manifest.facts.result())));
        }
        Ok((manifest, bytes))
    }
}

impl From<StorageError> for Refusal {
    fn from(error: StorageError) -> Self {
        Self::new(Exit::Failure, chain(&error))
    }
}
