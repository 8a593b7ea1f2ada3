//! `operator-engine publish`, killed at any moment while it stores a result in S3.

use super::moments::Moments;
use crate::{contract, stores};
use futures::{StreamExt as _, stream};
use operator_engine::{
    storage::{ResultStore as _, S3, Storage, Stored, Target, manifest::Manifest},
    workflow::{
        digest::Sha256,
        report::{self, PublishReport},
    },
};
use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    time::Instant,
};

const FILES: usize = 200;
const KILLS: u32 = 32;

struct Bench {
    dir: tempfile::TempDir,
    target: S3,
    storage: Storage,
    stored: Stored,
}

impl Bench {
    fn new() -> Self {
        let (target, credentials) = stores::s3();
        let dir = tempfile::tempdir().unwrap();
        for folder in ["data/outputs", "data/logs", "data/adminlogs"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let storage = stores::open(&target, &credentials);
        Self { dir, target, storage, stored: Stored { job: "wf-1".parse().unwrap(), root: None } }
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// Every round has other contents for the same files, one other file, and one that goes in parts.
    fn write(&self, round: u32) {
        for n in 0..FILES - 2 {
            fs::write(self.path(&format!("data/outputs/{n}")), format!("{round} {n}")).unwrap();
        }
        fs::write(self.path("data/outputs/big"), vec![u8::try_from(round).unwrap(); 9 << 20]).unwrap();
        fs::write(self.path(&format!("data/outputs/of round {round}")), "x").unwrap();
        let _ = fs::remove_file(self.path(&format!("data/outputs/of round {}", round.wrapping_sub(1))));
    }

    fn command(&self, round: u32) -> Command {
        let facts = serde_json::json!({
            "job": "wf-1", "outcome": "succeeded", "reason": null, "message": round.to_string(), "exitCode": 0,
            "image": "x", "document": Sha256::of("x"), "usage": null, "times": {}, "expiresAt": null, "release": true,
        });
        let server = stores::s3_server();
        let mut command = Command::new(env!("CARGO_BIN_EXE_operator-engine"));
        command
            .args(["publish", "--facts", &facts.to_string(), "--target"])
            .arg(serde_json::to_string(&Target::S3(self.target.clone())).unwrap())
            .arg("--data")
            .arg(self.path("data"))
            .arg("--termination-log")
            .arg(self.path("report"))
            .env("AWS_ACCESS_KEY_ID", server.text("accessKey"))
            .env("AWS_SECRET_ACCESS_KEY", server.text("secretKey"))
            .stdout(Stdio::null());
        command
    }

    /// The manifest, every file of it compared; none if there is none.
    async fn manifest(&self) -> Option<Manifest> {
        let manifest = Manifest::parse(&self.storage.manifest(&self.stored).await.unwrap()?).unwrap();
        let compared = manifest.files.iter().map(|file| async move {
            let bytes = contract::read(&self.storage, &self.stored, &file.key).await;
            assert_eq!((bytes.len() as u64, Sha256::of(&bytes)), (file.size, file.sha256), "{}", file.key);
        });
        stream::iter(compared).buffer_unordered(16).collect::<()>().await;
        Some(manifest)
    }

    /// The result of this round, all of it, and nothing else.
    async fn assert_whole(&self, round: u32) {
        let manifest = self.manifest().await.unwrap();
        assert_eq!(manifest.facts.message, Some(round.to_string()));
        let mut expected: BTreeSet<String> = manifest.files.iter().map(|file| file.key.clone()).collect();
        assert_eq!(expected.len(), FILES + 1, "and publish.log");
        expected.extend(["wf-1/manifest.json", "wf-1/results.json"].map(str::to_owned));
        let listed = self.storage.list(&"wf-1".into()).await.unwrap();
        let listed: BTreeSet<String> = listed.into_iter().map(|meta| meta.location.to_string()).collect();
        assert_eq!(listed, expected);
    }

    fn report(&self) -> PublishReport {
        report::parse(&fs::read_to_string(self.path("report")).unwrap()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_the_result_is_whole_or_absent_and_another_attempt_completes_it() {
    let bench = Bench::new();
    bench.write(0);
    let begun = Instant::now();
    assert!(bench.command(0).status().unwrap().success());
    let mut moments = Moments(begun.elapsed());
    let mut counter = Counter::start(&bench.target);
    let (mut unfinished, mut left_open) = (0, 0);
    for round in 1..=KILLS {
        bench.write(round);
        let mut child = bench.command(round).spawn().unwrap();
        tokio::time::sleep(moments.next(round)).await;
        child.kill().unwrap();
        child.wait().unwrap();

        // Whatever a manifest says is compared with the files; it may be an earlier round's.
        let manifest = bench.manifest().await;
        let in_time = manifest.is_none_or(|manifest| manifest.facts.message != Some(round.to_string()));
        moments.learn(in_time);
        unfinished += usize::from(in_time);
        left_open += counter.count();
        assert!(bench.command(round).status().unwrap().success(), "{:?}", bench.report());
        bench.assert_whole(round).await;
        assert_eq!(counter.count(), 0);
    }
    assert!(unfinished > 0, "no kill came in time");
    assert!(left_open > 0, "no kill came while a file was sent in parts");
    assert!(bench.storage.remove(&bench.stored).await.unwrap().objects > FILES as u64);
    assert_eq!(bench.storage.last_written(&bench.stored).await.unwrap(), None);
}

/// Another client, Amazon's own, that counts uploads left open.
struct Counter {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Counter {
    fn start(target: &S3) -> Self {
        const PROGRAM: &str = "
import boto3, sys
endpoint, key, secret, region, bucket, prefix = sys.argv[1:]
s3 = boto3.client('s3', endpoint_url=endpoint, aws_access_key_id=key, aws_secret_access_key=secret, region_name=region)
for line in sys.stdin:
    print(len(s3.list_multipart_uploads(Bucket=bucket, Prefix=prefix).get('Uploads', [])), flush=True)";
        let server = stores::s3_server();
        let mut child = Command::new(server.text("python"))
            .args(["-c", PROGRAM, server.text("endpoint"), server.text("accessKey"), server.text("secretKey")])
            .args([&target.region, &target.bucket, &target.prefix])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, answers }
    }

    fn count(&mut self) -> usize {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
