//! What reading and deleting results can rely on, of every kind of store.

use crate::stores;
use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt as _;
use operator_engine::{
    pod::{
        layout::Layout,
        publish::{self, PublishTask},
    },
    storage::{ResultStore, Storage, StorageError, Stored, download, manifest::Manifest, verify},
    workflow::{Facts, ResultId, digest::Sha256},
};
use std::{collections::BTreeMap, fs, path::Path};
use tokio_util::sync::CancellationToken;

/// A store under test.
#[async_trait]
pub(crate) trait Subject: Sync {
    /// As readers and deleters see it.
    fn results(&self) -> &dyn ResultStore;

    /// Publishes these outputs under this job's name, as the publish pod does.
    async fn publish(&self, job: &str, outputs: &[(&str, &[u8])]) -> Stored;

    /// Leaves what a publishing leaves that was interrupted before its manifest.
    async fn leave_half(&self, job: &str) -> Stored;

    /// Whether the store can tell when something was written.
    fn knows_times(&self) -> bool {
        true
    }
}

/// The operator's, as pairs of digits.
const KEY: &str = "11";

const NAMES: [&str; 9] =
    ["a.csv", "a", "a-b/c", "a b/c", "ü %41#?&+.csv", "deep/er/and/deeper", ".hidden", "<a>&\"'", "ends in a blank "];

/// Everything that is asked of a store. It must be empty, and is empty afterwards.
pub(crate) async fn keeps_the_contract(subject: &dyn Subject) {
    let store = subject.results();
    // Nothing.
    assert_eq!(store.jobs().await.unwrap(), [], "{}", store.name());
    let nothing = Stored { job: "wf-1".parse().unwrap(), root: None };
    assert_has_nothing(store, &nothing).await;
    assert_eq!(store.remove(&nothing).await.unwrap().objects, 0);

    // A result and its neighbours, whose names begin alike.
    let files: Vec<(&str, Vec<u8>)> = NAMES.iter().map(|name| (*name, name.as_bytes().repeat(3))).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    let stored = subject.publish("wf-1", &files).await;
    let neighbour = subject.publish("wf-10", &[("a.csv", b"a neighbour's")]).await;
    // Another stage of the same workflow, and a workflow that is called nearly so.
    let later = subject.publish("wf-1_1", &[("a.csv", b"a later stage's")]).await;
    let jobs: Vec<_> = store.jobs().await.unwrap().into_iter().map(|stored| stored.job.to_string()).collect();
    assert_eq!(jobs, ["wf-1", "wf-10", "wf-1_1"]);
    assert_holds(store, &stored, &files).await;
    let neighbours = manifest(store, &neighbour).await.unwrap();
    let foreign = store.read(&stored, &neighbours.files[0].key).await.err();
    assert!(matches!(foreign, Some(StorageError::Missing { .. })), "{foreign:?}");
    let absent = store.read(&stored, "wf-1/data/outputs/absent").await.err();
    assert!(matches!(absent, Some(StorageError::Missing { .. })), "{absent:?}");
    if subject.knows_times() {
        let written = store.last_written(&stored).await.unwrap().unwrap();
        let apart = jiff::Timestamp::now().duration_since(written).abs();
        assert!(apart.as_secs() < 600, "{written}");
    }

    // Published again with other files, it is the new one and nothing of the old one.
    let stored = subject.publish("wf-1", &[("a.csv", b"new"), ("big", &vec![7; 1 << 20])]).await;
    assert_holds(store, &stored, &[("a.csv", b"new"), ("big", &vec![7; 1 << 20])]).await;

    // Removed, it is gone, once and for all, and its neighbour is not.
    let removed = store.remove(&stored).await.unwrap();
    assert!(removed.objects > 0 && removed.bytes > 1 << 20, "{removed:?}");
    assert_has_nothing(store, &stored).await;
    assert_eq!(store.remove(&stored).await.unwrap().objects, 0);
    assert_holds(store, &neighbour, &[("a.csv", b"a neighbour's")]).await;
    assert_holds(store, &later, &[("a.csv", b"a later stage's")]).await;
    store.remove(&later).await.unwrap();
    assert_has_nothing(store, &later).await;

    // What was never finished is found, has no manifest, and can be removed.
    let half = subject.leave_half("wf-2").await;
    let jobs: Vec<_> = store.jobs().await.unwrap().into_iter().map(|stored| stored.job.to_string()).collect();
    assert!(jobs.contains(&"wf-2".to_owned()), "{jobs:?}");
    assert_eq!(store.manifest(&half).await.unwrap(), None);
    assert_eq!(store.last_written(&half).await.unwrap().is_some(), subject.knows_times());
    store.remove(&half).await.unwrap();
    assert_has_nothing(store, &half).await;

    store.remove(&neighbour).await.unwrap();
    if let Some(now) = store.now().await.unwrap() {
        assert!(jiff::Timestamp::now().duration_since(now).abs().as_secs() < 60, "{now}");
    }
}

/// Every operation says that the store is not there. None takes it for an empty one.
pub(crate) async fn is_an_error_throughout(store: &dyn ResultStore) {
    let stored = Stored { job: "wf-1".parse().unwrap(), root: None };
    let errors = [
        store.jobs().await.map(drop),
        store.manifest(&stored).await.map(drop),
        store.read(&stored, "wf-1/data/outputs/a").await.map(drop),
        store.last_written(&stored).await.map(drop),
        store.remove(&stored).await.map(drop),
    ];
    for error in errors {
        let error = error.unwrap_err();
        assert!(!matches!(error, StorageError::Missing { .. }), "{error:?}");
    }
}

