//! What is wrong with stored results is found, whatever it is; and a download has all of it or nothing.

use super::{
    super::{
        Storage,
        download::{DownloadError, download},
        manifest::{CONTENT_TYPE, Kind, VERSION},
        unixfs::{RAW, SHA2_256},
    },
    *,
};
use crate::ethereum::OperatorKey;

mod trees;

use cid::Cid;
use object_store::path::Path;
use serde_json::json;
use std::fs;

/// A result of two outputs and a log in memory, with its manifest signed.
struct Bench {
    storage: Storage,
    stored: Stored,
    manifest: Manifest,
    expected: Expected,
}

fn key(digit: &str) -> OperatorKey {
    digit.repeat(64).parse().unwrap()
}

fn file(path: &str, text: &str) -> File {
    let (folder, relative) = path.split_once('/').unwrap();
    let folder = Folder::ALL.into_iter().find(|known| known.as_str() == folder).unwrap_or(Folder::Outputs);
    File {
        key: format!("wf-1/data/{path}"),
        path: path.to_owned(),
        kind: Kind::of(folder, relative),
        size: text.len() as u64,
        sha256: Sha256::of(text),
        content_type: "text/plain".to_owned(),
        cid: None,
    }
}

impl Bench {
    async fn new() -> Self {
        let facts = json!({"job": "wf-1", "outcome": "succeeded", "reason": null, "message": null, "exitCode": 0, "image": "x",
            "imageId": null, "document": Sha256::of("x"), "usage": null, "times": {}, "expiresAt": null, "release": true});
        let files = [("outputs/a/b.csv", "1,2\n"), ("outputs/ü #?", ""), ("logs/algorithm.log", "done\n")];
        let manifest = Manifest {
            version: VERSION,
            facts: serde_json::from_value(facts).unwrap(),
            part: None,
            partial: false,
            inputs: None,
            files: files.map(|(path, text)| file(path, text)).to_vec(),
            refused: Vec::new(),
            signer: None,
            signature: None,
        };
        let stored = Stored { job: "wf-1".parse().unwrap(), root: None };
        let mut bench = Self { storage: Storage::memory(), stored, manifest, expected: Expected::default() };
        for (path, text) in files {
            bench.put(&format!("wf-1/data/{path}"), text).await;
        }
        bench.seal().await;
        bench
    }

    async fn put(&self, key: &str, bytes: impl AsRef<[u8]>) {
        let bytes = Bytes::copy_from_slice(bytes.as_ref());
        self.storage.put(&Path::parse(key).unwrap(), bytes, CONTENT_TYPE).await.unwrap();
    }

    /// Signs the manifest, stores it with its array, and expects exactly that.
    async fn seal(&mut self) {
        self.manifest.sign(&key("1"));
        self.put("wf-1/results.json", self.manifest.results(|file| self.storage.url(&file.key))).await;
        self.put("wf-1/manifest.json", self.manifest.render()).await;
        self.expected =
            Expected { manifest: Some(Sha256::of(self.manifest.render())), signer: Some(key("1").address()) };
    }

    async fn checks(&self) -> Vec<Check> {
        verify(&self.storage, &self.stored, &self.expected, &|_| {}).await.unwrap()
    }

    /// The checks that did not pass.
    async fn wrong(&self) -> Vec<(&'static str, Verdict)> {
        let checks = self.checks().await;
        checks
            .iter()
            .map(|check| (check.name, check.verdict))
            .filter(|(_, verdict)| *verdict != Verdict::Passed)
            .collect()
    }

    async fn download(&self, folder: &std::path::Path) -> Result<std::path::PathBuf, DownloadError> {
        let bytes = self.manifest.render();
        download(&self.storage, &self.stored, (&self.manifest, &bytes), folder, &|_| {}).await
    }
}

#[tokio::test]
async fn what_was_published_is_as_it_should_be() {
    let bench = Bench::new().await;
    assert_eq!(bench.wrong().await, []);
    let names: Vec<_> = bench.checks().await.iter().map(|check| check.name).collect();
    assert_eq!(names, ["record", "signature", "names", "files", "nothing else", "results.json"]);
}

