//! The penguins' results in a bucket, on an IPFS node and in an IPFS cluster: stored from real pods, read by ordinary clients, deleted by the
//! engine when their time is up, and gone for those clients.

use crate::{
    cluster::{Cluster, eventually, root},
    server::Server,
    site::{PATIENCE, Site, note, told},
};
use operator_engine::workflow::{Outcome, Record, digest::Sha256};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path, process::Command, time::Instant};

/// Expiry as fast as tests are: looked for every two seconds, and deleted when two runs agree.
const EXPIRY: &str = r#"
[expiry]
schedule = "*/2 * * * * *"
confirm_after = "3s"
"#;
/// How long results are kept: long enough to read them on a busy machine.
const KEPT: &str = "60s";

/// A site whose results go elsewhere than to a volume. Its Secret is there before its engine is.
async fn site(cluster: &'static Cluster, name: &str, settings: &str, secret: &Value) -> Site {
    cluster.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    let metadata = json!({"name": "operator-engine-storage", "namespace": name});
    cluster.apply(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": secret}));
    Site::of_its_own(cluster, name, &format!("{settings}{EXPIRY}")).await
}

/// The penguins, up to their end.
async fn penguins(cluster: &'static Cluster, site: &Site, what: &str) -> Record {
    let begun = Instant::now();
    cluster.kubectl(&["apply", "-n", &site.jobs, "-k", "manifests/examples/penguins"]).unwrap();
    let record = site.finished("penguins").await;
    note(what, &record, begun.elapsed());
    assert_eq!(told(&record), (Some(Outcome::Succeeded), None), "{record:?}");
    record
}

/// What the example's README promises: digests by name.
fn promised() -> BTreeMap<String, String> {
    let readme = fs::read_to_string(root().join("manifests/examples/penguins/README.md")).unwrap();
    let lines = readme.lines().filter_map(|line| line.trim().split_once("  "));
    let outputs = lines.filter(|(digest, file)| digest.len() == 64 && file.starts_with("outputs/"));
    let promised: BTreeMap<_, _> = outputs.map(|(digest, file)| (format!("data/{file}"), digest.to_owned())).collect();
    assert_eq!(promised.len(), 2);
    promised
}

/// What a program of other people says; none if it fails.
fn output(command: &mut Command) -> Option<String> {
    let output = command.output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// Waits until the record says that the results are deleted.
async fn expired(site: &Site) {
    eventually("the results are deleted", PATIENCE * 2, async || site.record("penguins").await?.results?.deleted_at)
        .await;
}

pub(crate) async fn results_go_to_a_bucket_and_expire(cluster: &'static Cluster) {
    let s3 = Server::start("s3", &["--address", &cluster.environment.node.address]);
    let settings = format!(
        "[storage]\nkind = \"s3\"\ndirectory = \"\"\nclaim = \"\"\nexpiry = \"{KEPT}\"\n[s3]\nbucket = \"{}\"\nregion = \"{}\"\n\
         endpoint = \"{}\"\npath_style = true\nallow_http = true\n",
        s3.text("bucket"),
        s3.text("region"),
        s3.text("endpoint"),
    );
    let secret = json!({"AWS_ACCESS_KEY_ID": s3.text("accessKey"), "AWS_SECRET_ACCESS_KEY": s3.text("secretKey"),
        "OPERATOR_PRIVATE_KEY": "11".repeat(32)});
    let site = site(cluster, "to-a-bucket", &settings, &secret).await;
    let record = penguins(cluster, &site, "results in a bucket").await;

    // Amazon's own client: every key of the bucket, and the digest of its bytes.
    const PROGRAM: &str = "
import boto3, hashlib, json, sys
endpoint, key, secret, region, bucket = sys.argv[1:]
s3 = boto3.client('s3', endpoint_url=endpoint, aws_access_key_id=key, aws_secret_access_key=secret, region_name=region)
keys = [item['Key'] for page in s3.get_paginator('list_objects_v2').paginate(Bucket=bucket) for item in page.get('Contents', [])]
print(json.dumps({key: hashlib.sha256(s3.get_object(Bucket=bucket, Key=key)['Body'].read()).hexdigest() for key in keys}))";
    let arguments = ["endpoint", "accessKey", "secretKey", "region", "bucket"].map(|name| s3.text(name));
    let stored = || -> BTreeMap<String, String> {
        let told = output(Command::new(s3.text("python")).args(["-c", PROGRAM]).args(arguments)).unwrap();
        serde_json::from_str(&told).unwrap()
    };
    let found = stored();
    for (file, digest) in promised() {
        assert_eq!(found.get(&format!("penguins/{file}")), Some(&digest), "{found:#?}");
    }
    let results = record.results.unwrap();
    assert_eq!(found.get("penguins/manifest.json"), Some(&results.manifest_sha256.to_string()));
    let apart = results.adminlogs.expect("admin logs have a place of their own");
    assert!(!found.keys().any(|key| key.starts_with("penguins/data/adminlogs")), "{found:#?}");
    assert!(found.contains_key("_adminlogs/penguins/data/adminlogs/publish.log"), "{found:#?}");
    assert_eq!(apart.prefix, "penguins");

    expired(&site).await;
    assert_eq!(stored(), BTreeMap::new(), "nothing is left in the bucket");
    site.away().await;
}

pub(crate) async fn results_go_to_an_ipfs_node_and_expire(cluster: &'static Cluster) {
    let kubo = Server::start("kubo", &["--address", &cluster.environment.node.address, "--auth", "bearer:t0ken"]);
    let settings = format!(
        "[storage]\nkind = \"ipfs\"\ndirectory = \"\"\nclaim = \"\"\nexpiry = \"{KEPT}\"\n[ipfs]\napi = \"{}\"\n\
         url_prefix = \"{}/ipfs/\"\n",
        kubo.text("api"),
        kubo.text("gateway"),
    );
    let site = site(cluster, "to-ipfs", &settings, &json!({"IPFS_AUTHORIZATION": "bearer:t0ken"})).await;
    let record = penguins(cluster, &site, "results on an IPFS node").await;
    let root_cid = record.results.unwrap().root.expect("a result on IPFS has a content id");

    let ipfs = |arguments: &[&str]| ipfs(&kubo, &[&["--api-auth", "bearer:t0ken"], arguments].concat());
    fetched(&ipfs, &root_cid, &cluster.directory.join("fetched"));

    expired(&site).await;
    let pins = ipfs(&["pin", "ls", "--type=recursive", "--names"]).unwrap();
    assert!(!pins.contains(&root_cid) && !pins.contains("penguins"), "{pins}");
    let listed = ipfs(&["files", "ls", "/operator-engine"]).unwrap();
    assert!(!listed.contains("penguins"), "{listed}");
    gone(&ipfs, &root_cid);
    site.away().await;
}

/// Kubo's own client.
fn ipfs(server: &Server, arguments: &[&str]) -> Option<String> {
    output(Command::new(server.text("ipfs")).env("IPFS_PATH", server.text("repository")).args(arguments))
}

/// Fetches the result, and finds in it what was promised.
fn fetched(ipfs: &dyn Fn(&[&str]) -> Option<String>, root_cid: &str, folder: &Path) {
    ipfs(&["get", root_cid, "-o", folder.to_str().unwrap()]).expect("ipfs get");
    for (file, digest) in promised() {
        assert_eq!(Sha256::of(fs::read(folder.join(&file)).unwrap()).to_string(), digest, "{file}");
    }
}

/// Once garbage is collected, nothing of it can be had.
fn gone(ipfs: &dyn Fn(&[&str]) -> Option<String>, root_cid: &str) {
    ipfs(&["repo", "gc"]).unwrap();
    let manifest = format!("/ipfs/{root_cid}/manifest.json");
    assert_eq!(ipfs(&["--offline", "--timeout=5s", "cat", &manifest]), None, "it is gone");
}

pub(crate) async fn results_go_to_an_ipfs_cluster_and_expire(cluster: &'static Cluster) {
    let peer = Server::start("ipfs-cluster", &["--address", &cluster.environment.node.address]);
    let settings = format!(
        "[storage]\nkind = \"ipfs-cluster\"\ndirectory = \"\"\nclaim = \"\"\nexpiry = \"{KEPT}\"\n[ipfs_cluster]\napi = \"{}\"\n\
         node = \"{}\"\nreplication_min = 1\nreplication_max = 1\nurl_prefix = \"{}/ipfs/\"\n",
        peer.text("api"),
        peer.text("node"),
        peer.text("gateway"),
    );
    let credentials = format!("basic:{}:{}", peer.text("user"), peer.text("password"));
    let site = site(cluster, "to-a-cluster", &settings, &json!({"IPFS_AUTHORIZATION": credentials})).await;
    let record = penguins(cluster, &site, "results in an IPFS cluster").await;
    let root_cid = record.results.unwrap().root.expect("a result on IPFS has a content id");

    // What the cluster is to keep, by its own interface; 404 is "not part of the pinset".
    let allocated = async || {
        let asked = reqwest::Client::new().get(format!("{}/allocations/{root_cid}", peer.text("api")));
        let answer = asked.basic_auth(peer.text("user"), Some(peer.text("password"))).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, pin) = allocated().await;
    assert!(status == 200 && pin.contains("operator-engine/penguins"), "{status} {pin}");
    let ipfs = |arguments: &[&str]| ipfs(&peer, arguments);
    fetched(&ipfs, &root_cid, &cluster.directory.join("fetched-from-cluster"));

    expired(&site).await;
    assert_eq!(allocated().await.0, 404, "the cluster keeps it no more");
    // Its nodes follow.
    eventually("the node lets go of it", PATIENCE, async || {
        let pins = ipfs(&["pin", "ls", "--type=recursive"]).unwrap();
        (!pins.contains(&root_cid)).then_some(())
    })
    .await;
    gone(&ipfs, &root_cid);
    site.away().await;
}
