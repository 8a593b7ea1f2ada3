//! Where values come from: the defaults, files, structured variables and the old engine's variables.
//!
//! Each layer says which keys it sets, and every value carries its origin. What no layer may set (an unknown key, a section
//! where a value belongs) is found here, layer by layer, so that the file or variable that holds it is named. Merging is
//! the `config` crate's.

use super::{
    PREFIX,
    fault::Fault,
    seed,
    values::{SHOWN, flatten},
};
use crate::workflow::report::clip;
use config::{FileFormat, Format as _, Map, Source, Value, ValueKind};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// The values of one source, by dotted key.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    pub(super) values: BTreeMap<String, Value>,
}

impl Layer {
    /// Sets `key` from the environment variable `name`.
    pub(super) fn set_variable(&mut self, key: &str, value: String, name: &str) {
        let origin = format!("environment variable {name}");
        self.values.insert(key.to_owned(), Value::new(Some(&origin), ValueKind::String(value)));
    }

    /// Keeps what may be set, and tells the rest.
    pub(super) fn admit(&mut self, known: &Known, faults: &mut Vec<Fault>) {
        self.values.retain(|key, value| {
            let is_table = matches!(value.kind, ValueKind::Table(_));
            if is_table && known.is_section(key) {
                return false; // a section without keys
            }
            let message = match known.complaint(key, value) {
                None => return true,
                Some(message) => message,
            };
            // Without its value: what is unknown may be a credential.
            let source = value.origin().unwrap_or("default").to_owned();
            faults.push(Fault { key: clip(key, SHOWN), value: None, source, message });
            false
        });
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.values.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

/// The keys there are.
pub(super) struct Known {
    keys: BTreeSet<String>,
}

impl Known {
    /// Those of the defaults.
    pub(super) fn of(defaults: &Layer) -> Self {
        Self { keys: defaults.values.keys().cloned().collect() }
    }

    /// Why `key` may not be set to `value`, if so.
    fn complaint(&self, key: &str, value: &Value) -> Option<String> {
        if self.keys.contains(key) {
            let is_table = matches!(value.kind, ValueKind::Table(_));
            return is_table.then(|| "is one value, not a section".to_owned());
        }
        if self.is_section(key) {
            return Some(format!("is a section: write [{key}], and its keys below it"));
        }
        if let Some(leaf) =
            key.match_indices('.').map(|(at, _)| key.get(..at)).find_map(|p| p.filter(|p| self.keys.contains(*p)))
        {
            return Some(format!("{leaf} is one value, not a section"));
        }
        let variable = value.origin().is_some_and(|origin| origin.contains(PREFIX));
        let nearest = self.nearest(key).map(|key| if variable { variable_name(key) } else { key.to_owned() });
        Some(match nearest {
            Some(nearest) => format!("unknown key; did you mean {nearest}?"),
            None => "unknown key".to_owned(),
        })
    }

    fn is_section(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
    }

    /// The key most like `key`: in its last part, since sections are easily mixed up, or else in its whole.
    fn nearest(&self, key: &str) -> Option<&str> {
        // Jaro-Winkler, measured: `memry` and `memory` 0.96, `max_job` and `max_jobs` 0.98; but `max_retries` and `retries`
        // 0.88, `access_key` and `max_jobs` 0.45. A shared section lifts the whole: `storage.dir` and `storage.directory`
        // 0.93, but `storage.bucket` and `storage.directory` 0.87.
        const LIKE_PART: f64 = 0.88;
        const LIKE_WHOLE: f64 = 0.92;
        fn last(key: &str) -> &str {
            key.rsplit('.').next().unwrap_or_default()
        }
        if let Some(key) = seed::key_of(last(key)) {
            return Some(key);
        }
        let part = |known: &str| strsim::jaro_winkler(last(known), last(key));
        let whole = |known: &str| strsim::jaro_winkler(known, key);
        let keys = || self.keys.iter().map(String::as_str);
        let by_part = keys().max_by(|a, b| part(a).total_cmp(&part(b)).then(whole(a).total_cmp(&whole(b))));
        let by_whole = keys().max_by(|a, b| whole(a).total_cmp(&whole(b)));
        by_part.filter(|known| part(known) > LIKE_PART).or(by_whole.filter(|known| whole(known) > LIKE_WHOLE))
    }

    /// Variables that look like ours and are not read, because an underscore or the case is not right.
    pub(super) fn misspelt(&self, environment: &[(String, String)]) -> Vec<String> {
        let squeeze = |name: &str| {
            name.to_ascii_uppercase().split('_').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("_")
        };
        let right: BTreeMap<_, _> =
            self.keys.iter().map(|key| variable_name(key)).map(|name| (squeeze(&name), name)).collect();
        let names = environment.iter().map(|(name, _)| name).filter(|name| !name.starts_with(PREFIX));
        names
            .filter_map(|name| {
                right.get(&squeeze(name)).map(|right| format!("{name} is not read: the name is {right}"))
            })
            .collect()
    }
}

/// The variable that sets `key`.
pub(super) fn variable_name(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase().replace('.', "__"))
}

/// The variables `OPERATOR_ENGINE__SECTION__KEY` that are not empty. Two underscores keep Kubernetes' own variables for a
/// Service of this name (`OPERATOR_ENGINE_PORT`) apart from ours.
pub(super) fn structured(environment: &[(String, String)]) -> Layer {
    let mut layer = Layer::default();
    for (name, value) in environment {
        if let Some(key) = name.strip_prefix(PREFIX).filter(|_| !value.trim().is_empty()) {
            layer.set_variable(&key.to_lowercase().replace("__", "."), value.clone(), name);
        }
    }
    layer
}

/// A text of TOML.
pub(super) fn toml(text: &str, origin: &str) -> Result<Layer, String> {
    let table =
        FileFormat::Toml.parse(Some(&origin.to_owned()), text).map_err(|error| without_excerpt(&error.to_string()))?;
    let mut layer = Layer::default();
    for (key, value) in &table {
        flatten(key, value, &mut |key, value| {
            layer.values.insert(key, value.clone());
        });
    }
    Ok(layer)
}

/// The layers of `paths`: each file, and each `*.toml` of a directory in the order of their names.
pub(super) fn files(paths: &[PathBuf], faults: &mut Vec<Fault>, warnings: &mut Vec<String>) -> Vec<Layer> {
    let mut layers = Vec::new();
    for path in paths {
        let found = match in_directory(path) {
            Ok(found) => found,
            Err(error) => {
                faults.push(unreadable(path, &error));
                continue;
            }
        };
        if found.is_empty() {
            warnings.push(format!("{} holds no *.toml file", path.display()));
        }
        for path in found {
            let origin = format!("file {}", path.display());
            match read(&path).map(|text| toml(&text, &origin)) {
                Ok(Ok(layer)) => layers.push(layer),
                Ok(Err(message)) => faults.push(Fault { key: String::new(), value: None, source: origin, message }),
                Err(error) => faults.push(unreadable(&path, &error)),
            }
        }
    }
    layers
}

fn unreadable(path: &Path, error: &io::Error) -> Fault {
    let source = format!("file {}", path.display());
    Fault { key: String::new(), value: None, source, message: format!("cannot be read: {error}") }
}

/// The path itself, or if it is a directory what it holds. Hidden names are passed over: editors and Kubernetes (`..data`)
/// keep their own things under them.
fn in_directory(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in path.read_dir()? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|extension| extension == "toml") && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// What a ConfigMap may hold, and far more than a configuration needs.
const MAX_FILE: u64 = 1 << 20;

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1Mi, so this is no configuration"));
    }
    Ok(text)
}

/// A message of the TOML parser on one line and without the lines of the file that it quotes, which may hold anything.
fn without_excerpt(message: &str) -> String {
    let quoted =
        |line: &&str| line.trim_start_matches([' ', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']).starts_with('|');
    let lines: Vec<_> =
        message.lines().filter(|line| !quoted(line)).map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_folder_are_read_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        // 7 and 31 have no common factor, so every number comes once, and in no order that a file system would keep.
        let names = (0..31).map(|n| format!("{:02}.toml", n * 7 % 31));
        names.for_each(|name| std::fs::write(folder.path().join(name), "").unwrap());
        let found = in_directory(folder.path()).unwrap();
        assert!(found.len() == 31 && found.is_sorted(), "{found:?}");
    }
}
