//! A workflow from a file: the very ConfigMap or Secret that one would apply, or a bare document with its files beside it.
//!
//! Both become what the cluster would hold, so `local FILE` runs and `check FILE` judges what `kubectl apply` would
//! submit. Whether the document in it is right is not decided here: that is [`Document::parse`]'s, which reports all
//! faults, and a text that is no manifest and no document either is left for it to refuse.

mod beside;
mod manifest;

use crate::{
    clock::Clock,
    plan::kind::Kind,
    workflow::{Document, JobId, digest::Sha256, document::bounded, job::InvalidJobId, record::STATE_LABEL},
};
use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The key of a document that is JSON.
const JSON_KEY: &str = "workflow.json";
/// The key of a document that is YAML.
const YAML_KEY: &str = "workflow.yaml";

/// A manifest of 1 MiB of data may be several times as large, in JSON with its escapes.
const MAX_FILE_BYTES: usize = 4 * 1024 * 1024;

/// What all values of a ConfigMap together may have, by the API server's rule (`MaxSecretSize`; keys do not count).
const MAX_DATA_BYTES: usize = 1024 * 1024;

/// A workflow as its ConfigMap or Secret would hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The manifest's `metadata.name`; a bare document has none.
    pub name: Option<JobId>,
    /// What to name a workflow without a name after: its folder if the file is called `workflow.*`, else the file. Job-id
    /// alphabet, at most 40 characters, so that a suffix still fits.
    pub stem: String,
    /// What it is, or would be.
    pub kind: Kind,
    /// Whether it is a manifest, not a bare document.
    pub is_manifest: bool,
    /// The folder of the file. `file:` urls of the local mode are below it.
    pub folder: PathBuf,
    /// The manifest's labels.
    pub labels: BTreeMap<String, String>,
    /// The manifest's annotations.
    pub annotations: BTreeMap<String, String>,
    /// The document under [`Loaded::document_key`], and what its `inline:` urls name. At most 1 MiB in all.
    pub data: BTreeMap<String, Vec<u8>>,
    /// `workflow.json` or `workflow.yaml`.
    pub document_key: String,
}

impl Loaded {
    /// What would keep an engine from running it as it stands, each a sentence; only a manifest has a name and labels.
    pub fn oddities(&self) -> Vec<String> {
        let (mut odd, kind) = (Vec::new(), self.kind.as_str());
        if self.is_manifest && self.name.is_none() {
            odd.push(format!(
                "the {kind} has no name: kubectl apply refuses it, and operator-engine submit makes one up"
            ));
        }
        match self.labels.get(STATE_LABEL).map(String::as_str) {
            None if self.is_manifest => odd.push(format!(
                "the {kind} has no label {STATE_LABEL}: pending, so after kubectl apply no engine sees it; operator-engine submit \
                 sets the label"
            )),
            None | Some("pending") => {}
            Some(other) => odd.push(format!(
                "the {kind}'s label {STATE_LABEL} is {other:?}; no engine begins a workflow whose state is not pending"
            )),
        }
        odd
    }

    /// A job id that nothing had before: the workflow's own name, and a suffix from clock and process.
    ///
    /// # Errors
    ///
    /// The name makes none.
    pub fn fresh_job(&self, clock: &dyn Clock) -> Result<JobId, InvalidJobId> {
        let name = self.name.as_ref().map_or(self.stem.as_str(), JobId::as_str);
        let seed = format!("{} {}", clock.now().wall, std::process::id());
        let suffix: String = Sha256::of(seed).to_string().chars().take(8).collect();
        let stem: String = name.chars().take(JobId::MAX_LEN - 1 - suffix.len()).collect();
        let id = format!("{}-{suffix}", stem.trim_end_matches(['-', '.']));
        id.parse()
    }

    /// The document's text.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.data.get(&self.document_key).map_or(&[], Vec::as_slice))
    }
}

/// Why a file gives no workflow. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It, or a file that it names, cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// It is a folder without a document.
    #[error(
        "the folder {} has neither workflow.yaml nor workflow.json; give the file that is the document", path.display()
    )]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// It has more bytes than any ConfigMap's manifest.
    #[error("{} has more than 4 MiB, no ConfigMap can be as large; name data by https: or file: urls instead", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is not text.
    #[error("{} is not UTF-8 text (byte {valid_up_to} is the first that is not); save it as UTF-8", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// How many bytes are text.
        valid_up_to: usize,
    },
    /// Several workflows, or none, where one is expected.
    #[error(
        "{count} ConfigMaps or Secrets with a document stand in one file, exactly one can be loaded; split the file"
    )]
    Count {
        /// How many there are.
        count: usize,
    },
    /// A manifest of something else.
    #[error(
        "the manifest is of kind {kind:?}; a workflow is a ConfigMap or a Secret with a key workflow.yaml or workflow.json"
    )]
    Kind {
        /// Its kind, shortened.
        kind: String,
    },
    /// The manifest's name cannot be a job id.
    #[error("metadata.name is no job id")]
    Name(#[source] InvalidJobId),
    /// A part of the manifest has another shape than Kubernetes accepts.
    #[error("{path} {message}")]
    Manifest {
        /// Where.
        path: String,
        /// What is wrong and what would be right.
        message: &'static str,
    },
    /// Both documents, or none of them.
    #[error("the ConfigMap or folder has {}; keep exactly one of workflow.yaml and workflow.json", if *both { "two documents" } else { "no document" })]
    Documents {
        /// Whether there are two.
        both: bool,
    },
    /// A file that an `inline:` url names is not to be taken.
    #[error("'inline:{key}' cannot be read from {}: {reason}", path.display())]
    Inline {
        /// The key, and the file's name.
        key: String,
        /// Where it was looked for.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// More data than a ConfigMap holds.
    #[error(
        "the document and its inline data have {bytes} bytes or more, a ConfigMap holds 1048576; name large data by https: \
        or (in the local mode) file: urls instead"
    )]
    DataTooLarge {
        /// How many there are at least.
        bytes: usize,
    },
}

