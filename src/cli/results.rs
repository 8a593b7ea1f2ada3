//! `results`: what a workflow has stored: listed, linked, downloaded, or checked to the last byte.

mod progress;

use super::{
    chain,
    cluster_args::{self, FindArgs},
    config_args::ConfigArgs,
    output::{self, Output},
    refusal::Refusal,
    stored::{self, Opened, Part},
};
use crate::{
    config,
    ethereum::Address,
    exit::Exit,
    storage::{
        Keys,
        download::{DownloadError, download},
        manifest::{File, Manifest},
        verify::{self, Check, Expected, Verdict},
    },
    workflow::{JobId, ResultId, report::clip},
};
use progress::Progress;
use serde_json::{Value, json};
use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// Show, download or verify what a workflow has stored.
///
/// The record in the cluster says where the results are; how to read that store, the engine's configuration says
/// (--config, and the variables with credentials). Without a cluster they are read from a folder (--from), such as a download
/// or a copy of the engine's folder, or from the configured store by the manifest alone (--manifest).
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ResultsArgs {
    /// The workflow's name: its job id
    job: JobId,
    /// Those of this one of the document's stages, counted from 0 [default: the last, as the record says; without it, the first]
    #[arg(long, value_name = "N")]
    stage: Option<u32>,
    /// Download everything into a folder of the workflow's name in DIR, checking each file
    #[arg(long, value_name = "DIR", group = "what")]
    to: Option<PathBuf>,
    /// A URL for each file, that anyone may read it by for a while
    #[arg(long, group = "what")]
    links: bool,
    /// How long the URLs are valid, such as 15m; S3 allows 7d at most
    #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = config::duration::parse, requires = "links")]
    valid_for: Duration,
    /// Check everything: the manifest by the record, its signature, each file's size and SHA-256, and that there is nothing else
    #[arg(long, group = "what")]
    verify: bool,
    /// The array of the old engine: filename, filesize, url and type of each file
    #[arg(long, group = "what")]
    array: bool,
    /// The address whose signature is expected [default: what the engine announces in the cluster]
    #[arg(long, value_name = "ADDRESS", requires = "verify")]
    signer: Option<Address>,
    /// The admin's logs instead, where they are kept apart
    #[arg(long)]
    adminlogs: bool,
    /// Ask no cluster: the results lie in this folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["manifest", "adminlogs"])]
    from: Option<PathBuf>,
    /// Ask no cluster: go by the manifest in the configured store
    #[arg(long)]
    manifest: bool,
    /// The form of the answer; with json, standard output has one JSON document and nothing else
    #[arg(short, long, value_enum, default_value_t, hide_possible_values = true, value_name = "table|json")]
    output: Output,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    cluster: FindArgs,
}

const EXAMPLES: &str = "\
Examples:
  operator-engine results penguins --config site.toml
  operator-engine results penguins --config site.toml --to downloads
  operator-engine results penguins --from downloads --verify --signer 0x19E7…
  operator-engine results penguins --config site.toml --links --for 15m -o json

Exit codes:
  0  done; with --verify: nothing is wrong        1  cluster, store or disk failed
  3  the configuration cannot be used             4  there is no such workflow
  6  the workflow has not ended yet               7  it has no results, or they were deleted
  8  the results are not what manifest, record or signature say; --verify tells what is wrong";

/// The most bytes of one thing that a stranger wrote.
const SHOWN: usize = 500;

/// Runs the command.
pub fn run(args: &ResultsArgs) -> Exit {
    cluster_args::run(args.output, results(args))
}

async fn results(args: &ResultsArgs) -> Result<Exit, Refusal> {
    let part = if args.adminlogs { Part::Adminlogs } else { Part::Outputs };
    let id = ResultId::of(args.job.clone(), args.stage.unwrap_or_default());
    let opened = match &args.from {
        Some(folder) => stored::in_folder(&id, folder)?,
        None if args.manifest => stored::in_store(&id, part, &args.config)?,
        None => stored::in_cluster(&args.job, args.stage, part, &args.cluster, &args.config).await?,
    };
    if args.verify {
        return verified(args, &opened).await;
    }
    let (manifest, bytes) = opened.manifest().await?;
    match &args.to {
        Some(folder) => downloaded(args, &opened, (&manifest, &bytes), folder).await?,
        None if args.links => links(args, &opened, &manifest).await?,
        None if args.array => array(&opened, &manifest).await?,
        None => list(args, &opened, &manifest)?,
    }
    Ok(Exit::Success)
}

/// The answer of `-o json`: the manifest, and where it lies.
#[derive(serde::Serialize)]
struct Listed<'a> {
    store: &'a str,
    root: Option<&'a str>,
    #[serde(flatten)]
    manifest: &'a Manifest,
}

fn list(args: &ResultsArgs, opened: &Opened, manifest: &Manifest) -> io::Result<()> {
    let (out, store) = (&mut io::stdout().lock(), opened.store.name());
    if args.output == Output::Json {
        return output::json(out, &Listed { store, root: opened.stored.root.as_deref(), manifest });
    }
    let facts = &manifest.facts;
    let bytes: u64 = manifest.files.iter().map(|file| file.size).sum();
    let until = facts.expires_at.map(|at| format!(", until {at}")).unwrap_or_default();
    let partial = if manifest.partial { "; they may be incomplete" } else { "" };
    writeln!(out, "{}: {}{partial}", opened.stored.job, facts.outcome.as_str())?;
    writeln!(out, "{} files, {bytes} bytes, in {store}{until}\n", manifest.files.len())?;
    let mut rows = vec![["PATH", "BYTES", "SHA-256"].map(str::to_owned)];
    rows.extend(manifest.files.iter().map(|file| {
        let digest = file.sha256.to_string().chars().take(12).collect::<String>();
        [clip(&file.path, SHOWN), file.size.to_string(), format!("{digest}…")]
    }));
    output::table(out, &rows)?;
    for refused in &manifest.refused {
        writeln!(out, "not stored: {}: {}", clip(&refused.path, SHOWN), clip(&refused.reason, SHOWN))?;
    }
    Ok(())
}

