//! The description of a store, and a store from it.

use super::{Credentials, Storage, StorageError, Traits, s3};
use object_store::{local::LocalFileSystem, path::Path};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{self, PathBuf},
    sync::Arc,
};

/// Where results are to go. It travels to the publish pod on its command line, so it holds no credentials; those come
/// from a Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Target {
    /// A folder of this machine; made if it is missing.
    Directory {
        /// The folder.
        path: PathBuf,
    },
    /// A bucket of Amazon's S3 or of any server that speaks its protocol.
    S3(S3),
    /// An IPFS node (Kubo).
    Ipfs(Ipfs),
    /// An IPFS cluster (ipfs-cluster), which keeps each result on several nodes.
    IpfsCluster(IpfsCluster),
}

/// Where results, and the admin's logs of them, go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Targets {
    /// Outputs and the algorithm's logs: what the consumer gets.
    pub outputs: Target,
    /// The stages' logs, which are the admin's. None: with the outputs, where the consumer sees them, as in the old engine.
    pub adminlogs: Option<Target>,
}

/// See [`Target::S3`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct S3 {
    /// The bucket; it must exist.
    pub bucket: String,
    /// What all keys begin with, without a slash at either end. Empty: nothing, as in the old engine.
    #[serde(default)]
    pub prefix: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The server's URL, if it is not Amazon's.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Whether the bucket stands in the URL's path rather than in its host name.
    #[serde(default)]
    pub path_style: bool,
    /// Whether the endpoint may be plain `http:`.
    #[serde(default)]
    pub allow_http: bool,
    /// Certificates (PEM) that are trusted beside the system's.
    #[serde(default)]
    pub ca: Option<String>,
    /// The role to take on with a web identity token, instead of keys.
    #[serde(default)]
    pub role_arn: Option<String>,
    /// The URL (`https:`) of the service that gives the role's keys, if it is not Amazon's for the region.
    #[serde(default)]
    pub sts_endpoint: Option<String>,
}

/// See [`Target::Ipfs`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ipfs {
    /// The URL of the node's RPC interface, e.g. `http://kubo:5001`.
    pub api: String,
    /// The folder of the node's MFS in which every result is linked, e.g. `/operator-engine`.
    pub folder: String,
    /// What the URL of a stored file begins with: a gateway's address, or `ipfs://`. Ends in a slash.
    pub url_prefix: String,
    /// Whether such URLs have the old engine's two slashes after the content id.
    #[serde(default)]
    pub double_slash: bool,
    /// Certificates (PEM) that are trusted beside the system's.
    #[serde(default)]
    pub ca: Option<String>,
}

/// See [`Target::IpfsCluster`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IpfsCluster {
    /// The URL of the cluster's REST interface, e.g. `http://ipfs-cluster:9094`.
    pub api: String,
    /// The URL of the RPC interface of an IPFS node that reads what the cluster holds.
    pub node: String,
    /// What the pins of results are named after, before a slash and the job's id. The admin's logs need another.
    pub group: String,
    /// The fewest and the most nodes that keep a result; none: the cluster's own setting.
    #[serde(default)]
    pub replication: Option<(u32, u32)>,
    /// How long to wait until a node says that it keeps it, in seconds.
    pub pin_timeout_secs: u64,
    /// As [`Ipfs::url_prefix`].
    pub url_prefix: String,
    /// As [`Ipfs::double_slash`].
    #[serde(default)]
    pub double_slash: bool,
    /// Certificates (PEM) that are trusted beside the system's.
    #[serde(default)]
    pub ca: Option<String>,
}

/// What suits S3 suits a disk.
const PART_LEN: u64 = 8 * 1024 * 1024;

pub(super) fn open(target: &Target, credentials: &Credentials) -> Result<Storage, StorageError> {
    match target {
        Target::Directory { path } => directory(path),
        Target::S3(target) => s3::open(target, credentials),
        Target::Ipfs(Ipfs { api, .. }) | Target::IpfsCluster(IpfsCluster { api, .. }) => {
            Err(StorageError::misconfigured("it takes whole results, not objects one by one".to_owned(), api))
        }
    }
}

