//! Results in a real IPFS cluster, of one node.

use crate::{
    contract::{self, Subject},
    ipfs::{publish_files_as, verified_of},
    moments::Moments,
    server::Server,
};
use async_trait::async_trait;
use operator_engine::{
    storage::{
        Credentials, IpfsCluster, IpfsCredentials, Removed, ResultStore, Secret, StorageError, Stored, Target,
        ipfs::cluster::{self, Cluster},
    },
    workflow::report::{self, PublishReport},
};
use std::{
    process::{Command, Stdio},
    time::Duration,
};

struct Bench {
    server: Server,
    target: IpfsCluster,
    credentials: Credentials,
}

impl Bench {
    fn start() -> Self {
        crate::stores::use_ring();
        let server = Server::start("ipfs-cluster", &[]);
        let target = IpfsCluster {
            api: server.text("api").to_owned(),
            node: server.text("node").to_owned(),
            group: "tests".into(),
            replication: Some((1, 1)),
            pin_timeout_secs: 120,
            url_prefix: format!("{}/ipfs/", server.text("gateway")),
            double_slash: false,
            ca: None,
        };
        let credentials = basic(server.text("user"), server.text("password"));
        Self { server, target, credentials }
    }

    fn cluster(&self) -> Cluster {
        cluster::open(&self.target, &self.credentials.ipfs).unwrap()
    }

    fn of(&self) -> Target {
        Target::IpfsCluster(self.target.clone())
    }

    async fn publish(&self, job: &str, outputs: &[(&str, &[u8])]) -> Stored {
        let report = publish_files_as(&self.of(), &self.credentials, job, outputs).await;
        assert_eq!(report.fault, None);
        Stored { job: job.parse().unwrap(), root: report.published.unwrap().root }
    }

    /// A request as any client of the cluster makes it.
    async fn rest(&self, method: reqwest::Method, path: &str) -> String {
        let request = reqwest::Client::new().request(method, format!("{}/{path}", self.target.api));
        let request = request.basic_auth(self.server.text("user"), Some(self.server.text("password")));
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.text().await.unwrap()
    }

    /// A folder that the cluster's node has.
    async fn folder_without_manifest(&self) -> String {
        let node = &self.target.node;
        let post = |command: String| reqwest::Client::new().post(format!("{node}/api/v0/{command}")).send();
        assert!(
            post("files/mkdir?arg=/half/data&parents=true&cid-version=1".into()).await.unwrap().status().is_success()
        );
        let stat = post("files/stat?arg=/half".into()).await.unwrap().text().await.unwrap();
        serde_json::from_str::<serde_json::Value>(&stat).unwrap()["Hash"].as_str().unwrap().to_owned()
    }
}

fn basic(user: &str, password: &str) -> Credentials {
    let request = reqwest::Client::new().get("http://x").basic_auth(user, Some(password)).build().unwrap();
    with(request.headers()["authorization"].to_str().unwrap())
}

fn with(authorization: &str) -> Credentials {
    let authorization = Some(Secret::new(authorization));
    Credentials { ipfs: IpfsCredentials { authorization, ..IpfsCredentials::default() }, ..Credentials::default() }
}

struct ClusterSubject {
    bench: Bench,
    cluster: Cluster,
}

#[async_trait]
impl Subject for ClusterSubject {
    fn results(&self) -> &dyn ResultStore {
        &self.cluster
    }

    async fn publish(&self, job: &str, outputs: &[(&str, &[u8])]) -> Stored {
        self.bench.publish(job, outputs).await
    }

