//! Admin logs in a place of their own.

use super::*;
use crate::storage::manifest::Part;

async fn publish(bench: &Bench, outputs: &Storage, adminlogs: &Storage) -> PublishReport {
    let places = Places { outputs: outputs.clone().into(), adminlogs: Some(adminlogs.clone().into()) };
    run(bench.task(), &places).await
}

fn paths(manifest: &Manifest) -> Vec<&str> {
    manifest.files.iter().map(|file| file.path.as_str()).collect()
}

#[tokio::test]
async fn the_consumer_gets_outputs_and_logs_and_learns_nothing_of_the_admins() {
    let bench = Bench::usual();
    bench.write("adminlogs/bad\nname", "x");
    bench.write("outputs/bad\nname", "x");
    let [outputs, adminlogs] = [Storage::memory(), Storage::memory()];
    let published = publish(&bench, &outputs, &adminlogs).await.published.unwrap();
    let (for_consumer, for_admin) =
        (whole_or_absent(&outputs).await.unwrap(), whole_or_absent(&adminlogs).await.unwrap());
    assert_eq!((for_consumer.part, for_admin.part), (Some(Part::Outputs), Some(Part::Adminlogs)));
    assert_eq!(for_consumer.facts, for_admin.facts, "both name the job");
    assert_eq!(
        paths(&for_consumer),
        ["outputs/empty", "outputs/result.csv", "outputs/sub/deeper/x.json", "logs/algorithm.log", "logs/own.txt"]
    );
    assert_eq!(paths(&for_admin), ["adminlogs/configure.log", "adminlogs/filter.log", "adminlogs/publish.log"]);
    assert_eq!((for_consumer.refused.len(), for_admin.refused.len()), (1, 1));
    for (key, bytes) in snapshot(&outputs).await {
        let text = String::from_utf8_lossy(&bytes).into_owned() + &key;
        assert!(!text.contains("adminlogs/") && !text.contains("configrationLog"), "{key}: {text}");
    }
    // The log of publishing still tells the admin everything.
    let log = fs::read_to_string(bench.path("adminlogs/publish.log")).unwrap();
    assert!(log.contains("store outputs/result.csv") && log.contains("store adminlogs/filter.log"), "{log}");

    let place = published.adminlogs.unwrap();
    let stored = snapshot(&adminlogs).await;
    assert_eq!(place.manifest_sha256, Sha256::of(&stored["wf-1/manifest.json"]));
    assert_eq!((place.prefix.as_str(), place.manifest.as_str()), ("wf-1", "wf-1/manifest.json"));
    assert_eq!((published.files, published.refused), (8, 2), "of both");
    assert_eq!(published.manifest_sha256, Sha256::of(&snapshot(&outputs).await["wf-1/manifest.json"]));
}

#[tokio::test]
async fn what_is_withheld_leaves_the_consumer_a_manifest_without_files() {
    let mut bench = Bench::usual();
    let [outputs, adminlogs] = [Storage::memory(), Storage::memory()];
    publish(&bench, &outputs, &adminlogs).await.published.unwrap();
    bench.facts.release = false;
    bench.facts.outcome = Outcome::Withheld;
    publish(&bench, &outputs, &adminlogs).await.published.unwrap();
    let manifest = whole_or_absent(&outputs).await.unwrap();
    assert_eq!((manifest.files.len(), manifest.refused.len(), manifest.facts.outcome), (0, 0, Outcome::Withheld));
    assert_eq!(snapshot(&outputs).await["wf-1/results.json"], "[]");
    assert_eq!(whole_or_absent(&adminlogs).await.unwrap().files.len(), 3);
}

#[tokio::test]
async fn parts_are_told_apart_even_when_both_are_empty() {
    let bench = Bench::new();
    for folder in ["outputs", "logs", "adminlogs"] {
        fs::remove_dir(bench.path(folder)).unwrap();
    }
    let [outputs, adminlogs] = [Storage::memory(), Storage::memory()];
    let published = publish(&bench, &outputs, &adminlogs).await.published.unwrap();
    // In a store of content ids equal bytes would be one result, and removing one would remove the other.
    assert_ne!(published.manifest_sha256, published.adminlogs.unwrap().manifest_sha256);
}

#[tokio::test]
async fn publishing_both_parts_twice_writes_nothing_the_second_time() {
    let bench = Bench::usual();
    let (outputs, script) = faulty(Script::default());
    let (adminlogs, admin_script) = faulty(Script::default());
    let first = publish(&bench, &outputs, &adminlogs).await;
    let before = (snapshot(&outputs).await, snapshot(&adminlogs).await);
    let calls = script.calls.load(SeqCst) + admin_script.calls.load(SeqCst);
    assert_eq!(publish(&bench, &outputs, &adminlogs).await, first);
    assert_eq!(script.calls.load(SeqCst) + admin_script.calls.load(SeqCst) - calls, 6, "a list and two reads of each");
    assert_eq!((snapshot(&outputs).await, snapshot(&adminlogs).await), before);
}

#[tokio::test]
async fn whichever_call_to_either_store_fails_both_parts_are_whole_or_absent_and_outputs_come_last() {
    let bench = Bench::usual();
    for which in [0, 1] {
        for takes_effect in [false, true] {
            let mut failures = 0;
            for at in 0.. {
                let inner = [Storage::memory(), Storage::memory()];
                let script =
                    Arc::new(Script { fail_at: Some(at), stays_down: true, takes_effect, ..Script::default() });
                let mut stores = inner.clone();
                let shared = script.clone();
                stores[which] = inner[which].clone().wrapped(|store| Arc::new(Faulty { store, script: shared }));
                let report = publish(&bench, &stores[0], &stores[1]).await;
                let (outputs, adminlogs) = (whole_or_absent(&inner[0]).await, whole_or_absent(&inner[1]).await);
                assert!(outputs.is_none() || adminlogs.is_some(), "outputs are there and admin logs are not");
                let Some(fault) = report.fault else { break };
                assert!(fault.retry && fault.reason == "StorageUnavailable", "{fault:?}");
                failures += 1;
                assert_eq!(publish(&bench, &inner[0], &inner[1]).await.fault, None);
                assert_eq!(whole_or_absent(&inner[0]).await.unwrap().files.len(), 5);
                assert_eq!(whole_or_absent(&inner[1]).await.unwrap().files.len(), 3);
            }
            assert!(failures >= 6, "{failures} calls to store {which} could fail");
        }
    }
}

#[tokio::test]
async fn what_an_older_setting_left_among_outputs_goes() {
    let bench = Bench::usual();
    let [outputs, adminlogs] = [Storage::memory(), Storage::memory()];
    bench.publish(&outputs).await.published.unwrap();
    assert_eq!(whole_or_absent(&outputs).await.unwrap().part, None);
    publish(&bench, &outputs, &adminlogs).await.published.unwrap();
    assert_eq!(whole_or_absent(&outputs).await.unwrap().files.len(), 5);
}

#[tokio::test]
async fn each_part_keeps_the_names_that_its_own_store_can_hold() {
    let bench = Bench::usual();
    bench.write("outputs/a#1", "x");
    bench.write("adminlogs/a#1", "x");
    let place = tempfile::tempdir().unwrap();
    let target = Target::Directory { path: place.path().into() };
    let directory = Storage::open(&target, &Credentials::default()).unwrap();
    let outputs = Storage::memory();
    publish(&bench, &outputs, &directory).await.published.unwrap();
    assert_eq!(whole_or_absent(&outputs).await.unwrap().refused, []);
    assert_eq!(whole_or_absent(&directory).await.unwrap().refused[0].path, "adminlogs/a#1");
}
