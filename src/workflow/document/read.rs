//! What the members of a document mean.
//!
//! Each section is read to its end whatever was wrong before it, so that a submitter sees all faults at once. What the
//! old clients send is accepted in all its variants; where the old engine guessed, skipped or overwrote, there is a rule
//! and a fault.

use super::{
    Algorithm, AlgorithmSource, Container, Document, Fault, Input,
    bounded::{self, Limits},
    expiry,
    fields::{self, Log, Object},
    image,
    source::{checked, has_source, one_line, source},
    stages, url, wish,
};
use crate::workflow::{Wish, digest::Sha256};
use jiff::Timestamp;
use serde_json::Value;
use std::time::Duration;

/// Where the old engine's `WorkFlow` body keeps what a bare document has at its top.
pub(super) const OLD_BODY: &str = "spec.metadata.";

/// A document of the old engine is a few levels deep and has some ten values per data set; the rest is room for
/// `algocustomdata`.
const LIMITS: Limits = Limits { bytes: Document::MAX_BYTES, depth: 64, nodes: 50_000 };

/// Longest command, in bytes. One argument of a Linux process may have 128 KiB.
const MAX_ENTRYPOINT: usize = 32 * 1024;

/// Ten years. The engine's own limit is far below; this one keeps sums of times in range.
const MAX_TIME: f64 = 10.0 * 366.0 * 86_400.0;

pub(super) fn document(text: &str) -> Result<Document, Vec<Fault>> {
    let tree = bounded::tree(text, LIMITS)?;
    let mut log = Log::default();
    let document = top(tree, Sha256::of(text), &mut log);
    let (document, ignored, notes) = log.finish(document)?;
    Ok(Document { ignored, notes, ..document })
}

fn top(tree: Value, sha256: Sha256, log: &mut Log) -> Option<Document> {
    let mut top = Object::new(String::new(), tree, log)?;
    let document = if top.has("stages") {
        body(&mut top, sha256, log)
    } else if top.has("spec") {
        let mut metadata = top.object("metadata", log);
        let secret = metadata.as_mut().and_then(|metadata| {
            let secret = metadata.filled_text("secret", log)?;
            one_line(metadata.path_of("secret"), secret, log)
        });
        let mut spec = top.object("spec", log)?;
        let mut inner = spec.required_object("metadata", log)?;
        let document = body(&mut inner, sha256, log).map(|document| document.with_secret(secret.as_deref()));
        [metadata, Some(spec), Some(inner)].into_iter().flatten().for_each(|object| object.end(log));
        document
    } else if top.has("data") {
        log.fault(
            "",
            "this is a manifest; the document is the text of one of its data keys, workflow.json or workflow.yaml",
        );
        None
    } else {
        log.fault("stages", "is missing: a document is {stages: [...]}, or the old body with spec.metadata.stages");
        None
    };
    top.end(log);
    document
}

/// What stands beside `stages`, and the stages.
fn body(object: &mut Object, sha256: Sha256, log: &mut Log) -> Option<Document> {
    let chain_id = chain_id(object, log);
    let valid_until = wish::valid_until(object, log);
    let path = object.path_of("stages");
    let list = object.required_list("stages", log)?;
    stages::read(list, &path, &Around { chain_id, valid_until, sha256 }, log)
}

/// What is the same in all stages.
pub(super) struct Around {
    chain_id: Option<u64>,
    valid_until: Option<Timestamp>,
    sha256: Sha256,
}

/// One stage.
pub(super) fn stage(mut stage: Object, index: u32, around: &Around, log: &mut Log) -> Option<Document> {
    let inputs = inputs(&mut stage, index, log);
    let algorithm = stage.required_object("algorithm", log).and_then(|object| algorithm(object, log));
    let (max_time, storage_expiry, wish) =
        stage.object("compute", log).map(|object| compute(object, log)).unwrap_or_default();
    let metadata_uri = stage.object("output", log).and_then(|object| output(object, log));
    stage.end(log);
    Some(Document {
        later: Vec::new(),
        inputs,
        algorithm: algorithm?,
        max_time,
        storage_expiry,
        wish,
        valid_until: around.valid_until,
        metadata_uri,
        secret: None,
        chain_id: around.chain_id,
        sha256: around.sha256,
        ignored: Vec::new(),
        notes: Vec::new(),
    })
}

fn inputs(stage: &mut Object, stage_index: u32, log: &mut Log) -> Vec<Input> {
    let path = stage.path_of("input");
    let list = stage.list("input", log).unwrap_or_default();
    if list.len() > Document::MAX_INPUTS {
        log.fault(path, format!("has {} data sets, at most {} can be fetched", list.len(), Document::MAX_INPUTS));
        return Vec::new();
    }
    let mut inputs = Vec::with_capacity(list.len());
    for (index, value) in list.into_iter().enumerate() {
        let path = fields::item_path(&path, index);
        let input = Object::new(path.clone(), value, log).and_then(|object| input(object, stage_index, log));
        inputs.extend(input.map(|input| (path, input)));
    }
    stages::check_folders(&inputs, log);
    inputs.into_iter().map(|(_, input)| input).collect()
}