    async fn leave_half(&self, job: &str) -> Stored {
        let cid = self.bench.folder_without_manifest().await;
        self.bench.rest(reqwest::Method::POST, &format!("pins/{cid}?name=tests/{job}")).await;
        Stored { job: job.parse().unwrap(), root: None }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_keeps_the_contract() {
    let bench = Bench::start();
    let cluster = bench.cluster();
    contract::keeps_the_contract(&ClusterSubject { bench, cluster }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_one_pin_that_ordinary_clients_can_read() {
    let bench = Bench::start();
    let big = vec![7; 3 << 20];
    let files: [(&str, &[u8]); 4] = [("a b/ü%+#.csv", b"1,2\n"), ("big", &big), ("empty", b""), ("a-b", b"x")];
    let stored = bench.publish("wf-1", &files).await;
    let root = stored.root.as_ref().unwrap();
    verified_of(&bench.cluster(), &stored, &bench.target.url_prefix).await;
    let pins = bench.rest(reqwest::Method::GET, "allocations").await;
    let pin: serde_json::Value = serde_json::from_str(pins.trim()).unwrap();
    assert_eq!((pin["name"].as_str(), pin["cid"].as_str()), (Some("tests/wf-1"), Some(root.as_str())));
    assert_eq!((pin["replication_factor_min"].as_i64(), pin["replication_factor_max"].as_i64()), (Some(1), Some(1)));

    // Again: the same; also when the cluster was told to forget it in between.
    assert_eq!(bench.publish("wf-1", &files).await, stored);
    bench.rest(reqwest::Method::DELETE, &format!("pins/{root}")).await;
    assert_eq!(bench.publish("wf-1", &files).await, stored);

    // Another result of the name replaces it; a pin that an attempt left which was broken off goes, too.
    let other = bench.publish("wf-1", &[("new", b"new")]).await;
    bench.rest(reqwest::Method::POST, &format!("pins/{root}?name=tests/wf-1")).await;
    assert_eq!(bench.cluster().jobs().await.unwrap().len(), 2);
    assert_eq!(bench.publish("wf-1", &[("new", b"new")]).await, other);
    assert_eq!(bench.cluster().jobs().await.unwrap(), std::slice::from_ref(&other));

    // Others' pins are not ours, whatever they hold, and one group is not another.
    bench.rest(reqwest::Method::POST, &format!("pins/{root}?name=somebody")).await;
    assert_eq!(bench.cluster().remove(&stored).await.unwrap(), Removed::default());
    let apart = IpfsCluster { group: "tests-adminlogs".into(), ..bench.target.clone() };
    let apart = cluster::open(&apart, &bench.credentials.ipfs).unwrap();
    assert_eq!(apart.jobs().await.unwrap(), []);
    assert_eq!(apart.remove(&other).await.unwrap(), Removed::default());
    let removed = bench.cluster().remove(&other).await.unwrap();
    assert_eq!(removed.objects, 4);
    bench.cluster().collect_garbage().await.unwrap();
    let gone = reqwest::get(format!("{}{}/manifest.json", bench.target.url_prefix, other.root.unwrap())).await.unwrap();
    assert!(gone.status().as_u16() >= 400);
    assert!(bench.rest(reqwest::Method::GET, "allocations").await.contains("somebody"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_too_few_nodes_keep_is_not_published() {
    let mut bench = Bench::start();
    bench.target.replication = Some((2, 3));
    let report = publish_files_as(&bench.of(), &bench.credentials, "wf-1", &[("x", b"x")]).await;
    let fault = report.fault.unwrap();
    assert_eq!((fault.reason.as_str(), fault.retry), ("StorageUnavailable", true), "{fault:?}");
    assert!(fault.message.contains("not enough peers"), "{}", fault.message);
    assert_eq!(bench.cluster().jobs().await.unwrap(), []);

    // A pin that no node can come by: the deadline says so.
    bench.target.replication = None;
    bench.target.pin_timeout_secs = 1;
    let cluster = bench.cluster();
    let nowhere = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";
    let job = "wf-1".parse().unwrap();
    let error = operator_engine::storage::TreeStore::keep(&cluster, &job, nowhere, &[]).await.unwrap_err();
    assert!(error.retry(), "{error:?}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("0 of 1 have it (pin"), "{cause}");
    // It can be let go all the same.
    let stored = Stored { job, root: Some(nowhere.into()) };
    let removed = cluster.with_patience(operator_engine::storage::ipfs::Patience {
        read: std::time::Duration::from_secs(5),
        ..Default::default()
    });
    assert_eq!(removed.remove(&stored).await.unwrap(), Removed { objects: 1, bytes: 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_in_is_told_so_and_a_token_is_as_good_as_a_password() {
    let bench = Bench::start();
    let stored = bench.publish("wf-1", &[("x", b"x")]).await;
    for credentials in
        [Credentials::default(), basic("operator-engine", "hunter2hunter2"), with("Bearer hunter2hunter2")]
    {
        let fault = publish_files_as(&bench.of(), &credentials, "wf-2", &[("x", b"x")]).await.fault.unwrap();
        assert_eq!((fault.reason.as_str(), fault.retry), ("StorageDenied", true), "{fault:?}");
        let cluster = cluster::open(&bench.target, &credentials.ipfs).unwrap();
        for error in [
            cluster.jobs().await.map(drop),
            cluster.manifest(&stored).await.map(drop),
            cluster.remove(&stored).await.map(drop),
        ] {
            let error = error.unwrap_err();
            assert!(matches!(error, StorageError::Denied { .. }), "{error:?}");
            assert!(!format!("{error:?} {cluster:?}").contains("hunter2"), "{error:?}");
        }
    }
    let token: serde_json::Value = serde_json::from_str(&bench.rest(reqwest::Method::POST, "token").await).unwrap();
    let bearer = with(&format!("Bearer {}", token["token"].as_str().unwrap()));
    let report = publish_files_as(&bench.of(), &bearer, "wf-1", &[("x", b"x")]).await;
    assert_eq!(report.published.unwrap().root, stored.root);
    assert_eq!(cluster::open(&bench.target, &bearer.ipfs).unwrap().jobs().await.unwrap(), [stored]);

    // What is no cluster at all.
    let wrong = IpfsCluster { api: bench.target.node.clone(), ..bench.target.clone() };
    let wrong = cluster::open(&wrong, &bench.credentials.ipfs).unwrap();
    assert!(matches!(wrong.jobs().await, Err(StorageError::Misconfigured { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn publish_killed_at_any_moment_leaves_one_pin_once_another_attempt_is_through() {
    let bench = Bench::start();
    let names: Vec<_> = (0..200).map(|n| format!("{}{n}", if n % 3 == 0 { "deeper/" } else { "" })).collect();
    let mut moments = Moments(Duration::from_secs(1));
    let mut in_time = 0;
    for round in 0..=12 {
        let contents: Vec<_> = names.iter().map(|name| format!("{round} {name}")).collect();
        let files: Vec<_> = names.iter().map(String::as_str).zip(contents.iter().map(String::as_bytes)).collect();
        let (dir, facts) = contract::prepared("wf-1", &files);
        let attempt = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_operator-engine"));
            let facts = serde_json::to_string(&facts).unwrap();
            command.args(["publish", "--facts", &facts, "--target", &serde_json::to_string(&bench.of()).unwrap()]);
            command.arg("--data").arg(dir.path()).arg("--termination-log").arg(dir.path().join("report"));
            let password = format!("basic:{}:{}", bench.server.text("user"), bench.server.text("password"));
            command.env("IPFS_AUTHORIZATION", password).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        if round > 0 {
            let mut child = attempt().spawn().unwrap();
            tokio::time::sleep(moments.next(round)).await;
            let early = child.try_wait().unwrap().is_none();
            child.kill().unwrap();
            child.wait().unwrap();
            moments.learn(early);
            in_time += usize::from(early);
        }
        assert!(attempt().status().unwrap().success());
        let jobs = bench.cluster().jobs().await.unwrap();
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        let report: PublishReport =
            report::parse(&std::fs::read_to_string(dir.path().join("report")).unwrap()).unwrap();
        assert_eq!(jobs[0].root, report.published.unwrap().root);
        for (name, bytes) in &files {
            let key = format!("wf-1/data/outputs/{name}");
            assert_eq!(contract::read(&bench.cluster(), &jobs[0], &key).await, *bytes);
        }
        let keys = bench.cluster().keys(&jobs[0]).await.unwrap().unwrap();
        assert_eq!(keys.len(), files.len() + 3, "and publish.log, and the two manifests");
    }
    assert!(in_time > 2, "{in_time} kills came in time");
}
