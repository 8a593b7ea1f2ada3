//! Where an asset's files come from: `url`, one or several, or `remote`.

use super::{
    Document, FileRef, Remote, Source,
    fields::{self, Log, Object},
    url,
};
use crate::workflow::digest::Sha256;
use serde_json::Value;

/// Longest secret, transaction and service id, in bytes.
const MAX_WORD: usize = 1024;

/// Whether there is a `url` or a `remote`; an empty url is none, as providers send it with raw code.
pub(super) fn has_source(object: &Object) -> bool {
    object.has("remote") || (object.has("url") && !object.is_empty_text("url"))
}

/// `url` before `remote`, as in the old engine. To be asked for only if there is one of them.
pub(super) fn source(object: &mut Object, log: &mut Log) -> Option<Source> {
    let path = object.path_of("url");
    if object.is_empty_text("url") {
        object.take("url");
    }
    let Some(value) = object.take("url") else {
        return object
            .required_object("remote", log)
            .and_then(|remote_object| remote(remote_object, log))
            .map(Source::Remote);
    };
    let items = match value {
        Value::Array(items) => items,
        one => return file(path, one, log).map(|file| Source::Urls(vec![file])),
    };
    if items.is_empty() || items.len() > Document::MAX_FILES {
        log.fault(path, format!("has {} urls, 1 to {} are expected", items.len(), Document::MAX_FILES));
        return None;
    }
    let count = items.len();
    let each = items.into_iter().enumerate();
    let files: Vec<_> = each.filter_map(|(index, value)| file(fields::item_path(&path, index), value, log)).collect();
    (files.len() == count).then_some(Source::Urls(files))
}

/// A url, or `{url, sha256}`.
fn file(path: String, value: Value, log: &mut Log) -> Option<FileRef> {
    if !value.is_object() {
        let url = fields::text(path.clone(), value, log)?;
        return checked(path, url, url::check, log).map(|url| FileRef { url, sha256: None });
    }
    let mut object = Object::new(path, value, log)?;
    let url = object.required_text("url", log).and_then(|url| checked(object.path_of("url"), url, url::check, log));
    let digest = object.text("sha256", log);
    let sha256 = digest.as_ref().map(|digest| digest.parse::<Sha256>());
    if let Some(Err(error)) = &sha256 {
        log.fault(object.path_of("sha256"), error.to_string());
    }
    // This form is ours, so no old document needs leniency, and a digest that was misspelt would never be checked.
    object.end_strictly("url and sha256", log);
    Some(FileRef { url: url?, sha256: sha256.and_then(Result::ok) })
}

fn remote(mut object: Object, log: &mut Log) -> Option<Remote> {
    let mut required = |key| {
        let text = object.required_text(key, log)?;
        one_line(object.path_of(key), text, log)
    };
    let (tx_id, service_id) = (required("txId"), required("serviceId"));
    let spellings = ["algouserdata", "userdata", "userData"];
    let user_data = spellings.into_iter().find(|key| object.has(key)).and_then(|key| object.take(key));
    let sha256 = digests(&mut object, log);
    object.end(log);
    Some(Remote { tx_id: tx_id?, service_id: service_id?, user_data, sha256: sha256? })
}

/// One digest, or a list with one for each file; null for one that is not known.
fn digests(object: &mut Object, log: &mut Log) -> Option<Vec<Option<Sha256>>> {
    let path = object.path_of("sha256");
    let items = match object.take("sha256") {
        Some(Value::Array(items)) => items,
        Some(one) => vec![one],
        None => Vec::new(),
    };
    let digest = |item: &Value| match item {
        Value::Null => Some(None),
        item => item.as_str()?.parse().ok().map(Some),
    };
    let digests: Option<Vec<_>> = items.iter().map(digest).collect();
    if digests.is_none() {
        log.fault(
            path,
            "is none: the SHA-256 of its file as 64 hex digits, or a list of these, null for an unknown one",
        );
    }
    digests
}

/// A text that becomes a variable, a query or part of a message.
pub(super) fn one_line(path: String, text: String, log: &mut Log) -> Option<String> {
    if text.len() > MAX_WORD || text.chars().any(char::is_control) {
        log.fault(path, format!("has more than {MAX_WORD} bytes or a control character"));
        return None;
    }
    Some(text)
}

/// The text, if `check` accepts it.
pub(super) fn checked(
    path: String,
    text: String,
    check: fn(&str) -> Result<(), String>,
    log: &mut Log,
) -> Option<String> {
    check(&text).map_err(|message| log.fault(path, message)).ok().map(|()| text)
}
