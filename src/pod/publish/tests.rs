//! Publishing as a whole, into memory, into a folder, and into a store that fails.

mod leaks;
mod parts;

use super::*;
use crate::{
    storage::{
        Credentials, Storage, Target,
        faulty::{Faulty, Script},
        manifest::Refused,
    },
    workflow::{JobId, Outcome},
};
use bytes::Bytes;
use object_store::path::Path;
use proptest::prelude::*;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::{ffi::OsStringExt as _, fs::symlink, net::UnixListener},
    path::PathBuf,
    sync::atomic::Ordering::SeqCst,
};

/// Takes three parts in memory, and two in a folder.
const BIG: u64 = 2 * 64 * 1024 + 1;
const BIG_IN_A_FOLDER: u64 = 8 * 1024 * 1024 + 1;

struct Bench {
    dir: tempfile::TempDir,
    facts: Facts,
    key: Option<OperatorKey>,
    max_files: u64,
    max_bytes: u64,
    leaks: LeakRules,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in Layout::FOLDERS {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let facts = Facts {
            job: "wf-1".parse::<JobId>().unwrap(),
            stage: 0,
            outcome: Outcome::Succeeded,
            reason: None,
            message: None,
            exit_code: Some(0),
            image: "python@sha256:0".into(),
            image_id: None,
            document: Sha256::of("document"),
            usage: None,
            times: BTreeMap::new(),
            expires_at: Some("2026-01-01T00:00:00Z".parse().unwrap()),
            release: true,
        };
        Self { dir, facts, key: None, max_files: 1000, max_bytes: 1 << 30, leaks: LeakRules::default() }
    }

