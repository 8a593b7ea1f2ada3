//! Whole deployments of the old engine.

use super::*;
use crate::config::Config;

fn migration(text: &str) -> Migration {
    Migration::of(&variables::read(text).unwrap()).unwrap()
}

fn written(migration: &Migration, output: Output) -> String {
    let mut out = Vec::new();
    migration.write(output, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// What a file of this text is for the engine.
fn config_of(toml: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("site.toml");
    std::fs::write(&path, toml).unwrap();
    config::load(&[path], std::iter::empty()).unwrap().config
}

/// A Deployment as the old engine's documentation has it, with everything in it that there was.
const DEPLOYMENT: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: operator-engine}
spec:
  template:
    spec:
      containers:
      - name: ocean-operator-engine
        image: oceanprotocol/operator-engine:latest
        env:
        - {name: OPERATOR_PRIVATE_KEY, value: "0xs3cret"}
        - {name: IPFS_OUTPUT, value: "http://youripfsserver:5001"}
        - {name: IPFS_OUTPUT_PREFIX, value: "http://youripfsserver:8080/ipfs"}
        - {name: IPFS_ADMINLOGS, value: "http://youradminipfsserver:5001"}
        - {name: IPFS_API_KEY, value: "s3cret"}
        - {name: AWS_BUCKET_OUTPUT, value: "results"}
        - {name: AWS_ACCESS_KEY_ID, value: "s3cret"}
        - {name: AWS_SECRET_ACCESS_KEY, valueFrom: {secretKeyRef: {name: aws, key: secret}}}
        - {name: STORAGE_CLASS, value: "gp3"}
        - {name: STORAGE_EXPIRY, value: "48"}
        - {name: POSTGRES_DB, valueFrom: {configMapKeyRef: {name: postgres-config, key: POSTGRES_DB}}}
        - {name: POSTGRES_PASSWORD, value: "s3cret"}
        - {name: POD_CONFIGURATION_CONTAINER, value: "oceanprotocol/pod-configuration:v1.1.1"}
        - {name: FILTERING_CONTAINER, value: "registry.example/filter:2"}
        - {name: NOTIFY_START_URL, value: "https://example.org/start"}
        - {name: NOTIFY_STOP_URL, value: "https://example.org/stop?token=s3cret"}
        - {name: SERVICE_ACCOUNT, value: "db-operator"}
        - {name: NODE_SELECTOR, valueFrom: {configMapKeyRef: {name: site, key: nodes}}}
        - {name: nCPU, value: "2"}
        - {name: ramGB, value: "4"}
        - {name: diskGB, value: "20"}
        - {name: maxJobs, value: "3"}
        - {name: maxJobDuration, value: "3600"}
        - {name: description, value: "Two racks, \"one\" fan"}
        - {name: priceMinute, value: "0.5"}
        - {name: LOG_LEVEL, value: "WARNING"}
        - {name: HTTP_PROXY, value: "http://s3cret@proxy"}
"#;

#[test]
fn a_deployment_becomes_a_file_and_nothing_secret_is_in_it() {
    let migration = migration(DEPLOYMENT);
    let text = written(&migration, Output::Table);
    insta::assert_snapshot!(text);
    for shown in [text, written(&migration, Output::Json), format!("{migration:?}")] {
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

#[test]
fn the_file_means_what_the_variables_meant() {
    for text in [
        DEPLOYMENT.replace("?token=s3cret", "").as_str(),
        "AWS_BUCKET_OUTPUT=out\nAWS_BUCKET_ADMINLOGS=out\nAWS_REGION=eu-west-1\n",
        "AWS_BUCKET_OUTPUT=out\nAWS_BUCKET_ADMINLOGS=logs\nNOTIFY_STOP_URL=https://example.org\nDEBUG_NO_CLEANUP=true\n",
        "IPFS_OUTPUT=http://ipfs:5001/\nSTORAGE_EXPIRY=7d\nnGPU=1\ngpuType=L4\ngpuRam=24\n",
        "OPERATOR_ENGINE__FETCH__ALLOW_NETWORKS=10.1.2.0/24\ncpuType=EPYC\n",
        "POSTGRES_DB=x\n",
    ] {
        let migration = migration(text);
        assert_eq!(config_of(&written(&migration, Output::Table)), migration.loaded.config, "{text}");
    }
}

#[test]
fn names_in_the_file_cannot_write_lines_of_their_own() {
    let text =
        r#"[{"name": "X\n[limits]\nmax_jobs = 9", "value": "1"}, {"name": "nGPU", "valueFrom": {"y\nz = 1": {}}}]"#;
    let migration = migration(text);
    assert_eq!(config_of(&written(&migration, Output::Table)), config_of(""));
}

#[test]
fn json_says_the_same_for_programs() {
    let answer: serde_json::Value = serde_json::from_str(&written(&migration(DEPLOYMENT), Output::Json)).unwrap();
    assert_eq!(answer["keys"][0]["key"], "engine.log_level");
    assert_eq!(answer["credentials"][1], json!({"secret": "operator-engine-storage", "key": "IPFS_API_KEY"}));
    assert!(answer["notes"].as_array().unwrap().len() > 5);
}

#[test]
fn a_value_that_cannot_be_is_a_fault_of_its_variable() {
    let errors = Migration::of(&variables::read("nCPU=many\n").unwrap()).unwrap_err().to_string();
    assert!(errors.contains("environment variable nCPU"), "{errors}");
    let gone = Migration::read(Path::new("/nowhere/env")).unwrap_err();
    assert!(gone.to_string().contains("/nowhere/env cannot be read"), "{gone}");
}
