//! Results on a real IPFS node.

use crate::{
    contract::{self, Subject, prepared, task},
    server::Server,
};
use async_trait::async_trait;
use operator_engine::{
    pod::publish,
    storage::{
        Credentials, Ipfs, IpfsCredentials, Place, Removed, ResultStore, Secret, StorageError, Stored, Target,
        TreeStore,
        ipfs::{self, Kubo},
        manifest::Manifest,
    },
    workflow::{digest::Sha256, report::PublishReport},
};
use std::time::Duration;

/// A node of a test's own.
pub(crate) struct Node {
    pub(crate) server: Server,
    pub(crate) target: Ipfs,
}

impl Node {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        crate::stores::use_ring();
        let server = Server::start("kubo", arguments);
        let target = Ipfs {
            api: server.text("api").to_owned(),
            folder: "/results of tests/ü".into(),
            url_prefix: format!("{}/ipfs/", server.text("gateway")),
            double_slash: false,
            ca: None,
        };
        Self { server, target }
    }

    pub(crate) fn kubo(&self) -> Kubo {
        ipfs::open(&self.target, &IpfsCredentials::default()).unwrap()
    }

    /// A command of the node by its own client.
    pub(crate) async fn rpc(&self, command: &str) -> String {
        let url = format!("{}/api/v0/{command}", self.target.api);
        let answer = reqwest::Client::new().post(url).send().await.unwrap();
        assert!(answer.status().is_success(), "{command}: {}", answer.text().await.unwrap());
        answer.text().await.unwrap()
    }

    /// The names and content ids of all recursive pins but the one that is always there.
    pub(crate) async fn pins(&self) -> Vec<(String, String)> {
        let text = self.rpc("pin/ls?type=recursive&names=true").await;
        let all: serde_json::Value = serde_json::from_str(&text).unwrap();
        let pins = all["Keys"].as_object().unwrap().iter();
        let pins = pins.map(|(cid, pin)| (pin["Name"].as_str().unwrap_or_default().to_owned(), cid.clone()));
        let mut pins: Vec<_> = pins.filter(|(name, _)| !name.is_empty()).collect();
        pins.sort();
        pins
    }
}

pub(crate) async fn publish_files(target: &Target, job: &str, outputs: &[(&str, &[u8])]) -> PublishReport {
    publish_files_as(target, &Credentials::default(), job, outputs).await
}

pub(crate) async fn publish_files_as(
    target: &Target,
    credentials: &Credentials,
    job: &str,
    outputs: &[(&str, &[u8])],
) -> PublishReport {
    let (dir, facts) = prepared(job, outputs);
    let place = Place::open(target, credentials).unwrap();
    publish::run(task(dir.path(), facts), &place.into()).await
}

/// A node, and it as a store.
struct KuboSubject {
    node: Node,
    kubo: Kubo,
}

#[async_trait]
impl Subject for KuboSubject {
    fn results(&self) -> &dyn ResultStore {
        &self.kubo
    }

    async fn publish(&self, job: &str, outputs: &[(&str, &[u8])]) -> Stored {
        let report = publish_files(&Target::Ipfs(self.node.target.clone()), job, outputs).await;
        assert_eq!(report.fault, None);
        Stored { job: job.parse().unwrap(), root: report.published.unwrap().root }
    }

    async fn leave_half(&self, job: &str) -> Stored {
        let folder = self.node.target.folder.replace(' ', "%20");
        self.node.rpc(&format!("files/mkdir?arg={folder}/{job}/data&parents=true")).await;
        Stored { job: job.parse().unwrap(), root: None }
    }

