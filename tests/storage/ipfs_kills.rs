//! `operator-engine publish` killed at any moment while it stores a result on an IPFS node, and the node killed under it.

use super::moments::Moments;
use crate::ipfs::{Node, assert_only};
use operator_engine::{
    storage::{Ipfs, ResultStore as _, Stored, Target, manifest::Manifest},
    workflow::{
        digest::Sha256,
        report::{self, PublishReport},
    },
};
use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const FILES: usize = 200;
const KILLS: u32 = 32;

struct Bench {
    dir: tempfile::TempDir,
    node: Node,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["data/outputs/deeper", "data/logs", "data/adminlogs"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        Self { dir, node: Node::start(&[]) }
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// Every round has other contents for the same files, one other file, and one of many blocks.
    fn write(&self, round: u32) {
        for n in 0..FILES - 2 {
            let folder = if n % 3 == 0 { "deeper/" } else { "" };
            fs::write(self.path(&format!("data/outputs/{folder}{n}")), format!("{round} {n}")).unwrap();
        }
        let big: Vec<u8> = (0..12 << 20).map(|n: u32| (n / 4096).wrapping_mul(round + 7).to_le_bytes()[0]).collect();
        fs::write(self.path("data/outputs/big"), big).unwrap();
        fs::write(self.path(&format!("data/outputs/of round {round}")), "x").unwrap();
        let _ = fs::remove_file(self.path(&format!("data/outputs/of round {}", round.wrapping_sub(1))));
    }

    fn command(&self, round: u32) -> Command {
        let facts = serde_json::json!({
            "job": "wf-1", "outcome": "succeeded", "reason": null, "message": round.to_string(), "exitCode": 0,
            "image": "x", "document": Sha256::of("x"), "usage": null, "times": {}, "expiresAt": null, "release": true,
        });
        let target = Target::Ipfs(Ipfs { ..self.node.target.clone() });
        let mut command = Command::new(env!("CARGO_BIN_EXE_operator-engine"));
        command
            .args(["publish", "--facts", &facts.to_string(), "--target", &serde_json::to_string(&target).unwrap()])
            .arg("--data")
            .arg(self.path("data"))
            .arg("--termination-log")
            .arg(self.path("report"))
            .stdout(Stdio::null());
        command
    }

    fn report(&self) -> PublishReport {
        report::parse(&fs::read_to_string(self.path("report")).unwrap()).unwrap()
    }

    /// The round that the index has a whole result of; none if it has none.
    async fn entered(&self) -> Option<u32> {
        let kubo = self.node.kubo();
        let stored = Stored { job: "wf-1".parse().unwrap(), root: None };
        let manifest = Manifest::parse(&kubo.manifest(&stored).await.unwrap()?).unwrap();
        let jobs = kubo.jobs().await.unwrap();
        for file in &manifest.files {
            let bytes = crate::contract::read(&kubo, &jobs[0], &file.key).await;
            assert_eq!((bytes.len() as u64, Sha256::of(&bytes)), (file.size, file.sha256), "{}", file.path);
        }
        Some(manifest.facts.message.unwrap().parse().unwrap())
    }

    /// Publishes this round, and looks whether all of it and nothing else is there.
    async fn complete(&self, round: u32) {
        let status = self.command(round).stderr(Stdio::null()).status().unwrap();
        assert!(status.success(), "{:?}", self.report());
        let root = self.report().published.unwrap().root.unwrap();
        let manifest = assert_only(&self.node, "wf-1", &root).await;
        assert_eq!(manifest.facts.message, Some(round.to_string()));
        let keys: BTreeSet<_> = manifest.files.iter().map(|file| &file.key).collect();
        assert_eq!(keys.len(), FILES + 1, "and publish.log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_the_result_is_whole_or_absent_and_another_attempt_completes_it() {
    let bench = Bench::new();
    bench.write(0);
    let begun = Instant::now();
    bench.complete(0).await;
    let mut moments = Moments(begun.elapsed());
    let mut unfinished = 0;
    for round in 1..=KILLS {
        bench.write(round);
        let mut child = bench.command(round).spawn().unwrap();
        tokio::time::sleep(moments.next(round)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let in_time = bench.entered().await != Some(round);
        moments.learn(in_time);
        unfinished += usize::from(in_time);
        bench.complete(round).await;
    }
    assert!(unfinished > 3, "{unfinished} kills came in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_killed_at_any_moment_starts_again_and_another_attempt_completes_the_result() {
    let mut bench = Bench::new();
    bench.write(0);
    let begun = Instant::now();
    bench.complete(0).await;
    let mut moments = Moments(begun.elapsed());
    let mut failed = 0;
    for round in 1..=KILLS {
        bench.write(round);
        let mut child = bench.command(round).stderr(Stdio::null()).spawn().unwrap();
        tokio::time::sleep(moments.next(round)).await;
        // Every other time what nothing keeps is collected right before.
        if round % 2 == 0 {
            let api = bench.node.target.api.clone();
            let collecting = tokio::spawn(reqwest::Client::new().post(format!("{api}/api/v0/repo/gc")).send());
            tokio::time::sleep(Duration::from_millis(u64::from(round) * 5)).await;
            bench.node.server.kill();
            let _ = collecting.await;
        } else {
            bench.node.server.kill();
        }
        let status = child.wait().unwrap();
        moments.learn(!status.success());
        if !status.success() {
            let fault = bench.report().fault.unwrap();
            assert!(fault.retry && fault.reason == "StorageUnavailable", "{fault:?}");
            failed += 1;
        }
        bench.node.server.start_again();
        let entered = bench.entered().await;
        assert!(!status.success() || entered == Some(round), "what was acknowledged is there: {entered:?}");
        bench.node.rpc("repo/gc").await;
        bench.complete(round).await;
        bench.node.rpc("repo/gc").await;
        assert_eq!(bench.entered().await, Some(round));
    }
    assert!(failed > 3, "{failed} kills came in time");
}
