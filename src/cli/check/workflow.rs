//! What `check` says of a workflow: what was understood, or every fault.
//!
//! URLs are shown without their queries and credentials; user data, custom data, the secret and order transactions are not
//! shown at all. Control characters of what strangers wrote are replaced in the table.

use crate::{
    cli::{
        output::{self, Output},
        refusal::Refusal,
    },
    config::{Config, Fetch, duration, redacted},
    workflow::{
        document::{AlgorithmSource, Document, Fault, FileRef, Input, Source, meant},
        report::clip,
    },
};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Duration,
};

/// The most bytes of one thing a stranger wrote.
const SHOWN: usize = 500;

/// Writes what the engine would run.
pub(super) fn understood(
    document: &Document,
    warnings: &[String],
    config: &Config,
    output: Output,
    out: &mut dyn Write,
) -> io::Result<()> {
    if output == Output::Json {
        let notes = document.notes.iter().map(Fault::to_string).collect::<Vec<_>>();
        let meant = document.ignored.iter().filter_map(|path| Some((path, meant(path)?))).collect::<BTreeMap<_, _>>();
        let mut answer = Map::new();
        let whole = json!({"ignored": document.ignored, "didYouMean": meant, "warnings": warnings, "notes": notes});
        for part in [json!({"document": document.sha256}), stage_json(document, config), whole] {
            answer.extend(part.as_object().cloned().unwrap_or_default());
        }
        if !document.later.is_empty() {
            let later = document.later.iter().map(|stage| stage_json(stage, config));
            answer.insert("later".to_owned(), later.collect());
        }
        return output::json(out, &answer);
    }
    let mut rows = vec![row("document", document.sha256.to_string())];
    for (number, stage) in document.stages().enumerate() {
        if !document.later.is_empty() {
            rows.push([format!("stages[{number}]"), String::new()]);
        }
        rows.extend(stage_rows(stage, config));
    }
    rows.extend(document.notes.iter().map(|note| row("note", note.to_string())));
    rows.extend(document.unread().map(|path| row("not read", path)));
    output::table(out, &rows)
}

/// How long a stage may run, and how long its results are kept; none: for ever.
fn times(stage: &Document, config: &Config) -> (Duration, Option<Duration>) {
    let most = config.limits.max_job_duration;
    let limit = stage.max_time.map_or(most, |asked| asked.min(most));
    (limit, [config.storage.expiry, stage.storage_expiry].into_iter().flatten().min())
}

fn stage_json(stage: &Document, config: &Config) -> Value {
    let (algorithm, fetch, (limit, kept)) = (&stage.algorithm, &config.fetch, times(stage, config));
    let input = |input: &Input| json!({"folder": input.id.as_str(), "did": input.did, "from": from(&input.source, stage, fetch)});
    json!({
        "inputs": stage.inputs.iter().map(input).collect::<Vec<_>>(),
        "algorithm": {"did": algorithm.did, "from": algorithm_from(stage, fetch)},
        "image": algorithm.container.reference(),
        "entrypoint": algorithm.container.entrypoint,
        "maxTimeSeconds": limit.as_secs_f64(),
        "keptSeconds": kept.map(|kept| kept.as_secs()),
    })
}

fn stage_rows(stage: &Document, config: &Config) -> Vec<[String; 2]> {
    let (fetch, (limit, kept), mut rows) = (&config.fetch, times(stage, config), Vec::new());
    for input in &stage.inputs {
        let files = from(&input.source, stage, fetch);
        if let Source::Earlier(_) = input.source {
            rows.extend(files.into_iter().map(|files| row("input", format!("{}/  {files}", input.id))));
            continue;
        }
        rows.extend(files.into_iter().enumerate().map(|(n, file)| row("input", format!("{}/{n}  {file}", input.id))));
    }
    let files = algorithm_from(stage, fetch);
    rows.extend(files.into_iter().map(|file| row("algorithm", file)));
    rows.push(row("image", stage.algorithm.container.reference()));
    rows.push(row("entrypoint", stage.algorithm.container.entrypoint.clone()));
    rows.push(row(
        "may run for",
        match stage.max_time {
            Some(asked) if asked > limit => {
                format!(
                    "{} in a cluster (limits.max_job_duration; it asks for {})",
                    duration::text(limit),
                    duration::text(asked)
                )
            }
            _ => duration::text(limit),
        },
    ));
    let kept = kept.map_or_else(|| "ever".to_owned(), duration::text);
    rows.push(row("results kept for", kept));
    rows
}

/// Writes every fault, with its path.
pub(super) fn faults(refusal: &Refusal, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}:", refusal.message)?;
    refusal.faults.iter().try_for_each(|fault| writeln!(out, "  {}", clip(&fault.to_string(), SHOWN)))
}

fn row(name: &str, value: String) -> [String; 2] {
    [name.to_owned(), clip(&value, SHOWN)]
}

