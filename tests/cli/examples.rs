//! The examples, as their READMEs say; what comes out is compared with numbers that were computed by other means.

use crate::bench::Bench;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, fs, path::Path};

/// `manifests/examples/penguins/README.md`, "What comes out": computed by pandas, statsmodels and numpy.
const SUMMARY_SHA256: &str = "e11d1c8f1b4acea51f3cca5a5a908d32e1afe2cdcd6343d8e8e35e1c7832a51f";
const FIT_SHA256: &str = "99266861ce3d96cb86555db4099ee49f0950985d0353bbab069eee2ba06a6a55";
const SPECIES: [(&str, [f64; 9], [u32; 4]); 3] = [
    ("Adelie", [152.0, 38.7914, 2.6634, 18.3464, 1.2166, 189.9536, 6.5395, 3700.6623, 458.5661], [1, 1, 1, 1]),
    ("Chinstrap", [68.0, 48.8338, 3.3393, 18.4206, 1.1354, 195.8235, 7.1319, 3733.0882, 384.3351], [0, 0, 0, 0]),
    ("Gentoo", [124.0, 47.5049, 3.0819, 14.9821, 0.9812, 217.1870, 6.4850, 5076.0163, 504.1162], [1, 1, 1, 1]),
];
const FIT: [(&str, f64); 4] = [
    ("intercept", -6424.764698),
    ("bill_length_mm", 4.161820),
    ("bill_depth_mm", 20.049533),
    ("flipper_length_mm", 50.269222),
];

fn sha256(path: &Path) -> String {
    hex::encode(Sha256::digest(fs::read(path).unwrap()))
}

/// The penguins' outputs are the known ones, byte for byte and number for number.
fn assert_penguins(directory: &Path) {
    let outputs = directory.join("data/outputs");
    let table = fs::read_to_string(outputs.join("summary.csv")).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert_eq!(rows.len(), SPECIES.len());
    for (row, (species, numbers, missing)) in rows.iter().zip(SPECIES) {
        assert_eq!(row[0], species);
        let of = |columns: &[usize]| columns.iter().map(|&n| row[n].parse::<f64>().unwrap()).collect::<Vec<_>>();
        assert_eq!(of(&[1, 2, 3, 5, 6, 8, 9, 11, 12]), numbers, "{species}");
        assert_eq!(of(&[4, 7, 10, 13]), missing.map(f64::from), "{species}");
    }
    let fit: Value = serde_json::from_slice(&fs::read(outputs.join("fit/body_mass.json")).unwrap()).unwrap();
    assert_eq!((&fit["n"], &fit["r_squared"]), (&json!(342), &json!(0.761470)));
    for (name, value) in FIT {
        assert_eq!(fit["coefficients"][name], json!(value), "{name}");
    }
    assert_eq!(sha256(&outputs.join("summary.csv")), SUMMARY_SHA256);
    assert_eq!(sha256(&outputs.join("fit/body_mass.json")), FIT_SHA256);
}

/// Both manifests speak of the files that are there, and of nothing else.
fn assert_manifests(directory: &Path) {
    let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
    let manifest: Value = serde_json::from_str(&read("manifest.json")).unwrap();
    let files = manifest["files"].as_array().unwrap();
    let mut kinds = BTreeMap::new();
    for file in files {
        let path = file["path"].as_str().unwrap();
        let stored = directory.join("data").join(path);
        assert_eq!(file["sha256"], sha256(&stored), "{path}");
        assert_eq!(file["size"], fs::metadata(&stored).unwrap().len(), "{path}");
        let key = format!("{}/data/{path}", directory.file_name().unwrap().to_str().unwrap());
        assert_eq!(file["key"], key, "the key is the place in the store");
        kinds.insert(path.to_owned(), file["type"].as_str().unwrap().to_owned());
    }
    assert_eq!(kinds["logs/algorithm.log"], "algorithmLog");
    assert_eq!(kinds["adminlogs/configure.log"], "configrationLog", "as clients of the old engine know it");
    assert_eq!(kinds["adminlogs/publish.log"], "publishLog");
    assert_eq!(
        (&manifest["version"], &manifest["outcome"], &manifest["exitCode"]),
        (&json!(1), &json!("succeeded"), &json!(0))
    );
    for stage in ["configure", "algorithm"] {
        let times = &manifest["times"][stage];
        let time = |name: &str| times[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        assert!(time("started") <= time("ended"), "{stage}");
    }

    let results: Vec<serde_json::Map<String, Value>> = serde_json::from_str(&read("results.json")).unwrap();
    assert_eq!(results.len(), files.len());
    for (entry, file) in results.iter().zip(files) {
        let members: Vec<_> = entry.keys().map(String::as_str).collect();
        assert_eq!(members, ["filename", "filesize", "url", "type"], "names and order of the old engine");
        let path = file["path"].as_str().unwrap();
        assert_eq!(entry["filename"], path.rsplit('/').next().unwrap());
        assert!(entry["filesize"].is_u64() && entry["filesize"] == file["size"], "a number");
        let url = format!("file://{}", directory.join("data").join(path).display());
        assert_eq!(entry["url"], url);
        assert_eq!(entry["type"], file["type"]);
    }
}

#[test]
fn the_penguins_come_out_as_computed_by_other_means() {
    let bench = Bench::new();
    bench.copy("penguins", "penguins");
    let ended = bench.run(&["local", "penguins/workflow.yaml", "--out", "out", "-o", "json"]).with(0);
    let answer = ended.json();
    let directory = Path::new(answer["directory"].as_str().unwrap());
    assert_eq!(
        (&answer["outcome"], &answer["code"], &answer["text"]),
        (&json!("succeeded"), &json!(70), &json!("Job finished"))
    );
    assert!(answer["job"].as_str().unwrap().starts_with("penguins-"), "named after its folder");
    assert_penguins(directory);
    assert_manifests(directory);
    assert!(ended.log().contains("fitted body_mass_g"), "{}", ended.log());
    assert!(ended.file("adminlogs/configure.log").contains("f204db2c753b0937"), "the log names what was fetched");
    assert_eq!(bench.list("out").len(), 1, "no work folder is left: {:?}", bench.list("out"));
}

#[test]
fn the_config_map_of_the_same_folder_is_the_same_workflow() {
    let bench = Bench::new();
    bench.copy("penguins", "penguins");
    // What `kubectl kustomize` makes of it.
    let text = |name: &str| fs::read_to_string(bench.path("penguins").join(name)).unwrap();
    let keys = ["workflow.yaml", "penguins.csv", "algorithm.py"];
    let data: BTreeMap<_, _> = keys.into_iter().map(|key| (key, text(key))).collect();
    let manifest = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": data,
        "metadata": {"name": "penguins", "labels": {"operator-engine/state": "pending"}},
    });
    bench.write("elsewhere/penguins.json", manifest.to_string());
    let ended =
        bench.run(&["local", "elsewhere/penguins.json", "--out", "out", "--name", "wf-1", "-o", "json"]).with(0);
    assert_eq!(ended.json()["job"], "wf-1");
    assert_penguins(&bench.path("out/wf-1"));
    assert_manifests(&bench.path("out/wf-1").canonicalize().unwrap());
}

#[test]
fn hello_says_hello() {
    let bench = Bench::new();
    bench.copy("hello", "hello");
    let ended = bench.run(&["local", "hello/workflow.yaml", "-o", "json"]).with(0);
    assert_eq!(ended.file("outputs/greeting.txt"), "Hello from a workflow.\n");
    assert_eq!(ended.log(), "greeting ...\n");
    assert_eq!(bench.list("results").len(), 1, "results is where results go unless told otherwise");
}