#[tokio::test]
async fn without_something_to_check_by_it_is_said_to_be_unchecked() {
    let mut bench = Bench::new().await;
    bench.expected = Expected::default();
    assert_eq!(bench.wrong().await, [("record", Verdict::Unchecked), ("signature", Verdict::Unchecked)]);
}

#[tokio::test]
async fn every_kind_of_change_is_found() {
    let bench = Bench::new().await;
    let failed = |name| vec![(name, Verdict::Failed)];
    for (key, bytes, name) in [
        ("wf-1/data/outputs/a/b.csv", "1,3\n", "files"),
        ("wf-1/data/outputs/a/b.csv", "1,2\n3", "files"),
        ("wf-1/data/outputs/a/b.csv", "1,2", "files"),
        ("wf-1/data/outputs/ü #?", "x", "files"),
        ("wf-1/data/outputs/more", "", "nothing else"),
        ("wf-1/x", "", "nothing else"),
        ("wf-1/results.json", "[]", "results.json"),
        ("wf-1/results.json", "x", "results.json"),
    ] {
        let bench = Bench::new().await;
        bench.put(key, bytes).await;
        assert_eq!(bench.wrong().await, failed(name), "{key} {bytes:?}");
    }
    bench.storage.delete(&Path::parse("wf-1/data/logs/algorithm.log").unwrap()).await.unwrap();
    let checks = bench.checks().await;
    let notes = &checks.iter().find(|check| check.name == "files").unwrap().notes;
    assert_eq!(notes, &["\"logs/algorithm.log\" is missing"]);
    // A neighbour's is none of it.
    let bench = Bench::new().await;
    bench.put("wf-10/data/outputs/a", "x").await;
    assert_eq!(bench.wrong().await, []);
}

#[tokio::test]
async fn a_manifest_that_was_changed_is_found_by_record_and_signature() {
    let mut bench = Bench::new().await;
    bench.manifest.facts.exit_code = Some(1);
    bench.put("wf-1/manifest.json", bench.manifest.render()).await;
    assert_eq!(bench.wrong().await, [("record", Verdict::Failed), ("signature", Verdict::Failed)]);
    // Signed again, by somebody else.
    bench.manifest.sign(&key("2"));
    bench.put("wf-1/manifest.json", bench.manifest.render()).await;
    bench.expected.manifest = None;
    assert_eq!(bench.wrong().await, [("record", Verdict::Unchecked), ("signature", Verdict::Failed)]);
    // And not at all.
    (bench.manifest.signer, bench.manifest.signature) = (None, None);
    bench.put("wf-1/manifest.json", bench.manifest.render()).await;
    assert_eq!(bench.wrong().await, [("record", Verdict::Unchecked), ("signature", Verdict::Failed)]);
    bench.put("wf-1/manifest.json", "{}").await;
    assert!(bench.wrong().await.contains(&("manifest", Verdict::Failed)));
    bench.storage.delete(&Path::parse("wf-1/manifest.json").unwrap()).await.unwrap();
    let none = verify(&bench.storage, &bench.stored, &bench.expected, &|_| {}).await;
    assert!(matches!(none, Err(StorageError::Missing { .. })));
}

/// Names that a manifest may hold if somebody else wrote it.
const HOSTILE: [&str; 9] = [
    "outputs/../../../escaped",
    "outputs//absolute",
    "outputs/./x",
    "outputs/",
    "secrets/x",
    "../outputs/x",
    "/etc/passwd",
    "outputs/a\nb",
    "outputs/a\0b",
];