fn directory(path: &path::Path) -> Result<Storage, StorageError> {
    const WHAT: &str = "be used as a folder for results";
    let shown = format!("file://{}", path.display());
    fs::create_dir_all(path).map_err(|error| StorageError::of_io(WHAT, &shown, &error))?;
    let path = path.canonicalize().map_err(|error| StorageError::of_io(WHAT, &shown, &error))?;
    let text = path
        .to_str()
        .ok_or_else(|| StorageError::misconfigured("the folder's name is not UTF-8".to_owned(), &shown))?;
    let store = LocalFileSystem::new_with_prefix(&path)
        .map_err(|error| StorageError::misconfigured(error.to_string(), &shown))?
        // An acknowledged result survives a power cut, as it does in S3.
        .with_fsync(true)
        // A folder left empty must not stand where a file is to be.
        .with_automatic_cleanup(true);
    let name = format!("file://{}", percent_encode(text));
    let traits = Traits { content_type: false, part_len: PART_LEN, refuses: refused_by_directory };
    let base_url = format!("{}/", name.trim_end_matches('/'));
    Ok(Storage { store: Arc::new(store), base_url, name, traits, folder: Some(path), bucket: None })
}

/// Why one kind of store or another cannot hold an object of this key, if so.
pub fn refused_by_some(key: &Path) -> Option<&'static str> {
    refused_by_directory(key).or_else(|| s3::refused(key))
}

/// Why a folder cannot hold an object of this key.
fn refused_by_directory(key: &Path) -> Option<&'static str> {
    let name = key.filename()?;
    if name.len() > MAX_NAME_LEN {
        return Some("a name of more than 250 bytes: a folder of results needs some for itself");
    }
    is_staged(name).then_some("a name that ends in '#' and digits is reserved in a folder of results")
}

/// File systems take 255, `#<digits>` included.
const MAX_NAME_LEN: usize = 250;

/// object_store writes a file under a name that ends in `#<digits>` before it gives it its own, and lists no such name
/// (`local.rs`, `is_valid_file_path`). So no object has one, and a process that is killed leaves one behind.
fn is_staged(name: &str) -> bool {
    name.split_once('#').is_some_and(|(_, end)| !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Removes what was never finished below `folder`, and folders left empty. A missing folder has nothing in it.
pub(super) fn remove_staged(folder: &path::Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            remove_staged(&entry.path())?;
        } else if kind.is_file() && entry.file_name().to_str().is_some_and(is_staged) {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    // Fails for a folder that is not empty, which is right.
    let _ = fs::remove_dir(folder);
    Ok(())
}

/// A path as it stands in a URL: all but RFC 3986's unreserved characters and `/` encoded.
pub(super) fn percent_encode(path: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read_strictly() {
        let target = Target::Directory { path: "/srv/results".into() };
        let text = r#"{"kind":"directory","path":"/srv/results"}"#;
        assert_eq!(serde_json::to_string(&target).unwrap(), text);
        assert_eq!(serde_json::from_str::<Target>(text).unwrap(), target);
        assert!(serde_json::from_str::<Target>(r#"{"kind":"directory","path":"/x","bucket":"b"}"#).is_err());
        assert!(serde_json::from_str::<Target>(r#"{"kind":"floppy"}"#).is_err());
    }

    #[test]
    fn a_folders_urls_are_urls() {
        let dir = tempfile::tempdir().unwrap();
        let storage = open(&Target::Directory { path: dir.path().join("a b") }, &Credentials::default()).unwrap();
        let root = dir.path().canonicalize().unwrap();
        assert_eq!(storage.name(), format!("file://{}/a%20b", root.display()));
        let url = storage.url("wf/data/outputs/ü#?.csv");
        assert_eq!(url, format!("file://{}/a%20b/wf/data/outputs/%C3%BC%23%3F.csv", root.display()));
    }

    #[test]
    fn a_folder_that_cannot_be_is_told_at_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "x").unwrap();
        let error =
            open(&Target::Directory { path: dir.path().join("file/results") }, &Credentials::default()).unwrap_err();
        assert!(matches!(error, StorageError::Misconfigured { .. }), "{error}");
    }

    #[test]
    fn only_reserved_names_are_refused_by_a_folder() {
        let (longest, too_long) = (format!("a/{}", "n".repeat(250)), format!("a/{}", "n".repeat(251)));
        for (key, refused) in [
            (&*longest, false),
            (&too_long, true),
            ("a/b#1", true),
            ("a/b#1x", false),
            ("a/b#", false),
            ("a#1/b", false),
            ("#12", true),
        ] {
            assert_eq!(refused_by_directory(&Path::parse(key).unwrap()).is_some(), refused, "{key}");
        }
    }
}
