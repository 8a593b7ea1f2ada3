//! The ConfigMap or Secret in a text, as `kubectl` would apply it: alone, in a `List`, or as one of several YAML documents.

use super::{JSON_KEY, LoadError, MAX_FILE_BYTES, YAML_KEY};
use crate::{
    cluster::kube::decoded,
    plan::kind::Kind,
    workflow::{
        JobId,
        document::{
            bounded::{self, Limits},
            is_config_map_key,
        },
    },
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A manifest is flat; the rest is room for other objects around it, and for bare documents, which are seen here first.
const LIMITS: Limits = Limits { bytes: MAX_FILE_BYTES, depth: 64, nodes: 50_000 };

/// What counts of it.
pub(super) struct Manifest {
    pub(super) kind: Kind,
    pub(super) name: Option<JobId>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) data: BTreeMap<String, Vec<u8>>,
}

/// The one workflow; `None` if `text` is no manifest, and so may be a bare document.
pub(super) fn find(text: &str) -> Result<Option<Manifest>, LoadError> {
    let objects = match bounded::tree(text, LIMITS) {
        Ok(tree) => vec![tree],
        Err(_) => serde_saphyr::from_multiple_with_options(text, bounded::yaml_options(LIMITS)).unwrap_or_default(),
    };
    // No object at all: the text cannot be read, and the document's own faults say why.
    let is_single = objects.len() <= 1;
    let single_kind = if is_single { objects.first().and_then(kind_of_no_document) } else { None };
    let is_list = single_kind.as_deref().is_some_and(|kind| kind.ends_with("List"));
    let mut found: Vec<_> =
        objects.into_iter().flat_map(items).filter_map(|object| workflow(object, is_single)).collect();
    match (found.pop(), single_kind) {
        (Some((kind, object)), _) if found.is_empty() => read(kind, object).map(Some),
        (Some(_), _) => Err(LoadError::Count { count: found.len() + 1 }),
        (None, Some(kind)) if !is_list => Err(LoadError::Kind { kind }),
        (None, None) if is_single => Ok(None),
        (None, _) => Err(LoadError::Count { count: 0 }),
    }
}

/// The kind of a manifest that cannot be a document, shortened: a document's is the old body's, or it has stages.
fn kind_of_no_document(object: &Value) -> Option<String> {
    let kind = object.get("kind")?.as_str()?;
    let may_be_document = kind == "WorkFlow" || object.get("stages").is_some();
    (!may_be_document).then(|| kind.chars().take(64).collect())
}

/// What stands in a `List`, and otherwise the object itself.
fn items(mut object: Value) -> Vec<Value> {
    let is_list = object.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
    match object.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) if is_list => items,
        _ => vec![object],
    }
}

/// What may be a workflow. Secrets of all sorts stand beside one, so among others a Secret is one if it has a document.
fn workflow(object: Value, alone: bool) -> Option<(Kind, Map<String, Value>)> {
    let Value::Object(object) = object else { return None };
    let has = |part: &str, key: &str| object.get(part).is_some_and(|data| data.get(key).is_some());
    let has_document = || [JSON_KEY, YAML_KEY].iter().any(|key| has("data", key) || has("stringData", key));
    let kind = match object.get("kind").and_then(Value::as_str)? {
        "ConfigMap" => Kind::ConfigMap,
        "Secret" if alone || has_document() => Kind::Secret,
        _ => return None,
    };
    Some((kind, object))
}

fn read(kind: Kind, object: Map<String, Value>) -> Result<Manifest, LoadError> {
    let refuse = |path: &str, message| Err(LoadError::Manifest { path: path.to_owned(), message });
    let empty = Value::Null;
    let metadata = object.get("metadata").unwrap_or(&empty);
    let name = match metadata.get("name") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name.parse().map_err(LoadError::Name)?),
        Some(_) => return refuse("metadata.name", "must be a text: put it in quotes"),
    };
    if object.get("binaryData").is_some_and(|data| !data.is_null() && data != &Value::Object(Map::new())) {
        return refuse("binaryData", "is not supported; name binary data by an https: or file: url");
    }
    let data = match kind {
        Kind::ConfigMap => bytes(texts("data", object.get("data"))?),
        Kind::Secret => secret(&object)?,
    };
    if let Some(key) = data.keys().find(|key| !is_config_map_key(key)) {
        return refuse(
            &format!("data[{:?}]", bounded::one_line(key)),
            "is no key of a ConfigMap or a Secret, of A-Z a-z 0-9 . _ - and not '.' or '..'",
        );
    }
    Ok(Manifest {
        name,
        labels: texts("metadata.labels", metadata.get("labels"))?,
        annotations: texts("metadata.annotations", metadata.get("annotations"))?,
        data,
        kind,
    })
}

fn bytes(texts: BTreeMap<String, String>) -> BTreeMap<String, Vec<u8>> {
    texts.into_iter().map(|(key, text)| (key, text.into_bytes())).collect()
}

/// A Secret's data is base64; what stands in `stringData` covers it. No message shows a value.
fn secret(object: &Map<String, Value>) -> Result<BTreeMap<String, Vec<u8>>, LoadError> {
    let mut data = BTreeMap::new();
    for (key, text) in texts("data", object.get("data"))? {
        let Some(bytes) = decoded(text) else {
            let path = format!("data[{:?}]", bounded::one_line(&key));
            let message = "is not base64; put plain text into stringData";
            return Err(LoadError::Manifest { path, message });
        };
        data.insert(key, bytes);
    }
    data.extend(bytes(texts("stringData", object.get("stringData"))?));
    Ok(data)
}

/// A mapping of texts, as Kubernetes demands; it would refuse a number or a boolean too.
fn texts(path: &str, value: Option<&Value>) -> Result<BTreeMap<String, String>, LoadError> {
    let refuse = |path: String, message| Err(LoadError::Manifest { path, message });
    let members = match value {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(members)) => members,
        Some(_) => return refuse(path.to_owned(), "must be a mapping of texts"),
    };
    let mut texts = BTreeMap::new();
    for (key, value) in members {
        match value {
            Value::String(text) => texts.insert(key.clone(), text.clone()),
            _ => {
                return refuse(
                    format!("{path}[{:?}]", bounded::one_line(key)),
                    "must be a text: put it in quotes, or behind '|'",
                );
            }
        };
    }
    Ok(texts)
}
