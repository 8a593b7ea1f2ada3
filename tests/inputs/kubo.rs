//! `ipfs:` from the gateway of a real Kubo, which made the files itself, in every shape it can give them.

use crate::{
    fetching::{Done, fetch, noise, policy},
    server::Server,
};
use operator_engine::{pod::configure::Keys, workflow::digest::Sha256};
use serde_json::json;
use std::{fs, path::Path, process::Command};

struct Kubo(Server);

impl Kubo {
    fn start(arguments: &[&str]) -> Self {
        Self(Server::start("kubo", arguments))
    }

    /// Runs the node's own client.
    fn ipfs(&self, arguments: &[&str]) -> String {
        let mut ipfs = Command::new(self.0.text("ipfs"));
        let output = ipfs.env("IPFS_PATH", self.0.text("repository")).args(arguments).output().unwrap();
        assert!(output.status.success(), "ipfs {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn add(&self, path: &Path, options: &[&str]) -> String {
        self.ipfs(&[&["add", "-Q", "--progress=false"], options, &[path.to_str().unwrap()]].concat())
    }

    async fn fetch(&self, url: &str) -> Done {
        let mut policy = policy();
        policy.ipfs_gateways = vec![self.0.text("gateway").to_owned()];
        fetch(json!(url), policy, Keys::default()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_every_shape_that_kubo_makes_come_out_as_they_went_in() {
    let kubo = Kubo::start(&[]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    for (len, options) in [
        (0, &["--cid-version=1"][..]),
        (0, &["--cid-version=0"]),
        (1, &["--cid-version=1"]),
        (5_000_000, &["--cid-version=1"]),
        (5_000_000, &["--cid-version=0"]),
        // 391 blocks at 174 a node: three levels.
        (100_000, &["--cid-version=1", "--chunker=size-256"]),
        (100_000, &["--cid-version=0", "--raw-leaves=false", "--chunker=size-256"]),
        (100_000, &["--trickle", "--chunker=size-256"]),
        (100_000, &["--chunker=rabin-512-1024-2048"]),
        (40, &["--inline", "--inline-limit=64"]),
        // Every block the same.
        (0, &["--chunker=size-256", "zeros"]),
    ] {
        let bytes = if options.contains(&"zeros") { vec![0; 100_000] } else { noise(len) };
        fs::write(&path, &bytes).unwrap();
        let options: Vec<_> = options.iter().copied().filter(|option| *option != "zeros").collect();
        let cid = kubo.add(&path, &options);
        let done = kubo.fetch(&format!("ipfs://{cid}")).await;
        assert!(done.file() == bytes, "{options:?}: {cid}\n{}", done.log);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_found_in_folders_of_any_size() {
    // Folders of more than one kB are spread over many blocks.
    let kubo = Kubo::start(&["--config", "Import.UnixFSHAMTDirectorySizeThreshold=\"1KiB\""]);
    let dir = tempfile::tempdir().unwrap();
    let small = dir.path().join("small");
    fs::create_dir_all(small.join("deep er")).unwrap();
    fs::write(small.join("deep er/ü%41#?.csv"), "odd").unwrap();
    std::os::unix::fs::symlink("deep er", small.join("link")).unwrap();
    let large = dir.path().join("large");
    fs::create_dir(&large).unwrap();
    for n in 0..3000 {
        fs::write(large.join(format!("{n}.txt")), format!("number {n}")).unwrap();
    }
    let root = kubo.add(&small, &["-r", "--cid-version=1"]);
    let odd = kubo.fetch(&format!("ipfs://{root}/deep%20er/%C3%BC%2541%23%3F.csv")).await;
    assert_eq!(odd.file(), b"odd");
    assert_eq!(kubo.fetch(&format!("ipfs://{root}/link")).await.reason(), "ContentUnreadable");
    assert_eq!(kubo.fetch(&format!("ipfs://{root}/deep%20er")).await.reason(), "ContentUnreadable");
    assert_eq!(kubo.fetch(&format!("ipfs://{root}/absent")).await.reason(), "NotFound");

    let root = kubo.add(&large, &["-r", "--cid-version=1"]);
    let node: serde_json::Value = serde_json::from_str(&kubo.ipfs(&["dag", "get", &root])).unwrap();
    assert!(node["Links"].as_array().unwrap().len() <= 256, "the folder is spread");
    for n in [0, 1, 17, 999, 1234, 2048, 2999] {
        assert_eq!(kubo.fetch(&format!("ipfs://{root}/{n}.txt")).await.file(), format!("number {n}").as_bytes());
    }
    assert_eq!(kubo.fetch(&format!("ipfs://{root}/3000.txt")).await.reason(), "NotFound");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_is_gone_ends_the_file_with_a_reason_and_another_gateway_has_it() {
    let kubo = Kubo::start(&[]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let bytes = noise(1_000_000);
    fs::write(&path, &bytes).unwrap();
    let cid = kubo.add(&path, &["--cid-version=1", "--chunker=size-100000", "--pin=false"]);
    let links = kubo.ipfs(&["refs", &cid]);
    kubo.ipfs(&["block", "rm", links.lines().nth(7).unwrap()]);
    let done = kubo.fetch(&format!("ipfs://{cid}")).await;
    assert!(matches!(done.reason(), "HttpStatus" | "ConnectionFailed"), "{}", done.log);

    let whole = Kubo::start(&[]);
    assert_eq!(whole.add(&path, &["--cid-version=1", "--chunker=size-100000"]), cid);
    let mut policy = policy();
    policy.ipfs_gateways = vec![kubo.0.text("gateway").to_owned(), whole.0.text("gateway").to_owned()];
    let digested = json!({"url": format!("ipfs://{cid}"), "sha256": Sha256::of(&bytes)});
    let done = fetch(digested, policy, Keys::default()).await;
    assert!(done.file() == bytes && done.log.contains("another gateway is tried"), "{}", done.log);
}