    /// A result with everything usual in it.
    fn usual() -> Self {
        let bench = Self::new();
        for (path, text) in [
            ("outputs/result.csv", "a,b\n1,2\n"),
            ("outputs/sub/deeper/x.json", "{}"),
            ("outputs/empty", ""),
            ("logs/algorithm.log", "done\n"),
            ("logs/own.txt", "x"),
            ("adminlogs/configure.log", "fetched\n"),
            ("adminlogs/filter.log", "agreed\n"),
        ] {
            bench.write(path, text);
        }
        bench
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    fn write(&self, relative: &str, text: impl AsRef<[u8]>) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A sparse file: large for its reader, nothing on disk.
    fn write_big(&self, relative: &str, len: u64) {
        fs::File::create(self.path(relative)).unwrap().set_len(len).unwrap();
    }

    fn task(&self) -> PublishTask {
        PublishTask {
            data: Layout::new(self.dir.path()),
            facts: self.facts.clone(),
            key: self.key.clone(),
            max_files: self.max_files,
            max_bytes: self.max_bytes,
            leaks: self.leaks.clone(),
            progress: Box::new(std::io::sink()),
            stop: CancellationToken::new(),
        }
    }

    async fn publish(&self, storage: &Storage) -> PublishReport {
        run(self.task(), &storage.clone().into()).await
    }

    async fn fault(&self, storage: &Storage) -> PublishFault {
        let report = self.publish(storage).await;
        assert_eq!(report.published, None);
        report.fault.unwrap()
    }

    /// Publishes into a new memory and reads the manifest.
    async fn manifest(&self) -> Manifest {
        let storage = Storage::memory();
        let report = self.publish(&storage).await;
        assert_eq!(report.fault, None);
        whole_or_absent(&storage).await.unwrap()
    }
}

async fn snapshot(storage: &Storage) -> BTreeMap<String, Bytes> {
    let mut objects = BTreeMap::new();
    for meta in storage.list(&Path::default()).await.unwrap() {
        objects.insert(meta.location.to_string(), storage.get(&meta.location, u64::MAX).await.unwrap());
    }
    objects
}

/// The promise of the module: no manifest, or one with all its files and nothing beside them.
async fn whole_or_absent(storage: &Storage) -> Option<Manifest> {
    let objects = snapshot(storage).await;
    let manifest = Manifest::parse(objects.get("wf-1/manifest.json")?).unwrap();
    for file in &manifest.files {
        let bytes = objects.get(&file.key).unwrap_or_else(|| panic!("{} is missing", file.key));
        assert_eq!((bytes.len() as u64, Sha256::of(bytes)), (file.size, file.sha256), "{}", file.key);
    }
    assert_eq!(objects["wf-1/results.json"], manifest.results(|file| storage.url(&file.key)));
    assert_eq!(objects.len(), manifest.files.len() + 2, "{:?}", objects.keys());
    Some(manifest)
}

fn faulty(script: Script) -> (Storage, Arc<Script>) {
    let script = Arc::new(script);
    let shared = script.clone();
    (Storage::memory().wrapped(|store| Arc::new(Faulty { store, script: shared })), script)
}

#[tokio::test]
async fn the_array_is_the_old_engines_to_the_byte() {
    let bench = Bench::usual();
    let storage = Storage::memory();
    let published = bench.publish(&storage).await.published.unwrap();
    let objects = snapshot(&storage).await;
    let log = objects["wf-1/data/adminlogs/publish.log"].len();
    let url = "memory:/wf-1/data";
    let expected = format!(
        concat!(
            r#"[{{"filename":"empty","filesize":0,"url":"{url}/outputs/empty","type":"output"}},"#,
            r#"{{"filename":"result.csv","filesize":8,"url":"{url}/outputs/result.csv","type":"output"}},"#,
            r#"{{"filename":"x.json","filesize":2,"url":"{url}/outputs/sub/deeper/x.json","type":"output"}},"#,
            r#"{{"filename":"algorithm.log","filesize":5,"url":"{url}/logs/algorithm.log","type":"algorithmLog"}},"#,
            r#"{{"filename":"own.txt","filesize":1,"url":"{url}/logs/own.txt","type":"output"}},"#,
            r#"{{"filename":"configure.log","filesize":8,"url":"{url}/adminlogs/configure.log","type":"configrationLog"}},"#,
            r#"{{"filename":"filter.log","filesize":7,"url":"{url}/adminlogs/filter.log","type":"filteringLog"}},"#,
            r#"{{"filename":"publish.log","filesize":{log},"url":"{url}/adminlogs/publish.log","type":"publishLog"}}]"#,
        ),
        url = url,
        log = log,
    );
    assert_eq!(objects["wf-1/results.json"], expected);
    assert_eq!(published.manifest_sha256, Sha256::of(&objects["wf-1/manifest.json"]));
    assert_eq!((published.files, published.refused), (8, 0));
    let manifest = whole_or_absent(&storage).await.unwrap();
    assert_eq!(manifest.facts, bench.facts);
    let csv = manifest.files.iter().find(|file| file.path == "outputs/result.csv").unwrap();
    assert_eq!((csv.key.as_str(), csv.content_type.as_str()), ("wf-1/data/outputs/result.csv", "text/csv"));
}

#[tokio::test]
async fn a_folder_holds_the_same_as_memory() {
    let bench = Bench::usual();
    bench.write_big("outputs/big", BIG_IN_A_FOLDER);
    let place = tempfile::tempdir().unwrap();
    let directory = Storage::open(&Target::Directory { path: place.path().into() }, &Credentials::default()).unwrap();
    let memory = Storage::memory();
    for storage in [&directory, &memory] {
        assert_eq!(bench.publish(storage).await.fault, None);
        whole_or_absent(storage).await.unwrap();
    }
    let (mut a, mut b) = (snapshot(&directory).await, snapshot(&memory).await);
    // Only the array knows where the store is.
    assert_ne!(a.remove("wf-1/results.json"), b.remove("wf-1/results.json"));
    assert_eq!(a, b);
}

#[tokio::test]
async fn what_is_no_plain_file_is_refused_by_name() {
    let bench = Bench::usual();
    symlink("/etc/passwd", bench.path("outputs/link")).unwrap();
    symlink("/etc", bench.path("outputs/folder-link")).unwrap();
    symlink("nowhere", bench.path("logs/dangling")).unwrap();
    nix::unistd::mkfifo(&bench.path("outputs/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = UnixListener::bind(bench.path("outputs/socket")).unwrap();
    bench.write("outputs/bad\nname", "x");
    let not_utf8 = std::ffi::OsString::from_vec(b"outputs/\xff".to_vec());
    fs::write(bench.dir.path().join(not_utf8), "x").unwrap();
    bench.write(&format!("outputs/{}x", "d/".repeat(40)), "x");
    let manifest = bench.manifest().await;
    let deep = format!("outputs/{}", "d/".repeat(33));
    let expected = [
        ("outputs/\\xff", "the name is not UTF-8"),
        ("outputs/bad\\nname", "a control character, or a part that is empty, '.' or '..'"),
        (deep.trim_end_matches('/'), "a folder that lies too deep"),
        ("outputs/fifo", "a FIFO"),
        ("outputs/folder-link", "a symbolic link"),
        ("outputs/link", "a symbolic link"),
        ("outputs/socket", "a socket"),
        ("logs/dangling", "a symbolic link"),
    ];
    let expected = expected.map(|(path, reason)| Refused { path: path.into(), reason: reason.into() });
    assert_eq!(manifest.refused, expected);
    assert_eq!(manifest.files.len(), 8, "the good ones are stored all the same");
    let log = fs::read_to_string(bench.path("adminlogs/publish.log")).unwrap();
    assert!(
        log.contains("store outputs/result.csv (8 bytes)\n") && log.contains("refuse outputs/fifo: a FIFO\n"),
        "{log}"
    );
}

#[tokio::test]
async fn a_folder_that_was_replaced_by_a_link_is_not_followed() {
    let bench = Bench::usual();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("secret"), "x").unwrap();
    fs::remove_dir_all(bench.path("outputs")).unwrap();
    symlink(elsewhere.path(), bench.path("outputs")).unwrap();
    let manifest = bench.manifest().await;
    assert_eq!(manifest.refused.len(), 1);
    assert_eq!(manifest.refused[0].path, "outputs");
    assert!(manifest.files.iter().all(|file| !file.path.starts_with("outputs")));
}

#[tokio::test]
async fn a_name_that_a_folder_cannot_hold_is_refused_there_only() {
    let bench = Bench::usual();
    bench.write("outputs/a#1", "x");
    let place = tempfile::tempdir().unwrap();
    let directory = Storage::open(&Target::Directory { path: place.path().into() }, &Credentials::default()).unwrap();
    assert_eq!(bench.publish(&directory).await.published.unwrap().refused, 1);
    whole_or_absent(&directory).await.unwrap();
    assert_eq!(bench.manifest().await.refused, []);
}

#[tokio::test]
async fn odd_names_are_kept_as_they_are() {
    let bench = Bench::new();
    let names = ["ü %41#?&+.csv", "~", "-rf", ".hidden", "a\\b", "\u{202e}txt", "x'\"", "...", "manifest.json"];
    for name in names {
        bench.write(&format!("outputs/{name}"), name);
    }
    let place = tempfile::tempdir().unwrap();
    let directory = Storage::open(&Target::Directory { path: place.path().into() }, &Credentials::default()).unwrap();
    assert_eq!(bench.publish(&directory).await.fault, None);
    whole_or_absent(&directory).await.unwrap();
    for name in names {
        assert_eq!(fs::read_to_string(place.path().join("wf-1/data/outputs").join(name)).unwrap(), name);
    }
}

#[tokio::test]
async fn withheld_results_leave_no_output_and_no_name() {
    let mut bench = Bench::usual();
    let storage = Storage::memory();
    bench.publish(&storage).await.published.unwrap();
    bench.facts.release = false;
    bench.facts.outcome = Outcome::Withheld;
    let published = bench.publish(&storage).await.published.unwrap();
    assert_eq!(published.files, 3);
    let manifest = whole_or_absent(&storage).await.unwrap();
    assert!(manifest.files.iter().all(|file| file.path.starts_with("adminlogs/")), "{:?}", manifest.files);
    let log = fs::read_to_string(bench.path("adminlogs/publish.log")).unwrap();
    assert!(log.contains("withheld outputs and logs") && !log.contains("result.csv"), "{log}");
}

#[tokio::test]
async fn missing_folders_are_empty_ones() {
    let bench = Bench::new();
    for folder in ["outputs", "logs", "adminlogs"] {
        fs::remove_dir(bench.path(folder)).unwrap();
    }
    let manifest = bench.manifest().await;
    assert_eq!((manifest.files.len(), manifest.refused.len()), (0, 0));
}

#[tokio::test]
async fn publishing_twice_writes_nothing_the_second_time() {
    let bench = Bench::usual();
    let (storage, script) = faulty(Script::default());
    let first = bench.publish(&storage).await;
    let before = snapshot(&storage).await;
    let calls = script.calls.load(SeqCst);
    let second = bench.publish(&storage).await;
    assert_eq!(first, second);
    assert_eq!(script.calls.load(SeqCst) - calls, 3, "a list and two reads");
    assert_eq!(snapshot(&storage).await, before);
}

#[tokio::test]
async fn leftovers_of_another_attempt_go_and_neighbours_stay() {
    let bench = Bench::usual();
    let storage = Storage::memory();
    let neighbour = Path::parse("wf-10/manifest.json").unwrap();
    for stale in ["wf-1/data/outputs/stale", "wf-1/data/outputs/result.csv/was-a-folder", "wf-1/data/outputs/sub"] {
        storage.put(&Path::parse(stale).unwrap(), Bytes::from_static(b"x"), "text/plain").await.unwrap();
    }
    storage.put(&neighbour, Bytes::from_static(b"x"), "text/plain").await.unwrap();
    bench.publish(&storage).await.published.unwrap();
    assert_eq!(storage.get(&neighbour, 10).await.unwrap(), "x");
    storage.delete(&neighbour).await.unwrap();
    whole_or_absent(&storage).await.unwrap();
}

#[tokio::test]
async fn in_a_folder_a_file_may_take_a_folders_place_and_the_reverse() {
    let bench = Bench::new();
    let place = tempfile::tempdir().unwrap();
    let directory = Storage::open(&Target::Directory { path: place.path().into() }, &Credentials::default()).unwrap();
    bench.write("outputs/a/b/c", "1");
    bench.write("outputs/d", "1");
    bench.publish(&directory).await.published.unwrap();
    fs::remove_dir_all(bench.path("outputs/a")).unwrap();
    fs::remove_file(bench.path("outputs/d")).unwrap();
    bench.write("outputs/a", "2");
    bench.write("outputs/d/e", "2");
    assert_eq!(bench.publish(&directory).await.fault, None);
    whole_or_absent(&directory).await.unwrap();
}

#[tokio::test]
async fn whichever_call_fails_the_result_is_whole_or_absent_and_another_attempt_completes_it() {
    let bench = Bench::usual();
    bench.write_big("outputs/big", BIG);
    // An older result with other files is in the way, so that all kinds of calls happen.
    let older = Bench::new();
    older.write("outputs/older", "x");
    older.write("outputs/result.csv", "other");
    for takes_effect in [false, true] {
        for stays_down in [true, false] {
            let mut failures = 0;
            for at in 0.. {
                let storage = Storage::memory();
                older.publish(&storage).await.published.unwrap();
                let inner = storage.clone();
                let script = Arc::new(Script { fail_at: Some(at), stays_down, takes_effect, ..Script::default() });
                let shared = script.clone();
                let failing = storage.wrapped(|store| Arc::new(Faulty { store, script: shared }));
                let report = bench.publish(&failing).await;
                let manifest = whole_or_absent(&inner).await;
                assert_eq!(script.unfinished_uploads.load(SeqCst), 0, "call {at}");
                let Some(fault) = report.fault else {
                    assert!(script.calls.load(SeqCst) <= at, "call {at} failed and nobody noticed");
                    break;
                };
                assert!(fault.retry && fault.reason == "StorageUnavailable", "{fault:?}");
                failures += 1;
                if let Some(manifest) = manifest {
                    // The older one, untouched, or the new one whose acknowledgement was lost.
                    assert!(manifest.files.len() == 3 || manifest.files.len() == 9, "{:?}", manifest.files);
                }
                assert_eq!(bench.publish(&inner).await.fault, None);
                assert_eq!(whole_or_absent(&inner).await.unwrap().files.len(), 9);
            }
            assert!(failures >= 18, "{failures} calls could fail");
        }
    }
}

#[tokio::test]
async fn no_more_than_the_bound_is_on_its_way_at_once() {
    let bench = Bench::new();
    for n in 0..50 {
        bench.write(&format!("outputs/{n}"), "x");
    }
    let (storage, script) = faulty(Script::default());
    bench.publish(&storage).await.published.unwrap();
    let most = script.most_writing.load(SeqCst);
    assert!((2..=CONCURRENCY).contains(&most), "{most}");
}

#[tokio::test]
async fn a_file_that_changes_asks_for_another_attempt() {
    let bench = Bench::usual();
    let tree = Tree::open(bench.dir.path()).unwrap();
    let storage = Storage::memory();
    let limits = Limits { entries: 100, bytes: 1000 };
    let walk = walk::walk(&tree, &Folder::ALL, Keys(&bench.facts.result()), &storage.clone().into(), limits).unwrap();
    let progress = Arc::new(Progress::new(Box::new(std::io::sink())));
    let sender = Sender::new(tree, storage, progress);
    let found = walk.files.iter().find(|found| found.relative == "result.csv").unwrap();
    let digest = || sender.clone().digest(found.clone(), CancellationToken::new());
    assert!(digest().await.is_ok());
    for change in ["longer than before", "short"] {
        bench.write("outputs/result.csv", change);
        let fault = digest().await.unwrap_err();
        assert!(fault.retry() && fault.reason() == "FileChanged", "{fault}");
    }
    fs::remove_file(bench.path("outputs/result.csv")).unwrap();
    symlink("/etc/passwd", bench.path("outputs/result.csv")).unwrap();
    assert_eq!(digest().await.unwrap_err().reason(), "FileChanged");
}

#[tokio::test]
async fn too_much_is_refused_before_anything_is_stored() {
    let mut bench = Bench::usual();
    let storage = Storage::memory();
    bench.max_files = 5;
    let fault = bench.fault(&storage).await;
    assert_eq!((fault.reason.as_str(), fault.retry), ("TooManyFiles", false));
    bench.max_files = 100;
    bench.write_big("outputs/huge", 1 << 42);
    let fault = bench.fault(&storage).await;
    assert_eq!((fault.reason.as_str(), fault.retry), ("ResultsTooLarge", false));
    assert!(snapshot(&storage).await.is_empty());
}

#[tokio::test]
async fn a_wish_to_stop_is_obeyed_and_asks_for_another_attempt() {
    let bench = Bench::usual();
    let task = bench.task();
    task.stop.cancel();
    let storage = Storage::memory();
    let fault = run(task, &storage.clone().into()).await.fault.unwrap();
    assert_eq!((fault.reason.as_str(), fault.retry), ("Interrupted", true));
    assert!(whole_or_absent(&storage).await.is_none());
}

#[tokio::test]
async fn adminlogs_that_cannot_be_written_do_not_matter() {
    let bench = Bench::usual();
    // A folder of that name, with something in it, cannot be replaced by a file, whoever asks.
    bench.write("adminlogs/publish.log/x", "x");
    let manifest = bench.manifest().await;
    assert!(manifest.files.iter().any(|file| file.path == "adminlogs/publish.log/x"));
    assert!(!manifest.files.iter().any(|file| file.kind == Kind::PublishLog));
}

#[tokio::test]
async fn a_link_in_the_logs_place_is_replaced_and_not_written_through() {
    let bench = Bench::usual();
    let elsewhere = bench.path("kept");
    fs::write(&elsewhere, "kept").unwrap();
    symlink(&elsewhere, bench.path("adminlogs/publish.log")).unwrap();
    let manifest = bench.manifest().await;
    assert_eq!(fs::read_to_string(elsewhere).unwrap(), "kept");
    assert_eq!(manifest.refused, []);
    assert!(manifest.files.iter().any(|file| file.kind == Kind::PublishLog));
}

#[tokio::test]
async fn progress_is_told_in_lines() {
    let bench = Bench::usual();
    let (reader, writer) = std::io::pipe().unwrap();
    let task = PublishTask { progress: Box::new(writer), ..bench.task() };
    run(task, &Storage::memory().into()).await.published.unwrap();
    let text = std::io::read_to_string(reader).unwrap();
    assert!(text.starts_with("8 files with ") && text.ends_with("published wf-1/manifest.json in memory:\n"), "{text}");
}

#[test]
fn a_fault_fits_its_report_whatever_it_holds() {
    let report = misunderstood(&"\u{1}\"\\é".repeat(10_000));
    assert!(crate::workflow::report::render(&report).len() < crate::workflow::report::MAX_LEN);
}

fn trees() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let name = prop_oneof!["[a-c]", "[ -~&&[^/]]{1,6}", "\\PC{1,4}"];
    let path = (prop::sample::select(vec!["outputs", "logs", "adminlogs"]), prop::collection::vec(name, 1..4))
        .prop_map(|(folder, parts)| format!("{folder}/{}", parts.join("/")));
    prop::collection::vec((path, prop::collection::vec(any::<u8>(), 0..50)), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_tree_is_published_whole_and_twice_the_same(files in trees(), release: bool) {
        let mut bench = Bench::new();
        bench.facts.release = release;
        for (path, text) in files {
            let path = bench.path(&path);
            // Paths that clash with earlier ones, or that no file system has, are not made.
            if path.components().any(|part| part == std::path::Component::ParentDir)
                || fs::create_dir_all(path.parent().unwrap()).is_err() {
                continue;
            }
            let _ = fs::write(path, text);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (one, two) = (Storage::memory(), Storage::memory());
            let first = bench.publish(&one).await;
            prop_assert_eq!(&first.fault, &None);
            whole_or_absent(&one).await.unwrap();
            prop_assert_eq!(&bench.publish(&one).await, &first);
            prop_assert_eq!(&bench.publish(&two).await, &first);
            prop_assert_eq!(snapshot(&one).await, snapshot(&two).await);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_signed_manifest_is_the_same_however_often_it_is_published_and_another_key_makes_another() {
    let mut bench = Bench::usual();
    let storage = Storage::memory();
    let published = async |bench: &Bench| bench.publish(&storage).await.published.unwrap().manifest_sha256;
    let unsigned = published(&bench).await;
    bench.key = Some("11".repeat(32).parse().unwrap());
    let signed = published(&bench).await;
    assert_ne!(signed, unsigned);
    assert_eq!(published(&bench).await, signed);
    let bytes = storage.get(&Path::parse("wf-1/manifest.json").unwrap(), u64::MAX).await.unwrap();
    assert_eq!(manifest::signed::signer(&bytes), Ok(bench.key.as_ref().unwrap().address()));
    bench.key = Some("22".repeat(32).parse().unwrap());
    assert_ne!(published(&bench).await, signed);
}

#[tokio::test]
async fn the_manifest_names_what_the_algorithm_was_given_if_configure_said_so() {
    let bench = Bench::usual();
    assert_eq!(bench.manifest().await.inputs, None);
    bench.write("inputs.json", format!(r#"[{{"path":"inputs/a/0","size":3,"sha256":"{}"}}]"#, Sha256::of("abc")));
    let input = Input { path: "inputs/a/0".to_owned(), size: 3, sha256: Sha256::of("abc"), stage: None };
    let manifest = bench.manifest().await;
    assert_eq!(manifest.inputs, Some(vec![input]));
    assert!(manifest.files.iter().all(|file| !file.path.contains("inputs.json")), "the list itself is not published");
    for other in ["", "[1]", "{}"] {
        bench.write("inputs.json", other);
        assert_eq!(bench.manifest().await.inputs, None, "{other}");
    }
    fs::remove_file(bench.path("inputs.json")).unwrap();
    symlink("/etc/passwd", bench.path("inputs.json")).unwrap();
    assert_eq!(bench.manifest().await.inputs, None);
}

#[tokio::test]
async fn results_that_may_be_incomplete_are_marked() {
    let mut bench = Bench::usual();
    for (outcome, partial) in [
        (Outcome::Succeeded, false),
        (Outcome::Failed, true),
        (Outcome::Stopped, true),
        (Outcome::TimedOut, true),
        (Outcome::Withheld, false),
    ] {
        bench.facts.outcome = outcome;
        assert_eq!(bench.manifest().await.partial, partial, "{outcome:?}");
    }
}