    fn knows_times(&self) -> bool {
        false
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_keeps_the_contract() {
    let node = Node::start(&[]);
    let kubo = node.kubo();
    kubo.prepare().await.unwrap();
    contract::keeps_the_contract(&KuboSubject { node, kubo }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_the_folder_is_no_empty_store() {
    let node = Node::start(&[]);
    contract::is_an_error_throughout(&node.kubo()).await;
    let lost = Stored { job: "wf-1".parse().unwrap(), root: Some(format!("bafkrei{}", "a".repeat(52))) };
    assert!(matches!(node.kubo().remove(&lost).await, Err(StorageError::Misconfigured { .. })));
    assert!(matches!(node.kubo().manifest(&lost).await, Err(StorageError::Misconfigured { .. })));
    let error = node.kubo().jobs().await.unwrap_err();
    assert!(format!("{}", std::error::Error::source(&error).unwrap()).contains("--relink"), "{error:?}");
}

fn of(target: &Ipfs) -> Target {
    Target::Ipfs(target.clone())
}

async fn get(url: &str) -> (u16, Vec<u8>) {
    let answer = reqwest::get(url).await.unwrap();
    (answer.status().as_u16(), answer.bytes().await.unwrap().into())
}

/// What is kept and entered is this root and nothing else, and it is whole.
pub(crate) async fn assert_only(node: &Node, job: &str, root: &str) -> Manifest {
    let kubo = node.kubo();
    let stored = Stored { job: job.parse().unwrap(), root: Some(root.to_owned()) };
    let pins = node.pins().await;
    assert_eq!(pins, [(format!("{}/{job}", &node.target.folder[1..]), root.to_owned())]);
    assert_eq!(kubo.jobs().await.unwrap(), std::slice::from_ref(&stored));
    assert_eq!(kubo.unlinked().await.unwrap(), []);
    let manifest = Manifest::parse(&kubo.manifest(&stored).await.unwrap().unwrap()).unwrap();
    let mut sizes = std::collections::BTreeMap::new();
    for file in &manifest.files {
        let bytes = contract::read(&kubo, &stored, &file.key).await;
        assert_eq!((bytes.len() as u64, Sha256::of(&bytes)), (file.size, file.sha256), "{}", file.path);
        sizes.insert(file.key.clone(), file.size);
    }
    for name in ["results.json", "manifest.json"] {
        sizes.insert(
            format!("{job}/{name}"),
            contract::read(&kubo, &stored, &format!("{job}/{name}")).await.len() as u64,
        );
    }
    // By the node's own account there is nothing beside them.
    let refs = node.rpc(&format!("refs?arg={root}&recursive=true&unique=true&format=<linkname>")).await;
    let named = refs.matches("\"Ref\":\"").count() - refs.matches("\"Ref\":\"\"").count();
    let folders: std::collections::BTreeSet<_> = sizes
        .keys()
        .flat_map(|key| key.match_indices('/').map(|(at, _)| key[..at].to_owned()).collect::<Vec<_>>())
        .collect();
    assert!(named < sizes.len() + folders.len(), "{named} names for {} files: {refs}", sizes.len());
    manifest
}

/// That what is stored is read by the array that is part of it, by the manifest's content ids, and by the root.
pub(crate) async fn verified_of(store: &dyn TreeStore, stored: &Stored, prefix: &str) {
    let root = stored.root.as_ref().unwrap();
    let manifest = Manifest::parse(&store.manifest(stored).await.unwrap().unwrap()).unwrap();
    let (status, array) = get(&format!("{prefix}{root}/results.json")).await;
    let array: Vec<serde_json::Value> = serde_json::from_slice(&array).unwrap();
    assert_eq!((status, array.len()), (200, manifest.files.len()));
    for (entry, file) in array.iter().zip(&manifest.files) {
        let link = store.link(stored, &file.key, Duration::from_secs(1)).await.unwrap().unwrap();
        assert_eq!(link, store.urls().of_key(root, &file.key));
        for url in [entry["url"].as_str().unwrap(), &link] {
            let (status, bytes) = get(url).await;
            assert_eq!((status, Sha256::of(&bytes)), (200, file.sha256), "{url}");
        }
        assert!(entry["url"].as_str().unwrap().contains(file.cid.as_deref().unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_one_pinned_folder_that_ordinary_clients_can_read() {
    let node = Node::start(&[]);
    let big = vec![7; 3 << 20];
    let files: [(&str, &[u8]); 4] = [("a b/ü%+#.csv", b"1,2\n"), ("big", &big), ("empty", b""), ("a-b", b"x")];
    let report = publish_files(&of(&node.target), "wf-1", &files).await;
    assert_eq!(report.fault, None);
    let published = report.published.unwrap();
    let root = published.root.unwrap();
    assert_only(&node, "wf-1", &root).await;
    let stored = Stored { job: "wf-1".parse().unwrap(), root: Some(root.clone()) };
    verified_of(&node.kubo(), &stored, &node.target.url_prefix).await;

    // Again: nothing is sent, nothing changes. With pin and entry lost, only they come back.
    for spoil in ["", "pin/rm?arg=", "files/rm?force=true&arg="] {
        let folder = node.target.folder.replace(' ', "%20");
        match spoil {
            "" => {}
            "pin/rm?arg=" => drop(node.rpc(&format!("{spoil}{root}")).await),
            _ => drop(node.rpc(&format!("{spoil}{folder}/wf-1")).await),
        }
        let report = publish_files(&of(&node.target), "wf-1", &files).await;
        assert_eq!(report.published.unwrap().root.as_ref(), Some(&root), "{spoil}");
        assert_only(&node, "wf-1", &root).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_result_of_the_same_name_is_replaced_and_a_same_one_is_kept() {
    let node = Node::start(&[]);
    let old = publish_files(&of(&node.target), "wf-1", &[("old", b"old")]).await.published.unwrap().root.unwrap();
    let report = publish_files(&of(&node.target), "wf-1", &[("new", b"new")]).await;
    let root = report.published.unwrap().root.unwrap();
    assert_ne!(root, old);
    assert_only(&node, "wf-1", &root).await;

    // The same, as a node with other settings would have stored it: entered under another root.
    let folder = node.target.folder.replace(' ', "%20");
    node.rpc(&format!("files/cp?arg=/ipfs/{root}&arg=/same")).await;
    node.rpc("files/rm?arg=/same/results.json").await;
    node.rpc("files/cp?arg=/same/manifest.json&arg=/same/results.json").await;
    let stat: serde_json::Value = serde_json::from_str(&node.rpc("files/stat?arg=/same").await).unwrap();
    let other = stat["Hash"].as_str().unwrap().to_owned();
    node.rpc(&format!("files/rm?force=true&arg={folder}/wf-1")).await;
    node.rpc(&format!("files/cp?arg=/ipfs/{other}&arg={folder}/wf-1")).await;
    node.rpc(&format!("pin/rm?arg={root}")).await;
    let report = publish_files(&of(&node.target), "wf-1", &[("new", b"new")]).await;
    assert_eq!(report.published.unwrap().root.as_ref(), Some(&other));
    assert_only_pin(&node, "wf-1", &other).await;

    // A file in the way is somebody's, and is left alone.
    node.rpc(&format!("files/cp?arg=/ipfs/{root}/manifest.json&arg={folder}/wf-2")).await;
    let fault = publish_files(&of(&node.target), "wf-2", &[("x", b"x")]).await.fault.unwrap();
    assert_eq!((fault.reason.as_str(), fault.retry), ("StorageMisconfigured", true), "{fault:?}");
}

async fn assert_only_pin(node: &Node, job: &str, root: &str) {
    assert_eq!(node.pins().await, [(format!("{}/{job}", &node.target.folder[1..]), root.to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_is_gone_and_what_has_the_same_bytes_is_not() {
    let node = Node::start(&[]);
    let kubo = node.kubo();
    let mut stored = Vec::new();
    for job in ["wf-1", "wf-2"] {
        let report = publish_files(&of(&node.target), job, &[("same", &[7; 1 << 20])]).await;
        stored.push(Stored { job: job.parse().unwrap(), root: report.published.unwrap().root });
    }
    // The name was used again: the recorded root goes, what is entered by now stays.
    let older = Stored { job: "wf-2".parse().unwrap(), root: stored[0].root.clone() };
    assert_eq!(kubo.remove(&older).await.unwrap(), Removed::default(), "it is kept as wf-1");
    let removed = kubo.remove(&stored[0]).await.unwrap();
    assert!(removed.objects >= 3 && removed.bytes > 1 << 20, "{removed:?}");
    assert_eq!(kubo.remove(&stored[0]).await.unwrap(), Removed::default());
    kubo.collect_garbage().await.unwrap();
    let url = |of: &Stored, path: &str| format!("{}{}/{path}", node.target.url_prefix, of.root.as_ref().unwrap());
    // 404 or, while the node is offline, 500.
    assert!(get(&url(&stored[0], "manifest.json")).await.0 >= 400);
    assert_only(&node, "wf-2", stored[1].root.as_ref().unwrap()).await;
    assert_eq!(get(&url(&stored[1], "data/outputs/same")).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lost_its_index_is_given_it_again() {
    let mut node = Node::start(&[]);
    let mut recorded = Vec::new();
    for job in ["wf-1", "wf-2", "wf-3"] {
        let report = publish_files(&of(&node.target), job, &[("x", job.as_bytes())]).await;
        recorded.push(Stored { job: job.parse().unwrap(), root: report.published.unwrap().root });
    }
    // As its makers say it is to be brought back when it does not start any more.
    node.server.kill();
    let (ipfs, repository) = (node.server.text("ipfs"), node.server.text("repository"));
    let mut chroot = std::process::Command::new(ipfs);
    let chroot = chroot.args(["files", "chroot", "--confirm"]).env("IPFS_PATH", repository).output().unwrap();
    assert!(chroot.status.success(), "{}", String::from_utf8_lossy(&chroot.stderr));
    node.server.start_again();
    let kubo = node.kubo();
    assert!(matches!(kubo.jobs().await, Err(StorageError::Misconfigured { .. })));
    // Results are read by their recorded roots all the same.
    assert!(kubo.manifest(&recorded[0]).await.unwrap().is_some());
    assert_eq!(contract::read(&kubo, &recorded[0], "wf-1/data/outputs/x").await, b"wf-1");

    // One is gone for good; one was never recorded with a root.
    node.rpc(&format!("pin/rm?arg={}", recorded[2].root.as_ref().unwrap())).await;
    node.rpc("repo/gc").await;
    let rootless = Stored { job: "wf-4".parse().unwrap(), root: None };
    recorded.push(rootless.clone());
    let relinked = kubo.relink(&recorded).await.unwrap();
    assert_eq!(relinked.entered, recorded[..2]);
    assert_eq!(relinked.lost, recorded[2..]);
    assert_eq!(kubo.jobs().await.unwrap(), recorded[..2]);
    let relinked = kubo.relink(&recorded).await.unwrap();
    assert_eq!((relinked.present, relinked.entered), (recorded[..2].to_vec(), vec![]));

    // What is pinned without being entered is found: the trace of a publishing that ended in between.
    let folder = node.target.folder.replace(' ', "%20");
    node.rpc(&format!("files/rm?force=true&arg={folder}/wf-2")).await;
    assert_eq!(kubo.unlinked().await.unwrap(), recorded[1..2]);
    // Another folder of the node has pins of its own.
    let beside = Ipfs { folder: format!("{}-adminlogs", node.target.folder), ..node.target.clone() };
    let report = publish_files(&of(&beside), "wf-2", &[("x", b"another's")]).await;
    assert_eq!(report.fault, None);
    assert_eq!(kubo.unlinked().await.unwrap(), recorded[1..2]);
    assert_eq!(kubo.remove(&recorded[1]).await.unwrap().objects, 4);
    assert_eq!(kubo.unlinked().await.unwrap(), []);
    let beside = ipfs::open(&beside, &IpfsCredentials::default()).unwrap();
    assert_eq!(beside.jobs().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_in_is_told_so() {
    let bearer = "Bearer hunter2hunter2";
    let basic = "Basic dXNlcjpodW50ZXIyaHVudGVyMg=="; // user:hunter2hunter2
    let arguments = ["--auth", "bearer:hunter2hunter2", "--auth", "basic:user:hunter2hunter2"];
    let allowed = ["/api/v0/add", "/api/v0/cat", "/api/v0/files", "/api/v0/ls", "/api/v0/pin"];
    let arguments: Vec<_> =
        arguments.into_iter().chain(allowed.into_iter().flat_map(|path| ["--allow", path])).collect();
    let node = Node::start(&arguments);
    let with = |authorization: &str| Credentials {
        ipfs: IpfsCredentials { authorization: Some(Secret::new(authorization)), ..IpfsCredentials::default() },
        ..Credentials::default()
    };
    for authorization in [bearer, basic] {
        let report = publish_files_as(&of(&node.target), &with(authorization), "wf-1", &[("x", b"x")]).await;
        assert_eq!(report.fault, None);
    }
    for credentials in [Credentials::default(), with("Bearer wrong"), with("Basic wrong")] {
        let fault = publish_files_as(&of(&node.target), &credentials, "wf-1", &[("x", b"x")]).await.fault.unwrap();
        assert_eq!((fault.reason.as_str(), fault.retry), ("StorageDenied", true));
        let kubo = ipfs::open(&node.target, &credentials.ipfs).unwrap();
        let denied = |error| matches!(error, StorageError::Denied { .. });
        assert!(kubo.jobs().await.is_err_and(denied));
        let stored = Stored { job: "wf-1".parse().unwrap(), root: None };
        assert!(kubo.remove(&stored).await.is_err_and(denied));
        assert!(kubo.manifest(&stored).await.is_err_and(denied));
    }
    // Collecting garbage is more than was allowed.
    let kubo = ipfs::open(&node.target, &with(bearer).ipfs).unwrap();
    let error = kubo.collect_garbage().await.unwrap_err();
    assert!(matches!(error, StorageError::Denied { .. }) && !format!("{error:?}").contains("hunter2"), "{error:?}");
    assert_eq!(kubo.jobs().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_node_or_none_that_is_there_is_told() {
    let node = Node::start(&[]);
    let at = |api: &str| Ipfs { api: api.to_owned(), ..node.target.clone() };
    let gateway = publish_files(&of(&at(node.server.text("gateway"))), "wf-1", &[]).await.fault.unwrap();
    assert_eq!((gateway.reason.as_str(), gateway.retry), ("StorageMisconfigured", true), "{gateway:?}");
    let nobody = publish_files(&of(&at("http://127.0.0.1:9")), "wf-1", &[]).await.fault.unwrap();
    assert_eq!((nobody.reason.as_str(), nobody.retry), ("StorageUnavailable", true), "{nobody:?}");
    assert!(nobody.message.contains("onnection refused"), "{}", nobody.message);
}
