//! The README's example, by the README's command.

use crate::{
    cluster::{Cluster, root},
    site::{PATIENCE, Site, note, script, told},
};
use operator_engine::workflow::{Outcome, digest::Sha256};
use serde_json::Value;
use std::{fs, path::PathBuf, time::Instant};

pub(crate) async fn the_penguins_come_out_as_they_should(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let _room = cluster.room.acquire().await.unwrap();
    let begun = Instant::now();
    cluster.kubectl(&["apply", "-n", &site.jobs, "-k", "manifests/examples/penguins"]).unwrap();
    let record = site.finished("penguins").await;
    note("the penguins", &record, begun.elapsed());
    assert_eq!(told(&record), (Some(Outcome::Succeeded), None), "{record:?}");
    assert_eq!(record.exit_code, Some(0));
    assert!(record.usage.is_some_and(|usage| usage.peak_memory_bytes > 1 << 20));

    // What the README promises, to the byte.
    let readme = fs::read_to_string(root().join("manifests/examples/penguins/README.md")).unwrap();
    let promised: Vec<(&str, &str)> = readme
        .lines()
        .filter_map(|line| line.trim().split_once("  "))
        .filter(|(digest, file)| digest.len() == 64 && file.starts_with("outputs/"))
        .collect();
    assert_eq!(promised.len(), 2);
    for (digest, file) in promised {
        let found = site.result("penguins", file).await.unwrap_or_else(|| panic!("{file} is not there"));
        assert_eq!(Sha256::of(found).to_string(), digest, "{file}");
    }
    // And what the record says of it.
    let results = record.results.unwrap();
    let folder = site.results("penguins").await.parent().unwrap().to_owned();
    let apart = results.adminlogs.expect("admin logs have a place of their own");
    let files = |manifest: PathBuf, sha256| {
        let manifest = fs::read(manifest).unwrap();
        assert_eq!(Sha256::of(&manifest), sha256);
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        manifest["files"].as_array().unwrap().len() as u64
    };
    let outputs = files(folder.join(&results.manifest), results.manifest_sha256);
    let logs = files(folder.join("_adminlogs").join(&apart.manifest), apart.manifest_sha256);
    assert_eq!(outputs + logs, results.files);
    assert!(site.text("penguins", "logs/filter.log").await.contains("looked at"), "the filter did not look");
    site.clean("penguins").await;
    assert!(begun.elapsed() < PATIENCE);
}

pub(crate) async fn the_filter_keeps_back_what_is_not_for_everybody(cluster: &'static Cluster) {
    let site = cluster.shipped().await;
    let secret = script("echo 'not for everybody' > $OUTPUTS/secret.txt");
    let record = site.run("the filter does not agree", "withheld", &secret).await;
    assert_eq!(told(&record), (Some(Outcome::Withheld), Some("Withheld")), "{record:?}");
    assert_eq!(site.result("withheld", "outputs/secret.txt").await, None);
    assert_eq!(site.result("withheld", "logs/algorithm.log").await, None);
    assert!(site.results("withheld").await.exists(), "not even the engine's own logs came out");
}

/// What the filter of this test does before it looks: what it sees of the admin's logs, and what it would like to change.
const CURIOUS: &str = "echo I see; ls /data/adminlogs; echo hidden > /data/logs/algorithm.log; \
    for path in inputs/x bin/operator-engine ddos/x inputs.json; do \
    if (echo x > /data/$path) 2>/dev/null; then exit 9; fi; done; /filter";

pub(crate) async fn a_filter_s_log_and_what_it_may_not_touch(cluster: &'static Cluster) {
    let settings =
        format!("[images]\nfilter_command = {}\n[leaks]\nrefuse_copies = true\n", serde_json::json!(CURIOUS));
    let site = Site::of_its_own(cluster, "curious", &settings).await;
    let record = site.run("a filter whose log is kept", "kept", &script("echo said; echo 1 > $OUTPUTS/x")).await;
    assert_eq!(told(&record), (Some(Outcome::Succeeded), None), "{record:?}");
    let admin = async |job: &str, file: &str| {
        let folder = site.results(job).await.parent().unwrap().join("_adminlogs").join(job).join("data/adminlogs");
        fs::read_to_string(folder.join(file)).unwrap_or_default()
    };
    let log = admin("kept", "filter.log").await;
    assert!(log.starts_with("I see\n") && log.contains("algorithm.log\n"), "{log}");
    assert!(!log.contains("configure.log"), "the other stages' logs are not its business: {log}");
    assert_eq!(admin("kept", "algorithm.log").await, "said\n", "as it was");
    assert_eq!(site.text("kept", "logs/algorithm.log").await, "hidden\n", "as the filter left it");
    assert!(!admin("kept", "configure.log").await.is_empty());
    let array = site.results("kept").await.parent().unwrap().join("_adminlogs/kept/results.json");
    let array: Value = serde_json::from_slice(&fs::read(array).unwrap()).unwrap();
    let listed = array.as_array().unwrap().iter().find(|entry| entry["type"] == "filteringLog").unwrap();
    assert_eq!(
        (&listed["filename"], listed["filesize"].as_u64()),
        (&Value::from("filter.log"), Some(log.len() as u64))
    );

    // The same engine refuses a copy, wherever in a file it lies.
    let mut brief = script("(echo head; cat $INPUTS/secret/0; echo tail) > $OUTPUTS/all-of-it");
    brief["stages"][0]["input"] = serde_json::json!([{"id": "secret", "url": "inline:data.csv"}]);
    let data: String = (0..500).map(|line| format!("{line},{}\n", Sha256::of(format!("{line}")))).collect();
    let _room = cluster.room.acquire().await.unwrap();
    site.submit_with("copied", &brief, &[("data.csv", &data)]).await;
    let begun = Instant::now();
    let record = site.finished("copied").await;
    note("a copy of an input", &record, begun.elapsed());
    assert_eq!(told(&record), (Some(Outcome::Withheld), Some("InputCopied")), "{record:?}");
    assert!(record.withheld && record.results.is_some(), "{record:?}");
    assert_eq!(site.result("copied", "outputs/all-of-it").await, None);
    assert_eq!(site.result("copied", "logs/algorithm.log").await, None);
    assert!(admin("copied", "leaks.log").await.contains("outputs/all-of-it"));
    site.clean("copied").await;
    site.away().await;
}