async fn downloaded(
    args: &ResultsArgs,
    opened: &Opened,
    (manifest, bytes): (&Manifest, &[u8]),
    folder: &Path,
) -> Result<(), Refusal> {
    let total = manifest.files.iter().map(|file| file.size).sum();
    let progress = Progress::of(total);
    let watch = |bytes| progress.add(bytes);
    let coming = download(&*opened.store, &opened.stored, (manifest, bytes), folder, &watch);
    let target = progress.beside(coming).await?;
    let out = &mut io::stdout().lock();
    match args.output {
        Output::Json => {
            let files: Vec<&str> = manifest.files.iter().map(|file| file.path.as_str()).collect();
            output::json(out, &json!({"job": args.job, "directory": target, "files": files, "bytes": total}))?;
        }
        Output::Table => writeln!(out, "{} files, {total} bytes, in {}", manifest.files.len(), target.display())?,
    }
    Ok(())
}

async fn links(args: &ResultsArgs, opened: &Opened, manifest: &Manifest) -> Result<(), Refusal> {
    let mut links = Vec::with_capacity(manifest.files.len());
    for file in &manifest.files {
        verify::place(&opened.stored.job, file).map_err(|why| differs(file, &why))?;
        let link = opened.store.link(&opened.stored, &file.key, args.valid_for).await?;
        let link = link.ok_or_else(|| {
            let message = format!("{} has no URLs to give; download the results with --to", opened.store.name());
            Refusal::new(Exit::Failure, message)
        })?;
        links.push((file, link));
    }
    let out = &mut io::stdout().lock();
    if args.output == Output::Json {
        let link = |(file, url): &(&File, String)| json!({"path": file.path, "size": file.size, "sha256": file.sha256, "url": url});
        return Ok(output::json(out, &links.iter().map(link).collect::<Vec<_>>())?);
    }
    let rows: Vec<_> = links.into_iter().map(|(file, url)| [clip(&file.path, SHOWN), url]).collect();
    Ok(output::table(out, &rows)?)
}

/// The array as it is stored, with the URLs of the whole where the store has such: nothing that is stored can hold its own root.
async fn array(opened: &Opened, manifest: &Manifest) -> Result<(), Refusal> {
    let (store, stored) = (&opened.store, &opened.stored);
    let key = Keys(&stored.job).results();
    let wrong = || {
        Refusal::new(Exit::ResultsDiffer, format!("the old engine's array of {} does not fit its manifest", stored.job))
    };
    let bytes = verify::small(&**store, stored, key.as_ref(), &|_| {}).await?.ok_or_else(wrong)?;
    let mut entries: Vec<serde_json::Map<String, Value>> = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
    if entries.len() != manifest.files.len() {
        return Err(wrong());
    }
    if stored.root.is_some() {
        for (entry, file) in entries.iter_mut().zip(&manifest.files) {
            let link = store.link(stored, &file.key, Duration::from_secs(3600)).await?;
            if let (Some(url), Some(link)) = (entry.get_mut("url"), link) {
                *url = link.into();
            }
        }
    }
    let out = &mut io::stdout().lock();
    serde_json::to_writer(&mut *out, &entries).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

async fn verified(args: &ResultsArgs, opened: &Opened) -> Result<Exit, Refusal> {
    let expected = Expected { manifest: opened.expected, signer: args.signer.or(opened.announced) };
    let progress = Progress::of(0);
    let watch = |bytes| progress.add(bytes);
    let checking = verify::verify(&*opened.store, &opened.stored, &expected, &watch);
    let checks = progress.beside(checking).await.map_err(|error| match error {
        crate::storage::StorageError::Missing { .. } => Refusal::new(Exit::NoResults, chain(&error)),
        error => error.into(),
    })?;
    let failed = checks.iter().any(|check| check.verdict == Verdict::Failed);
    let exit = if failed { Exit::ResultsDiffer } else { Exit::Success };
    let out = &mut io::stdout().lock();
    if args.output == Output::Json {
        let answer = json!({"job": args.job, "store": opened.store.name(), "verified": !failed, "exit": exit as u8, "checks": checks});
        output::json(out, &answer)?;
        return Ok(exit);
    }
    let rows: Vec<_> = checks.iter().flat_map(rows).collect();
    output::table(out, &rows)?;
    let verdict = if failed { "these results are not what they should be" } else { "nothing is wrong" };
    writeln!(out, "{}: {verdict}", opened.stored.job)?;
    Ok(exit)
}

fn rows(check: &Check) -> Vec<[String; 3]> {
    let verdict = match check.verdict {
        Verdict::Passed => "ok",
        Verdict::Failed => "WRONG",
        Verdict::Unchecked => "not checked",
    };
    check.notes.iter().map(|note| [check.name.to_owned(), verdict.to_owned(), clip(note, SHOWN)]).collect()
}

fn differs(file: &File, why: &str) -> Refusal {
    Refusal::new(Exit::ResultsDiffer, format!("{:?}: {why}", file.path))
}

impl From<DownloadError> for Refusal {
    fn from(error: DownloadError) -> Self {
        let exit = match error {
            DownloadError::Exists(_) => Exit::Exists,
            DownloadError::Differs { .. } => Exit::ResultsDiffer,
            DownloadError::Disk { .. } | DownloadError::Storage(_) => Exit::Failure,
        };
        Self::new(exit, chain(&error))
    }
}