/// Reads the workflow in `path`: the manifest of a ConfigMap or a Secret (YAML or JSON; also as the only one of a `List` or of
/// several YAML documents) or a bare document, whose `inline:` urls then name files in the same folder. A folder stands for the
/// document in it, and `-` for standard input, whose folder is the working folder.
///
/// # Errors
///
/// See [`LoadError`]. A faulty document is no error here, see the module.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    let path = &in_folder(path)?;
    let from = if path == Path::new("-") { Path::new("/dev/stdin") } else { path };
    let text = read_text(from, MAX_FILE_BYTES, || LoadError::TooLarge { path: path.to_owned() })?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = parent.canonicalize().map_err(|source| LoadError::Read { path: parent.to_owned(), source })?;
    let stem = stem(path, &folder);
    let loaded = match manifest::find(&text)? {
        Some(manifest) => Loaded {
            name: manifest.name,
            kind: manifest.kind,
            is_manifest: true,
            stem,
            folder,
            labels: manifest.labels,
            annotations: manifest.annotations,
            data: manifest.data,
            document_key: String::new(),
        },
        None => {
            let key = if bounded::is_json(&text) { JSON_KEY } else { YAML_KEY };
            let document = Document::parse(&text);
            let mut data = BTreeMap::from([(key.to_owned(), text.into_bytes())]);
            if let Ok(document) = document {
                beside::gather(&folder, document.inline_keys(), &mut data)?;
            }
            Loaded {
                name: None,
                kind: Kind::ConfigMap,
                is_manifest: false,
                stem,
                folder,
                labels: BTreeMap::new(),
                annotations: BTreeMap::new(),
                data,
                document_key: String::new(),
            }
        }
    };
    let document_key = match (loaded.data.contains_key(JSON_KEY), loaded.data.contains_key(YAML_KEY)) {
        (true, false) => JSON_KEY,
        (false, true) => YAML_KEY,
        (both, _) => return Err(LoadError::Documents { both }),
    };
    let bytes = size(&loaded.data);
    if bytes > MAX_DATA_BYTES {
        return Err(LoadError::DataTooLarge { bytes });
    }
    Ok(Loaded { document_key: document_key.to_owned(), ..loaded })
}

/// The document in a folder; any other path as it is.
fn in_folder(path: &Path) -> Result<PathBuf, LoadError> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let found: Vec<_> =
        [JSON_KEY, YAML_KEY].into_iter().map(|key| path.join(key)).filter(|file| file.exists()).collect();
    match found.as_slice() {
        [file] => Ok(file.clone()),
        [] => Err(LoadError::Folder { path: path.to_owned() }),
        _ => Err(LoadError::Documents { both: true }),
    }
}

fn size(data: &BTreeMap<String, Vec<u8>>) -> usize {
    data.values().map(Vec::len).sum()
}

/// Reads a file, but never more than `limit` bytes of it. It need not be a regular one: `check <(kustomize build .)`.
fn read_text(path: &Path, limit: usize, too_large: impl Fn() -> LoadError) -> Result<String, LoadError> {
    String::from_utf8(read_bytes(path, limit, too_large)?)
        .map_err(|error| LoadError::NotText { path: path.to_owned(), valid_up_to: error.utf8_error().valid_up_to() })
}

fn read_bytes(path: &Path, limit: usize, too_large: impl Fn() -> LoadError) -> Result<Vec<u8>, LoadError> {
    let cannot = |source| LoadError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path).and_then(|file| file.take(bound).read_to_end(&mut bytes)).map_err(cannot)?;
    if bytes.len() > limit {
        return Err(too_large());
    }
    Ok(bytes)
}

/// See [`Loaded::stem`].
fn stem(path: &Path, folder: &Path) -> String {
    const MAX_LEN: usize = 40;
    let own = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let of_folder = || folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = if own.eq_ignore_ascii_case("workflow") { of_folder() } else { own };
    let mut stem = String::new();
    for c in name.chars().map(|c| c.to_ascii_lowercase()) {
        let separated = stem.is_empty() || stem.ends_with('-');
        match c {
            'a'..='z' | '0'..='9' => stem.push(c),
            _ if !separated => stem.push('-'),
            _ => {}
        }
    }
    stem.truncate(MAX_LEN);
    let stem = Some(stem.trim_end_matches('-')).filter(|stem| !stem.is_empty());
    stem.unwrap_or("workflow").to_owned()
}

#[cfg(test)]
mod tests;