async fn assert_has_nothing(store: &dyn ResultStore, stored: &Stored) {
    assert_eq!(store.manifest(stored).await.unwrap(), None);
    assert_eq!(store.last_written(stored).await.unwrap(), None);
    let key = format!("{}/data/outputs/a.csv", stored.job);
    let read = store.read(stored, &key).await.err();
    assert!(matches!(read, Some(StorageError::Missing { .. })), "{read:?}");
}

async fn assert_holds(store: &dyn ResultStore, stored: &Stored, files: &[(&str, &[u8])]) {
    let manifest = manifest(store, stored).await.unwrap();
    let mut outputs = BTreeMap::new();
    for file in &manifest.files {
        let bytes = read(store, stored, &file.key).await;
        assert_eq!((bytes.len() as u64, Sha256::of(&bytes)), (file.size, file.sha256), "{}", file.path);
        if let Some(name) = file.path.strip_prefix("outputs/") {
            outputs.insert(name, bytes);
        }
    }
    let expected = files.iter().map(|(name, bytes)| (*name, bytes.to_vec())).collect();
    assert_eq!(outputs, expected);
    assert_verified(store, stored).await;
}

/// What was published is as it should be, says whoever verifies it; and a download of it as well.
async fn assert_verified(store: &dyn ResultStore, stored: &Stored) {
    let bytes = store.manifest(stored).await.unwrap().unwrap();
    let signer = KEY.repeat(32).parse::<operator_engine::ethereum::OperatorKey>().unwrap().address();
    let expected = verify::Expected { manifest: Some(Sha256::of(&bytes)), signer: Some(signer) };
    let checks = verify::verify(store, stored, &expected, &|_| {}).await.unwrap();
    let passed = |check: &verify::Check| check.verdict == verify::Verdict::Passed;
    assert!(checks.len() > 5 && checks.iter().all(passed), "{}: {checks:?}", store.name());
    let dir = tempfile::tempdir().unwrap();
    let manifest = Manifest::parse(&bytes).unwrap();
    let target = download::download(store, stored, (&manifest, &bytes), dir.path(), &|_| {}).await.unwrap();
    for file in &manifest.files {
        let got = fs::read(target.join("data").join(&file.path)).unwrap();
        assert_eq!(Sha256::of(got), file.sha256, "{}", file.path);
    }
}

async fn manifest(store: &dyn ResultStore, stored: &Stored) -> Option<Manifest> {
    Some(Manifest::parse(&store.manifest(stored).await.unwrap()?).unwrap())
}

pub(crate) async fn read(store: &dyn ResultStore, stored: &Stored, key: &str) -> Vec<u8> {
    let chunks: Vec<Bytes> = store.read(stored, key).await.unwrap().try_collect().await.unwrap();
    chunks.concat()
}

/// A data folder with these outputs, and what a workflow of this name says of itself.
pub(crate) fn prepared(job: &str, outputs: &[(&str, &[u8])]) -> (tempfile::TempDir, Facts) {
    let dir = tempfile::tempdir().unwrap();
    for folder in Layout::FOLDERS {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    for (name, bytes) in outputs {
        let path = dir.path().join("outputs").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let id: ResultId = job.parse().unwrap();
    let facts = serde_json::json!({
        "job": id.job(), "stage": id.stage(), "outcome": "succeeded", "reason": null, "message": null, "exitCode": 0, "image": "x",
        "document": Sha256::of("x"), "usage": null, "times": {}, "expiresAt": null, "release": true,
    });
    (dir, serde_json::from_value(facts).unwrap())
}

pub(crate) fn task(data: &Path, facts: Facts) -> PublishTask {
    PublishTask {
        data: Layout::new(data),
        key: Some(KEY.repeat(32).parse().unwrap()),
        facts,
        max_files: 100_000,
        max_bytes: u64::MAX,
        leaks: Default::default(),
        progress: Box::new(std::io::sink()),
        stop: CancellationToken::new(),
    }
}

#[async_trait]
impl Subject for Storage {
    fn results(&self) -> &dyn ResultStore {
        self
    }

    async fn publish(&self, job: &str, outputs: &[(&str, &[u8])]) -> Stored {
        let (dir, facts) = prepared(job, outputs);
        let report = publish::run(task(dir.path(), facts), &self.clone().into()).await;
        assert_eq!(report.fault, None);
        Stored { job: job.parse().unwrap(), root: None }
    }

    async fn leave_half(&self, job: &str) -> Stored {
        let key = format!("{job}/data/outputs/half").try_into().unwrap();
        self.put(&key, Bytes::from_static(b"x"), "text/plain").await.unwrap();
        Stored { job: job.parse().unwrap(), root: None }
    }
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    keeps_the_contract(&Storage::memory()).await;
}

#[tokio::test]
async fn a_folder_keeps_the_contract() {
    let (_dir, directory) = stores::directory();
    keeps_the_contract(&directory).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_s3_server_keeps_the_contract() {
    let (target, credentials) = stores::s3();
    keeps_the_contract(&stores::open(&target, &credentials)).await;
}
