//! Expiry over stores as they are: what publish stored, a sweep deletes when its time is up, and nothing else.

use crate::{
    contract::{prepared, task},
    ipfs::Node,
    stores,
};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use operator_engine::{
    clock::SystemClock,
    plan::end::End,
    pod::publish,
    sandbox::{
        Sandbox,
        kubelet::{Kubelet, Run, Stop},
    },
    storage::{Credentials, Place, ResultStore, Target, open_results},
    sweep::{Occasion, Policy, Report, Sweeper, Swept},
    workflow::{Record, State, report::Published},
};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

struct Nobody;

#[async_trait]
impl Kubelet for Nobody {
    async fn run(&self, _: &Run<'_>, _: Stop) -> End {
        End::default()
    }
}

/// A store, and a cluster in memory whose workflows were published to it.
struct World {
    sandbox: Sandbox,
    target: Target,
    credentials: Credentials,
}

const PAST: SignedDuration = SignedDuration::from_hours(-1);
const FUTURE: SignedDuration = SignedDuration::from_hours(1);

impl World {
    fn new(target: Target, credentials: Credentials) -> Self {
        Self { sandbox: Sandbox::new(Arc::new(Nobody), Arc::new(SystemClock::new())), target, credentials }
    }

    /// Publishes as the publish pod does; without a record where its workflow is to be gone.
    async fn publish(&self, job: &str, expires: SignedDuration, with_workflow: bool) -> Published {
        let (data, mut facts) = prepared(job, &[("a.csv", b"1,2\n"), ("deep/ü b.csv", b"3\n"), ("big", &[7; 100_000])]);
        let expires = Timestamp::now() + expires;
        facts.expires_at = Some(expires);
        let place = Place::open(&self.target, &self.credentials).unwrap();
        let report = publish::run(task(data.path(), facts), &place.into()).await;
        let published = report.published.unwrap_or_else(|| panic!("{:?}", report.fault));
        if with_workflow {
            let Published { store, manifest, manifest_sha256, root, files, bytes, .. } = published.clone();
            let mut results = json!({"store": store, "prefix": job, "manifest": manifest, "manifestSha256": manifest_sha256,
                "files": files, "bytes": bytes, "expiresAt": expires});
            if let Some(root) = root {
                results["root"] = json!(root);
            }
            let record = json!({"code": 70, "text": "Job finished", "phase": "done", "attempt": 0,
                "document": manifest_sha256, "holder": {"lease": "l", "identity": "i"}, "results": results});
            assert!(self.sandbox.submit(job, BTreeMap::new()));
            self.sandbox.annotate(job, Some(record.to_string()));
            self.sandbox.label(job, State::Done);
        }
        published
    }

    fn sweeper(&self) -> Sweeper {
        let (target, credentials) = (self.target.clone(), self.credentials.clone());
        let open = move || vec![("outputs", open_results(&target, &credentials).map(Arc::from))];
        let policy = Policy {
            max_per_run: 100,
            confirm_after: Duration::ZERO,
            clock_tolerance: Duration::from_mins(5),
            orphans_after: Some(Duration::from_hours(24)),
            keep_records: None,
        };
        let archive = Arc::new(self.sandbox.clone());
        Sweeper::new(archive, Box::new(open), Arc::new(SystemClock::new()), policy, "me".into(), Duration::from_secs(5))
    }

    fn store(&self) -> Box<dyn ResultStore> {
        open_results(&self.target, &self.credentials).unwrap()
    }

    async fn names(&self) -> Vec<String> {
        self.store().jobs().await.unwrap().into_iter().map(|stored| stored.job.to_string()).collect()
    }

    fn is_marked(&self, job: &str) -> bool {
        let status = self.sandbox.workflow(job).unwrap().status.unwrap();
        Record::parse(&status).unwrap().results.unwrap().deleted_at.is_some()
    }
}

async fn sweep(sweeper: &mut Sweeper) -> Report {
    match sweeper.run(Occasion::Request, &CancellationToken::new(), &mut |_, _| {}).await.unwrap() {
        Swept::Done(report) => *report,
        other => panic!("{other:?}"),
    }
}