#[tokio::test]
async fn names_that_lead_elsewhere_are_found_and_never_followed() {
    for path in HOSTILE {
        let mut bench = Bench::new().await;
        bench.manifest.files.push(file(path, "x"));
        bench.seal().await;
        assert!(bench.wrong().await.contains(&("names", Verdict::Failed)), "{path:?}");
        let dir = tempfile::tempdir().unwrap();
        let error = bench.download(&dir.path().join("to")).await.unwrap_err();
        assert!(matches!(error, DownloadError::Differs { .. }), "{path:?}: {error}");
        assert_eq!(fs::read_dir(dir.path().join("to")).unwrap().count(), 0, "{path:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "{path:?}");
    }
    // A right path with another's key.
    let mut bench = Bench::new().await;
    bench.manifest.files[0].key = "wf-2/data/outputs/a/b.csv".to_owned();
    bench.seal().await;
    assert!(bench.wrong().await.contains(&("names", Verdict::Failed)));
}

#[tokio::test]
async fn a_file_that_is_named_twice_or_is_a_folder_too_is_found_and_written_over_nothing() {
    for path in ["outputs/a/b.csv", "outputs/a", "outputs/a/b.csv/c"] {
        let mut bench = Bench::new().await;
        bench.put(&format!("wf-1/data/{path}"), "1,2\n").await;
        bench.manifest.files.push(file(path, "1,2\n"));
        bench.seal().await;
        let dir = tempfile::tempdir().unwrap();
        assert!(bench.download(dir.path()).await.is_err(), "{path}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "{path}");
    }
}

#[tokio::test]
async fn the_parts_of_a_result_cannot_be_passed_off_as_one_another() {
    let mut bench = Bench::new().await;
    bench.manifest.part = Some(Part::Adminlogs);
    bench.seal().await;
    assert_eq!(bench.wrong().await, [("names", Verdict::Failed)]);
    bench.manifest.part = Some(Part::Outputs);
    bench.seal().await;
    assert_eq!(bench.wrong().await, []);
}

#[tokio::test]
async fn content_ids_must_say_the_same_as_digests() {
    let mut bench = Bench::new().await;
    let cid = |text: &str| {
        let digest = sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(text));
        Cid::new_v1(RAW, cid::multihash::Multihash::wrap(SHA2_256, &digest).unwrap()).to_string()
    };
    bench.manifest.files[0].cid = Some(cid("1,2\n"));
    bench.seal().await;
    assert_eq!(bench.wrong().await, []);
    bench.manifest.files[1].cid = Some("bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi".to_owned());
    bench.seal().await;
    assert_eq!(bench.wrong().await, [("cids", Verdict::Unchecked)]);
    for wrong in [cid("another"), "no cid".to_owned()] {
        bench.manifest.files[0].cid = Some(wrong);
        bench.seal().await;
        assert_eq!(bench.wrong().await, [("cids", Verdict::Failed)]);
    }
}

#[tokio::test]
async fn a_download_is_whole_and_can_be_verified_where_it_lies() {
    let bench = Bench::new().await;
    let dir = tempfile::tempdir().unwrap();
    let folder = bench.download(dir.path()).await.unwrap();
    assert_eq!(folder, dir.path().join("wf-1"));
    assert_eq!(fs::read_to_string(folder.join("data/outputs/a/b.csv")).unwrap(), "1,2\n");
    let target = crate::storage::Target::Directory { path: dir.path().to_owned() };
    let store = crate::storage::open_results(&target, &crate::storage::Credentials::default()).unwrap();
    let checks = verify(&*store, &bench.stored, &bench.expected, &|_| {}).await.unwrap();
    assert!(checks.iter().all(|check| check.verdict == Verdict::Passed), "{checks:?}");
    // Never over something.
    assert!(matches!(bench.download(dir.path()).await, Err(DownloadError::Exists(_))));
    fs::remove_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink("/nowhere", &folder).unwrap();
    assert!(matches!(bench.download(dir.path()).await, Err(DownloadError::Exists(_))));
}

#[tokio::test]
async fn a_download_of_what_is_not_as_it_should_be_leaves_nothing() {
    for bytes in ["1,3\n", "1,2\n3", "1,2"] {
        let bench = Bench::new().await;
        bench.put("wf-1/data/outputs/a/b.csv", bytes).await;
        let dir = tempfile::tempdir().unwrap();
        let error = bench.download(dir.path()).await.unwrap_err();
        assert!(matches!(error, DownloadError::Differs { .. }), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
