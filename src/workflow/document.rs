//! The document: what a submitter asks for.
//!
//! It is the bare `{"stages": [...]}` or the old engine's `WorkFlow` body around it (`spec.metadata.stages`), as JSON or
//! YAML. Reading it is total and bounded: whatever a stranger sends, the answer is a [`Document`] or *all* of its
//! [`Fault`]s, each with the path of the value at fault and what would be right.
//!
//! In three steps, each knowing nothing of the next: `bounded` makes a tree of the text within limits, `fields` takes
//! members out of the tree and notes what is missing, mistyped or left over, `read` knows what the members mean. Nothing
//! here fetches, resolves or looks at files: a document that can be read may still name data that is not there.

pub(crate) mod bounded;
mod expiry;
mod fields;
mod image;
mod read;
mod source;
mod spelling;
mod stages;
#[cfg(test)]
mod tests;
mod url;
mod visitor;
mod wish;

pub use spelling::meant;

use super::{AssetId, Wish, digest::Sha256};
use jiff::Timestamp;
use std::{collections::BTreeSet, fmt, time::Duration};

/// A document that can be run: its first stage, and the later ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The stages after the first, in order, each as if it were all there is: what stands beside `stages` is the same in each,
    /// and none has later ones.
    pub later: Vec<Self>,
    /// The data sets, in order.
    pub inputs: Vec<Input>,
    /// What runs over them.
    pub algorithm: Algorithm,
    /// `compute.maxtime`, in seconds in the document. The configured limit applies as well.
    pub max_time: Option<Duration>,
    /// `compute.storageExpiry`: how long its results are wanted to be kept. The configured limit applies as well.
    pub storage_expiry: Option<Duration>,
    /// `compute.resources`: what the algorithm asks for.
    pub wish: Wish,
    /// `validUntil`: it is refused rather than started later.
    pub valid_until: Option<Timestamp>,
    /// `output.metadataUri`: where DDOs are looked up.
    pub metadata_uri: Option<String>,
    /// `metadata.secret` of the old body: the algorithm's lower-case `secret` variable, and part of notifications.
    pub secret: Option<String>,
    /// `chainId`.
    pub chain_id: Option<u64>,
    /// The digest of the document's text, byte for byte.
    pub sha256: Sha256,
    /// Paths of members that nothing reads, for `check`.
    pub ignored: Vec<String>,
    /// What was understood in a way that its author may not have meant, for `check`.
    pub notes: Vec<Fault>,
}

impl Document {
    /// The longest text, in bytes: a ConfigMap holds no more.
    pub const MAX_BYTES: usize = 1024 * 1024;
    /// Most stages.
    pub const MAX_STAGES: usize = 8;
    /// Most data sets of one stage.
    pub const MAX_INPUTS: usize = 1000;
    /// Most files of one data set or algorithm.
    pub const MAX_FILES: usize = 1000;

    /// Reads a document, JSON or YAML. Its time and memory are bounded by [`Document::MAX_BYTES`], whatever the text.
    ///
    /// # Errors
    ///
    /// All faults that were found (at least one). Beyond a hundred or so, the last one says how many more there are.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        read::document(text)
    }

    /// [`Document::ignored`] for people, each with what it was probably meant to be.
    pub fn unread(&self) -> impl Iterator<Item = String> {
        self.ignored.iter().map(|path| match meant(path) {
            Some(member) => format!("{path} (did you mean {member}?)"),
            None => path.clone(),
        })
    }

    /// One of its stages, as if it were all there is but for [`Document::later`] of the first.
    pub fn stage(&self, index: u32) -> Option<&Self> {
        match index.checked_sub(1) {
            None => Some(self),
            Some(later) => self.later.get(usize::try_from(later).ok()?),
        }
    }

    /// All of its stages, in order.
    pub fn stages(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.later)
    }

    /// The keys of the ConfigMap that `inline:` urls of any stage name.
    pub fn inline_keys(&self) -> BTreeSet<&str> {
        self.stages().flat_map(Self::files).filter_map(FileRef::inline_key).collect()
    }

    /// The buckets that `s3:` urls of this stage name.
    pub fn buckets(&self) -> BTreeSet<&str> {
        self.files().filter_map(FileRef::bucket).collect()
    }

    /// The earlier stages whose outputs this stage takes.
    pub fn takes(&self) -> BTreeSet<u32> {
        let earlier = |source| if let &Source::Earlier(stage) = source { Some(stage) } else { None };
        self.sources().filter_map(earlier).collect()
    }

    /// Whether some of this stage comes from a provider.
    pub fn is_remote(&self) -> bool {
        self.sources().any(|source| matches!(source, Source::Remote(_)))
    }

    fn files(&self) -> impl Iterator<Item = &FileRef> {
        self.sources().flat_map(|source| match source {
            Source::Urls(files) => files.as_slice(),
            Source::Remote(_) | Source::Earlier(_) => &[],
        })
    }

    fn sources(&self) -> impl Iterator<Item = &Source> {
        let algorithm = match &self.algorithm.source {
            AlgorithmSource::Files(source) => Some(source),
            AlgorithmSource::Raw(_) | AlgorithmSource::Image => None,
        };
        self.inputs.iter().map(|input| &input.source).chain(algorithm)
    }
}