fn input(mut object: Object, stage: u32, log: &mut Log) -> Option<Input> {
    if stages::takes_outputs(&object) {
        return stages::outputs(object, stage, log);
    }
    let did = object.required_text("id", log);
    let id = did.as_deref().and_then(|did| asset_id(&object, did, log));
    let source = if has_source(&object) {
        source(&mut object, log)
    } else {
        log.fault(object.path_of("url"), "is missing: a data set has a 'url' or a 'remote'");
        None
    };
    object.end(log);
    Some(Input { id: id?, did: did?, source: source? })
}

fn algorithm(mut object: Object, log: &mut Log) -> Option<Algorithm> {
    let did = object.text("id", log);
    let id = did.as_deref().filter(|did| !did.is_empty()).and_then(|did| asset_id(&object, did, log));
    let custom_data = object.take("algocustomdata");
    let container = object.required_object("container", log).and_then(|object| container(object, log));
    let source = if object.has("rawcode") && !object.is_empty_text("rawcode") {
        object.text("rawcode", log).map(AlgorithmSource::Raw)
    } else if has_source(&object) {
        source(&mut object, log).map(AlgorithmSource::Files)
    } else if container.as_ref().is_some_and(|container| container.entrypoint.contains("$ALGO")) {
        let message = "is missing: the entrypoint runs $ALGO, so the algorithm needs a 'rawcode', 'url' or 'remote'";
        log.fault(object.path_of("url"), message);
        None
    } else {
        object.take("rawcode");
        Some(AlgorithmSource::Image)
    };
    object.end(log);
    Some(Algorithm { id, did, source: source?, container: container?, custom_data })
}

pub(super) fn asset_id(object: &Object, did: &str, log: &mut Log) -> Option<super::AssetId> {
    did.parse()
        .map_err(|error: crate::workflow::asset::InvalidAssetId| log.fault(object.path_of("id"), error.to_string()))
        .ok()
}

fn container(mut object: Object, log: &mut Log) -> Option<Container> {
    let entrypoint = object.required_text("entrypoint", log).and_then(|entrypoint| {
        let message = match entrypoint.len() {
            ..=MAX_ENTRYPOINT if !entrypoint.contains('\0') => return Some(entrypoint),
            ..=MAX_ENTRYPOINT => "contains a NUL character".to_owned(),
            len => format!("has {len} bytes, at most {MAX_ENTRYPOINT} are allowed"),
        };
        log.fault(object.path_of("entrypoint"), message);
        None
    });
    let name = object.required_text("image", log);
    let image =
        name.and_then(|name| image::parse(&name).map_err(|message| log.fault(object.path_of("image"), message)).ok());
    let tag = object.filled_text("tag", log);
    if tag.as_deref().is_some_and(|tag| !image::is_tag(tag)) {
        log.fault(
            object.path_of("tag"),
            "is no tag: 1 to 128 characters of A-Z a-z 0-9 . _ - and none of . - at its beginning",
        );
    }
    if tag.is_some() && image.as_ref().is_some_and(|image| image.tag.is_some()) {
        log.fault(object.path_of("image"), "ends in a tag, and 'tag' gives one too; remove one of them");
    }
    let digest = checksum(&mut object, log);
    object.end(log);
    let image = image?;
    Some(Container { image: image.name, tag: tag.or(image.tag), digest, entrypoint: entrypoint? })
}

/// The digest, which wins over the tag. As in the old engine, a checksum that does not begin with `sha256:` is none.
fn checksum(object: &mut Object, log: &mut Log) -> Option<String> {
    let checksum = object.filled_text("checksum", log)?;
    let Some(hex) = checksum.strip_prefix("sha256:") else {
        log.ignore(object.path_of("checksum"));
        return None;
    };
    match hex.parse::<Sha256>() {
        Ok(digest) => Some(format!("sha256:{digest}")),
        Err(_) => {
            log.fault(object.path_of("checksum"), "is no image digest: after 'sha256:' there are 64 hex digits");
            None
        }
    }
}

fn compute(mut object: Object, log: &mut Log) -> (Option<Duration>, Option<Duration>, Wish) {
    let value = object.take("maxtime");
    let path = object.path_of("maxtime");
    let storage_expiry = expiry::read(&mut object, log);
    let wish = object.object("resources", log).map(|object| wish::resources(object, log)).unwrap_or_default();
    object.end(log);
    (value.and_then(|value| max_time(value, path, log)), storage_expiry, wish)
}

fn max_time(value: Value, path: String, log: &mut Log) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let time =
        seconds.filter(|seconds| *seconds <= MAX_TIME).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    match time {
        Some(time) if !time.is_zero() => Some(time),
        _ => {
            log.fault(path, format!("is no time: a number of seconds above 0, at most {MAX_TIME}, is expected"));
            None
        }
    }
}

fn output(mut object: Object, log: &mut Log) -> Option<String> {
    let uri = object.filled_text("metadataUri", log);
    let path = object.path_of("metadataUri");
    object.end(log);
    checked(path, uri?, url::check_http, log)
}

fn chain_id(object: &mut Object, log: &mut Log) -> Option<u64> {
    let id = match object.take("chainId")? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    if id.is_none() {
        log.fault(object.path_of("chainId"), "is no chain id: an integer from 0 is expected");
    }
    id
}
