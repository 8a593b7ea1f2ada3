//! Results on a real IPFS node.

use crate::{
    contract::{self, Subject, prepared, task},
    server::Server,
};
use async_trait::async_trait;
use operator_engine::{
    pod::publish,
    storage::{
        Credentials, Ipfs, IpfsCredentials, Place, ResultStore, StorageError, Stored, Target,
        ipfs::{self, Kubo},
    },
    workflow::report::PublishReport,
};

/// A node of a test's own.
pub(crate) struct Node {
    pub(crate) server: Server,
    pub(crate) target: Ipfs,
}

impl Node {
    pub(crate) fn start(arguments: &[&str]) -> Self {
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
    let (dir, facts) = prepared(job, outputs);
    let place = Place::open(target, &Credentials::default()).unwrap();
    publish::run(task(dir.path(), facts), &place).await
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