/// Whether a text can be a key of a ConfigMap's `data`, and so the name of a file in a folder: 1 to 253 characters of
/// `A-Z a-z 0-9 - . _`, and not `.` or anything that begins with `..` (Kubernetes' `IsConfigMapKey`).
pub fn is_config_map_key(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    (1..=253).contains(&text.len()) && text.bytes().all(allowed) && text != "." && !text.starts_with("..")
}

/// One data set.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// Its id without prefix: the folder's name below `inputs`, and the name in `DIDS`.
    pub id: AssetId,
    /// Its id as it stood in the document.
    pub did: String,
    /// Where its files come from.
    pub source: Source,
}

/// The algorithm.
#[derive(Debug, Clone, PartialEq)]
pub struct Algorithm {
    /// Its id without prefix; none for raw code and files sent along.
    pub id: Option<AssetId>,
    /// Its id as it stood in the document (may be empty: providers send that for raw code).
    pub did: Option<String>,
    /// Where its files come from.
    pub source: AlgorithmSource,
    /// What runs it.
    pub container: Container,
    /// `algocustomdata`, written to `inputs/algoCustomData.json` unless it is null.
    pub custom_data: Option<serde_json::Value>,
}

/// Where the algorithm comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum AlgorithmSource {
    /// `rawcode`, of any length above 0.
    Raw(String),
    /// Fetched like an input.
    Files(Source),
    /// The image holds everything; there is nothing to fetch.
    Image,
}

/// Where an asset's files come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// `url`: one or several, fetched in order into files `0`, `1`, …
    Urls(Vec<FileRef>),
    /// `remote`: through a provider, by the old protocol.
    Remote(Remote),
    /// `previousStage`: the outputs of this earlier stage. Only of data sets, never of the first stage's.
    Earlier(u32),
}

/// One file to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRef {
    /// Its URL: `inline:`, `file:`, `http:`, `https:` and what else the engine supports.
    pub url: String,
    /// The digest it must have, if the document gives one.
    pub sha256: Option<Sha256>,
}

impl FileRef {
    /// The key that an `inline:` url names; none for any other url.
    pub fn inline_key(&self) -> Option<&str> {
        match self.url.split_once(':') {
            Some((scheme, key)) if scheme.eq_ignore_ascii_case("inline") => Some(key),
            _ => None,
        }
    }

    /// The bucket that an `s3:` url names; none for any other url.
    pub fn bucket(&self) -> Option<&str> {
        match self.url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("s3") => rest.split('/').next(),
            _ => None,
        }
    }
}

/// A provider's service.
#[derive(Debug, Clone, PartialEq)]
pub struct Remote {
    /// The order's transaction.
    pub tx_id: String,
    /// The id of the service in the DDO.
    pub service_id: String,
    /// `algouserdata`, `userdata` or `userData`, whichever is there first.
    pub user_data: Option<serde_json::Value>,
    /// The digests that its files must have, by position, where the document gives them.
    pub sha256: Vec<Option<Sha256>>,
}

/// The image and how it is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The image's name, without tag and digest.
    pub image: String,
    /// The tag; used when there is no digest.
    pub tag: Option<String>,
    /// `sha256:…`; wins over the tag.
    pub digest: Option<String>,
    /// The command. Every `$ALGO` in it becomes the path of the algorithm.
    pub entrypoint: String,
}

impl Container {
    /// The image reference: by digest if there is one, else by tag.
    pub fn reference(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => format!("{}@{digest}", self.image),
            (None, Some(tag)) => format!("{}:{tag}", self.image),
            (None, None) => self.image.clone(),
        }
    }
}

/// One thing that is wrong with a document, or to be known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where: `stages[0].algorithm.container.image`, in the old body `spec.metadata.stages[0].…`, or empty for the
    /// document as a whole.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Fault {
    /// Whether the algorithm's section is at fault: such a workflow ends with code 32, any other with 31.
    pub fn is_in_algorithm(&self) -> bool {
        let stage = self.path.strip_prefix(read::OLD_BODY).unwrap_or(&self.path);
        let stage = stage.strip_prefix("stages[").and_then(|rest| rest.split_once("].algorithm"));
        let section = stage.filter(|(index, _)| index.bytes().all(|b| b.is_ascii_digit())).map(|(_, rest)| rest);
        section.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}