/// Everything that holds of every store.
async fn results_expire(world: &World) {
    world.publish("wf-1", PAST, true).await;
    world.publish("wf-10", FUTURE, true).await;
    world.publish("wf-2", PAST, false).await;
    world.publish("wf-3", FUTURE, false).await;
    let mut sweeper = world.sweeper();
    // By way of its records and the store's clock, whatever that is.
    let first = sweep(&mut sweeper).await;
    assert_eq!((first.found, first.deleted, first.kept), (2, 0, 2), "{first:?}");
    assert_eq!(world.names().await, ["wf-1", "wf-10", "wf-2", "wf-3"]);
    let second = sweep(&mut sweeper).await;
    assert!(second.complete && !second.has_failures(), "{second:?}");
    assert_eq!((second.deleted, second.kept), (2, 2), "{second:?}");
    assert!(second.bytes > 200_000 && second.objects >= 8, "{second:?}");
    for (job, left) in [("wf-1", false), ("wf-10", true), ("wf-2", false), ("wf-3", true)] {
        let stored = operator_engine::storage::Stored { job: job.parse().unwrap(), root: None };
        assert_eq!(world.store().manifest(&stored).await.unwrap().is_some(), left, "{job}");
    }
    assert!(world.is_marked("wf-1") && !world.is_marked("wf-10"));
    let third = sweep(&mut sweeper).await;
    assert_eq!((third.deleted, third.failed), (0, 0), "{third:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn results_in_a_folder_expire() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::Directory { path: dir.path().join("results") };
    results_expire(&World::new(target, Credentials::default())).await;
    let left: Vec<_> = std::fs::read_dir(dir.path().join("results")).unwrap().collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn results_in_a_bucket_expire() {
    let (target, credentials) = stores::s3();
    results_expire(&World::new(Target::S3(target), credentials)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_on_a_node_expire_and_it_can_lose_its_index() {
    let node = Node::start(&[]);
    stores::use_ring();
    let world = World::new(Target::Ipfs(node.target.clone()), Credentials::default());
    // Nothing was published yet, so there is not even a folder.
    let elsewhere = World::new(world.target.clone(), Credentials::default());
    let fresh = sweep(&mut elsewhere.sweeper()).await;
    assert!(fresh.complete && !fresh.has_failures(), "{fresh:?}");
    assert!(world.store().is_new().await.unwrap() && world.store().jobs().await.is_err());
    results_expire(&world).await;
    assert!(!world.store().is_new().await.unwrap());
    assert_eq!(node.pins().await.len(), 2);

    // The index is lost: what has no record cannot be entered again, and what has can.
    let published = world.publish("wf-4", PAST, true).await;
    let folder = node.target.folder.replace(' ', "%20");
    node.rpc(&format!("files/rm?arg={folder}&force=true")).await;
    node.rpc("files/flush?arg=/").await;
    let mut sweeper = world.sweeper();
    let lost = sweep(&mut sweeper).await;
    assert_eq!((lost.stores_failed.len(), lost.deleted, lost.already_gone), (1, 0, 0), "{lost:?}");
    assert!(!world.is_marked("wf-4"));
    let relinked = sweeper.relink().await.unwrap();
    assert_eq!((relinked.found, relinked.entered, relinked.present), (2, 2, 0), "{relinked:?}");
    assert!(relinked.lost.is_empty() && relinked.other.is_empty() && relinked.failures.is_empty(), "{relinked:?}");
    assert_eq!(world.names().await, ["wf-10", "wf-4"]);
    assert_eq!(sweeper.relink().await.unwrap().present, 2);
    sweep(&mut sweeper).await;
    let report = sweep(&mut sweeper).await;
    assert!(world.is_marked("wf-4"), "{report:?}");
    assert!(!node.pins().await.iter().any(|(_, cid)| Some(cid) == published.root.as_ref()));

    // Publishing was broken off between the pin and the entry, and its workflow is gone.
    world.publish("wf-5", PAST, false).await;
    node.rpc(&format!("files/rm?arg={folder}/wf-5&force=true")).await;
    node.rpc("files/flush?arg=/").await;
    sweep(&mut sweeper).await;
    sweep(&mut sweeper).await;
    let pins = node.pins().await;
    assert!(!pins.iter().any(|(name, _)| name.ends_with("/wf-5")), "{pins:?}");
}
