//! The README's example, by the README's command.

use crate::{
    cluster::{Cluster, root},
    site::{PATIENCE, note, script, told},
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