/// One line for each file; a provider's service is one, since how many files it has is known to it alone.
fn from(source: &Source, document: &Document, fetch: &Fetch) -> Vec<String> {
    match source {
        Source::Earlier(stage) => vec![format!("the outputs of stages[{stage}]")],
        Source::Urls(files) => files.iter().map(|url| file(url, fetch)).collect(),
        Source::Remote(remote) => {
            let lacks =
                if document.metadata_uri.is_none() { "  (would fail: there is no output.metadataUri)" } else { "" };
            vec![format!("from a provider: service {}{lacks}", remote.service_id)]
        }
    }
}

fn algorithm_from(document: &Document, fetch: &Fetch) -> Vec<String> {
    match &document.algorithm.source {
        AlgorithmSource::Raw(code) => vec![format!("code in the document, {} bytes", code.len())],
        AlgorithmSource::Files(source) => from(source, document, fetch),
        AlgorithmSource::Image => vec!["in the image".to_owned()],
    }
}

fn file(file: &FileRef, fetch: &Fetch) -> String {
    // These name files beside the document, and are no URLs with a host to be read as such.
    let scheme = file.url.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let beside = matches!(scheme.as_str(), "inline" | "file");
    let mut text = if beside { file.url.clone() } else { redacted(&file.url) };
    if let Some(digest) = file.sha256 {
        text.push_str(&format!("  sha256 {digest}"));
    }
    // Better said here than by a workflow that failed.
    let lacks = match scheme.as_str() {
        "ipfs" if fetch.ipfs_gateways.is_empty() => "fetch.ipfs_gateways is empty",
        "ar" if fetch.arweave_gateways.is_empty() => "fetch.arweave_gateways is empty",
        "s3" if !fetch.s3.buckets.iter().any(|bucket| file.bucket() == Some(bucket)) => {
            "fetch.s3_buckets does not have this bucket"
        }
        _ => return text,
    };
    format!("{text}  (would fail: {lacks})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config,
        workflow::{
            digest::Sha256,
            document::{Algorithm, Container, Remote},
        },
    };

    fn document() -> Document {
        let url = |url: &str| FileRef { url: url.to_owned(), sha256: None };
        let remote = Remote {
            tx_id: "0xs3cret".to_owned(),
            service_id: "7".to_owned(),
            user_data: Some(json!("s3cret")),
            sha256: Vec::new(),
        };
        let digested = FileRef { sha256: Some(Sha256::of("x")), ..url("inline:penguins.csv") };
        let input = |did: &str, source| Input { id: did.parse().unwrap(), did: did.to_owned(), source };
        Document {
            later: Vec::new(),
            inputs: vec![
                input(
                    "did:op:aa",
                    Source::Urls(vec![
                        url("https://ann:s3cret@example.org/a.csv?key=s3cret"),
                        digested,
                        url("s3://data/a.csv"),
                        url("ipfs://bafkqaaa/a%20b?s3cret"),
                        url("ar://bNbA3TEQVL60xlgCcqdz4ZPHFZ711cZ3hmkpGttDt_U"),
                    ]),
                ),
                input("did:op:bb", Source::Remote(remote)),
            ],
            algorithm: Algorithm {
                id: None,
                did: None,
                source: AlgorithmSource::Raw("print('s3cret')".to_owned()),
                container: Container {
                    image: "python".to_owned(),
                    tag: Some("3.11".to_owned()),
                    digest: None,
                    entrypoint: "python\u{7} $ALGO".to_owned(),
                },
                custom_data: Some(json!({"s3cret": 1})),
            },
            max_time: Some(Duration::from_secs(3600)),
            storage_expiry: Some(Duration::from_secs(48 * 3600)),
            wish: Default::default(),
            valid_until: None,
            metadata_uri: None,
            secret: Some("s3cret".to_owned()),
            chain_id: None,
            sha256: Sha256::of("document"),
            ignored: vec!["stages[0].compute.Instances".to_owned()],
            notes: vec![Fault {
                path: "stages[0].compute.storageExpiry".to_owned(),
                message: "has no unit".to_owned(),
            }],
        }
    }

    fn shown(output: Output) -> String {
        let mut out = Vec::new();
        let config = config::load(&[], std::iter::empty()).unwrap().config;
        understood(&document(), &[], &config, output, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_was_understood_is_shown_without_anything_secret() {
        insta::assert_snapshot!(shown(Output::Table));
        assert!(!shown(Output::Table).contains("s3cret"));
    }

    #[test]
    fn json_says_the_same() {
        let text = shown(Output::Json);
        assert!(!text.contains("s3cret"), "{text}");
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["inputs"][0]["from"][0], "https://example.org/a.csv");
        assert_eq!(answer["maxTimeSeconds"], 60.0, "the limit, not what was asked for");
        assert_eq!(answer["ignored"][0], "stages[0].compute.Instances");
        assert_eq!(answer["keptSeconds"], 48 * 3600);
        assert_eq!(answer["notes"][0], "stages[0].compute.storageExpiry: has no unit");
    }
}
