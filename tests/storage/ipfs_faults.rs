//! What becomes of results on an IPFS node when wire or node do not do what they should.

use crate::{
    contract::{self, prepared, task},
    identity::certificate,
    ipfs::{Node, assert_only, publish_files},
    ipfs_wire::{Asked, Fault, Wire, answer, trailer_error},
};
use bytes::Bytes;
use futures::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use object_store::{ObjectStore as _, ObjectStoreExt as _, path::Path};
use operator_engine::{
    pod::publish,
    storage::{
        Broken, Ipfs, IpfsCredentials, Place, ResultStore as _, StorageError, Stored, Target, TreeFile, TreeSource,
        TreeStore as _,
        ipfs::{self, Kubo, MfsStore, Patience},
        verify,
    },
    workflow::report::PublishReport,
};
use std::{
    error::Error as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

const FILES: [(&str, &[u8]); 3] = [("a", b"a"), ("b/c", b"c"), ("d", b"")];

/// For what hangs. Something else may be as slow on a busy machine: then it fails too, which is as right.
const SHORT: Patience = Patience { read: Duration::from_secs(4), write: Duration::from_secs(4) };

struct Line {
    wire: Wire,
    target: Ipfs,
}

impl Line {
    async fn new(node: &Node, script: impl Fn(&Asked) -> Option<Fault> + Send + Sync + 'static) -> Self {
        let wire = Wire::to(&node.target.api, script).await;
        let target = Ipfs { api: wire.api.clone(), ..node.target.clone() };
        Self { wire, target }
    }

    fn kubo(&self) -> Kubo {
        ipfs::open(&self.target, &IpfsCredentials::default()).unwrap()
    }

    fn impatient(&self) -> Kubo {
        self.kubo().with_patience(SHORT)
    }

    async fn publish(&self, job: &str, outputs: &[(&str, &[u8])]) -> PublishReport {
        self.publish_by(self.kubo(), job, outputs).await
    }

    async fn publish_by(&self, kubo: Kubo, job: &str, outputs: &[(&str, &[u8])]) -> PublishReport {
        let (dir, facts) = prepared(job, outputs);
        publish::run(task(dir.path(), facts), &Place::Tree(Arc::new(kubo)).into()).await
    }
}

fn at(number: usize, fault: impl Fn() -> Fault + Send + Sync + 'static) -> impl Fn(&Asked) -> Option<Fault> {
    move |asked| (asked.number == number).then(&fault)
}

fn to(
    command: &'static str,
    fault: impl Fn() -> Fault + Send + Sync,
) -> impl Fn(&Asked) -> Option<Fault> + Send + Sync {
    move |asked| (asked.command == command).then(&fault)
}

/// Which of [`passing`] hangs.
const HANGS: usize = 3;

/// A fault that passes, of this kind.
fn passing(kind: usize, number: usize) -> Fault {
    match kind {
        0 => Fault::Lost,
        1 => Fault::Cut(5),
        HANGS => Fault::Hang,
        _ if number.is_multiple_of(3) => Fault::Answer(answer(503, "")),
        _ if number % 3 == 1 => Fault::Answer(trailer_error("", "disk quota exceeded")),
        _ => Fault::Answer(answer(500, r#"{"Message":"no space left on device","Code":0,"Type":"error"}"#)),
    }
}

/// The numbers of the requests to which this happens. Waiting takes its time, so not all of them hang.
fn numbers(kind: usize, requests: usize) -> impl Iterator<Item = usize> {
    (0..requests).step_by(if kind == HANGS { 3 } else { 1 })
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_request_fails_another_attempt_completes_the_result() {
    let node = Node::start(&[]);
    let mut requests = usize::MAX;
    for kind in 0..=HANGS {
        let mut failures = 0;
        for number in numbers(kind, requests) {
            // Another result is in the way.
            assert_eq!(publish_files(&Target::Ipfs(node.target.clone()), "wf-1", &[("old", b"x")]).await.fault, None);
            let line = Line::new(&node, at(number, move || passing(kind, number))).await;
            let kubo = if kind == HANGS { line.impatient() } else { line.kubo() };
            let report = line.publish_by(kubo, "wf-1", &FILES).await;
            if line.wire.injected() == 0 && kind != HANGS {
                assert_eq!(report.fault, None);
                requests = number;
                break;
            }
            let about = || format!("kind {kind}: {:?}", line.wire.asked().get(number));
            if let Some(fault) = report.fault {
                assert!(fault.retry && fault.reason == "StorageUnavailable", "{}: {fault:?}", about());
                failures += 1;
            }
            let report = publish_files(&Target::Ipfs(node.target.clone()), "wf-1", &FILES).await;
            assert_eq!(report.fault, None, "{}", about());
            let root = report.published.unwrap().root.unwrap();
            assert_eq!(assert_only(&node, "wf-1", &root).await.files.len(), FILES.len() + 1, "{}", about());
        }
        assert!(failures > 3, "{failures} requests could fail by kind {kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_request_fails_another_removal_completes_it() {
    let node = Node::start(&[]);
    let kept = publish_files(&Target::Ipfs(node.target.clone()), "wf-2", &FILES).await.published.unwrap().root.unwrap();
    let mut requests = usize::MAX;
    for kind in 0..=HANGS {
        let mut failures = 0;
        for number in numbers(kind, requests) {
            let report = publish_files(&Target::Ipfs(node.target.clone()), "wf-1", &FILES).await;
            let stored = Stored { job: "wf-1".parse().unwrap(), root: report.published.unwrap().root };
            let line = Line::new(&node, at(number, move || passing(kind, number))).await;
            let kubo = if kind == HANGS { line.impatient() } else { line.kubo() };
            let removed = kubo.remove(&stored).await;
            if line.wire.injected() == 0 && kind != HANGS {
                assert_eq!(removed.unwrap().objects, FILES.len() as u64 + 3);
                requests = number;
                break;
            }
            let about = format!("kind {kind}: {:?}", line.wire.asked().get(number));
            match removed {
                Err(error) => {
                    assert!(error.retry(), "{about}: {error:?}");
                    failures += 1;
                }
                // Its failure did not matter.
                Ok(_) => drop(assert_only(&node, "wf-2", &kept).await),
            }
            node.kubo().remove(&stored).await.unwrap();
            assert_only(&node, "wf-2", &kept).await;
        }
        assert!(failures > 2, "{failures} requests could fail by kind {kind}");
    }
}

/// What anything is read by.
async fn read(line: &Line, stored: &Stored, key: &str) -> Result<Vec<Bytes>, StorageError> {
    line.impatient().read(stored, key).await?.try_collect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_short_is_never_taken_for_whole() {
    let node = Node::start(&[]);
    let big = vec![7; 1 << 20];
    let report = publish_files(&Target::Ipfs(node.target.clone()), "wf-1", &[("big", &big)]).await;
    let stored = Stored { job: "wf-1".parse().unwrap(), root: report.published.unwrap().root };
    let mfs = Ipfs { folder: "/objects".into(), ..node.target.clone() };
    let object = Path::from("big");
    let store = MfsStore::open(&mfs, &IpfsCredentials::default()).unwrap();
    store.put(&object, big.clone().into()).await.unwrap();

    let faults: [fn() -> Fault; 5] = [
        || Fault::Cut(0),
        || Fault::Cut(300_000),
        || Fault::Answer(trailer_error("half", "block was not found locally (offline)")),
        // As a node does after its garbage collector was faster: 200, and nothing.
        || Fault::Answer(answer(200, "")),
        || Fault::Hang,
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        let line = Line::new(&node, to("cat", fault)).await;
        let error = read(&line, &stored, "wf-1/data/outputs/big").await.unwrap_err();
        assert!(error.retry(), "{number}: {error:?}");
        // So small that it is not cut by all of them.
        match line.impatient().manifest(&stored).await {
            Err(error) => assert!(error.retry(), "{number}: {error:?}"),
            Ok(manifest) => assert!(number == 1 && manifest.is_some(), "{number}"),
        }
        let behind = Ipfs { api: line.wire.api.clone(), ..mfs.clone() };
        let behind = MfsStore::open(&behind, &IpfsCredentials::default()).unwrap().with_patience(SHORT);
        let got = async { behind.get(&object).await?.bytes().await };
        assert!(got.await.is_err(), "{number}");
    }
    // A list that ends early would let a sweep think that the rest is gone.
    let faults: [fn() -> Fault; 2] =
        [|| Fault::Cut(1), || Fault::Answer(trailer_error("", "block was not found locally (offline)"))];
    for fault in faults {
        let line = Line::new(&node, to("ls", fault)).await;
        assert!(line.kubo().jobs().await.unwrap_err().retry());
        let line = Line::new(&node, to("pin/ls", fault)).await;
        assert!(line.kubo().unlinked().await.unwrap_err().retry());
    }
    assert_eq!(contract::read(&node.kubo(), &stored, "wf-1/data/outputs/big").await, big);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rival_that_enters_first_is_kept_if_it_says_the_same_and_replaced_if_not() {
    let node = Node::start(&[]);
    let folder = node.target.folder.replace(' ', "%20");
    // The same result under another root, and another result.
    let same = publish_files(&Target::Ipfs(node.target.clone()), "wf-1", &FILES).await.published.unwrap().root.unwrap();
    node.rpc(&format!("files/cp?arg=/ipfs/{same}&arg=/same")).await;
    node.rpc("files/rm?arg=/same/results.json").await;
    node.rpc("files/cp?arg=/same/manifest.json&arg=/same/results.json").await;
    let stat: serde_json::Value = serde_json::from_str(&node.rpc("files/stat?arg=/same").await).unwrap();
    let same = stat["Hash"].as_str().unwrap().to_owned();
    let other = publish_files(&Target::Ipfs(node.target.clone()), "wf-1", &[("o", b"")]).await;
    let other = other.published.unwrap().root.unwrap();
    for (rival, kept) in [(&same, true), (&other, false)] {
        node.kubo().remove(&Stored { job: "wf-1".parse().unwrap(), root: None }).await.unwrap();
        let api = &node.target.api;
        let url = format!("{api}/api/v0/files/cp?arg=/ipfs/{rival}&arg={folder}/wf-1");
        let first = AtomicBool::new(true);
        let line = Line::new(&node, move |asked| {
            let url = url.clone();
            let rival = async move { drop(reqwest::Client::new().post(url).send().await) };
            let now = asked.command == "files/cp" && first.swap(false, Ordering::SeqCst);
            now.then(|| Fault::First(Box::pin(rival)))
        })
        .await;
        let report = line.publish("wf-1", &FILES).await;
        assert_eq!(report.fault, None);
        let root = report.published.unwrap().root.unwrap();
        assert_eq!(&root == rival, kept);
        let pins = node.pins().await;
        assert_eq!(pins.iter().map(|(_, cid)| cid).collect::<Vec<_>>(), [&root]);
        assert_eq!(node.kubo().jobs().await.unwrap()[0].root.as_ref(), Some(&root));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_node_and_what_is_none_are_refused_before_anything_is_sent() {
    let node = Node::start(&[]);
    let cases = [
        (answer(200, r#"{"Version":"0.42.0","Commit":""}"#), "it is Kubo 0.42.0, and 0.43 or later is needed"),
        (answer(200, r#"{"Version":"0.43.0-rc1"}"#), "0.43 or later is needed"),
        (answer(200, r#"{"Version":"hunter"}"#), "0.43 or later is needed"),
        (answer(200, "<html>"), "cannot be understood"),
        (answer(404, "404 page not found"), "status 404"),
        (answer(405, ""), "status 405"),
        (answer(308, ""), "redirect"),
        (answer(200, &"x".repeat(20 << 20)), "more than"),
    ];
    for (said, told) in cases {
        let line = Line::new(&node, to("version", move || Fault::Answer(said.clone()))).await;
        let fault = line.publish("wf-1", &FILES).await.fault.unwrap();
        assert_eq!((fault.reason.as_str(), fault.retry), ("StorageMisconfigured", true), "{fault:?}");
        assert!(fault.message.contains(told), "{}", fault.message);
        let stored = Stored { job: "wf-1".parse().unwrap(), root: None };
        assert!(matches!(line.kubo().remove(&stored).await, Err(StorageError::Misconfigured { .. })));
        // So a sweep says it too, and an engine that starts.
        assert!(matches!(line.kubo().jobs().await, Err(StorageError::Misconfigured { .. })));
        match line.kubo().outdated().await {
            Ok(why) => assert!(why.is_some_and(|why| why.contains(told) && told.contains("needed"))),
            Err(error) => assert!(matches!(error, StorageError::Misconfigured { .. }) && !told.contains("needed")),
        }
        let object = MfsStore::open(&line.target, &IpfsCredentials::default()).unwrap();
        assert!(object.put(&Path::from("x"), "x".into()).await.is_err());
        let changing = ["add", "files/cp", "files/rm", "files/mkdir", "pin/add", "pin/rm"];
        assert!(!line.wire.asked().iter().any(|asked| changing.contains(&asked.command.as_str())));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lies_about_content_ids_is_not_believed() {
    let node = Node::start(&[]);
    for said in [r#"{"Hash":"../../x","Size":0,"Type":"directory"}"#, r#"{"Hash":"","Size":0,"Type":"directory"}"#] {
        let line = Line::new(&node, to("files/stat", move || Fault::Answer(answer(200, said)))).await;
        assert!(matches!(line.kubo().jobs().await, Err(StorageError::Misconfigured { .. })), "{said}");
    }
    // A root in a record that is none.
    let stored = Stored { job: "wf-1".parse().unwrap(), root: Some("x/../y".into()) };
    node.kubo().prepare().await.unwrap();
    assert!(matches!(node.kubo().remove(&stored).await, Err(StorageError::Misconfigured { .. })));
}

/// A real tree of many blocks: a file on two levels, a folder so large that the node spreads it; and a node that does not give
/// back what was put in.
#[tokio::test(flavor = "multi_thread")]
async fn content_ids_of_files_in_many_blocks_and_of_spread_folders_are_recomputed_and_a_lying_node_is_found() {
    let node = Node::start(&["--config", "Import.UnixFSChunker=\"size-1024\""]);
    let big: Vec<u8> = (0..512 << 10).map(|n: u32| n.to_le_bytes()[usize::from(n.is_multiple_of(3))]).collect();
    let names: Vec<String> = (0..1200).map(|n| format!("many/{n}-{}", "x".repeat(230))).collect();
    let mut files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), name.as_bytes())).collect();
    files.extend([("big", &big[..]), ("empty", b"")]);
    let published = publish_files(&Target::Ipfs(node.target.clone()), "wf-1", &files).await.published.unwrap();
    let stored = Stored { job: "wf-1".parse().unwrap(), root: published.root.clone() };
    let cids = async |kubo: &Kubo, stored: &Stored| {
        let expected = verify::Expected::default();
        let checks = verify::verify(kubo, stored, &expected, &|_| {}).await.unwrap();
        checks.into_iter().find(|check| check.name == "cids").unwrap()
    };
    let check = cids(&node.kubo(), &stored).await;
    assert_eq!(check.verdict, verify::Verdict::Passed, "{check:?}");

    // Which blocks it takes: all of them, as a wire sees it.
    let line = Line::new(&node, |_| None).await;
    assert_eq!(cids(&line.kubo(), &stored).await.verdict, verify::Verdict::Passed);
    let asked = line.wire.asked().iter().filter(|asked| asked.command == "block/get").count();
    assert!(asked > 512 + 3 + 100, "{asked} blocks");
    for nth in [0, asked / 2, asked - 1] {
        let seen = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let line = Line::new(&node, move |asked| {
            let now = asked.command == "block/get" && seen.fetch_add(1, Ordering::Relaxed) == nth;
            now.then(|| Fault::Answer(answer(200, "other bytes")))
        })
        .await;
        let check = cids(&line.kubo(), &stored).await;
        assert_eq!(check.verdict, verify::Verdict::Failed, "{nth}: {check:?}");
        assert!(check.notes[0].contains("has other bytes"), "{nth}: {check:?}");
    }
    let denied = Line::new(&node, to("block/get", || Fault::Answer(answer(403, "Kubo RPC Access Denied")))).await;
    let check = cids(&denied.kubo(), &stored).await;
    assert_eq!(check.verdict, verify::Verdict::Unchecked);
    assert!(check.notes[0].contains("/api/v0/block"), "{check:?}");

    // Somebody changed a file, and the node's tree with it.
    node.rpc(&format!("files/cp?arg=/ipfs/{}&arg=/changed", published.root.unwrap())).await;
    node.rpc("files/rm?arg=/changed/data/outputs/big").await;
    node.rpc("files/cp?arg=/changed/data/outputs/empty&arg=/changed/data/outputs/big").await;
    let stat: serde_json::Value = serde_json::from_str(&node.rpc("files/stat?arg=/changed").await).unwrap();
    let changed = stat["Hash"].as_str().unwrap().to_owned();
    node.rpc(&format!("pin/add?arg={changed}")).await;
    let check = cids(&node.kubo(), &Stored { root: Some(changed), ..stored }).await;
    assert_eq!(check.verdict, verify::Verdict::Failed);
    assert!(check.notes[0].contains("\"outputs/big\" has the content id"), "{check:?}");
}

/// Files that break off, or are not as long as they were said to be.
struct Breaking(Pieces);

type Pieces = fn() -> Vec<Result<Bytes, Broken>>;

impl TreeSource for Breaking {
    fn files(&self) -> Vec<TreeFile> {
        ["data/outputs/a", "data/outputs/b"].map(|path| TreeFile { path: path.into(), size: 3 }).into()
    }

    fn bytes(&self, index: usize) -> BoxStream<'static, Result<Bytes, Broken>> {
        let bytes = if index == 0 { vec![Ok("abc".into())] } else { self.0() };
        stream::iter(bytes).boxed()
    }

    fn last_paths(&self) -> &'static [&'static str] {
        &["results.json", "manifest.json"]
    }

    fn last(&self, _: Vec<String>) -> Result<Vec<Bytes>, Broken> {
        Ok(vec!["[]".into(), "{}".into()])
    }

    fn same(&self, _: &[u8]) -> bool {
        false
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_break_off_leave_nothing() {
    let node = Node::start(&[]);
    let job = "wf-1".parse().unwrap();
    let breaks: [Pieces; 4] = [
        || vec![Err(Broken)],
        || vec![Ok("a".into()), Err(Broken)],
        || vec![Ok("ab".into())],
        || vec![Ok("abcd".into())],
    ];
    for bytes in breaks {
        let error = node.kubo().publish(&job, Arc::new(Breaking(bytes))).await.unwrap_err();
        assert!(error.source().unwrap().to_string().contains("cannot be read any more"), "{error:?}");
        assert_eq!(node.pins().await, []);
        assert_eq!(node.kubo().jobs().await.unwrap(), []);
    }
    let whole = Breaking(|| vec![Ok("d".into()), Ok("ef".into())]);
    node.kubo().publish(&job, Arc::new(whole)).await.unwrap();
    assert_eq!(node.kubo().jobs().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_survive_faults_and_leave_no_stage() {
    let node = Node::start(&[]);
    let mfs = Ipfs { folder: "/objects".into(), ..node.target.clone() };
    let direct = MfsStore::open(&mfs, &IpfsCredentials::default()).unwrap();
    let object = Path::from("a/b");
    for kind in 0..HANGS {
        for number in 0.. {
            direct.put(&object, "old".into()).await.unwrap();
            let wire = Wire::to(&node.target.api, at(number, move || passing(kind, number))).await;
            let behind = Ipfs { api: wire.api.clone(), ..mfs.clone() };
            let behind = MfsStore::open(&behind, &IpfsCredentials::default()).unwrap();
            let put = behind.put(&object, "new".into()).await;
            let got = direct.get(&object).await.unwrap().bytes().await.unwrap();
            assert!(got == "new" || put.is_err() && got == "old", "{kind} {number}: {put:?} {got:?}");
            let listed: Vec<_> = direct.list(None).map_ok(|meta| meta.location).try_collect().await.unwrap();
            assert_eq!(listed, std::slice::from_ref(&object));
            if wire.injected() == 0 {
                assert!(put.is_ok());
                break;
            }
        }
    }
    // What failed half way is still staged; nobody sees it, and it can be dropped.
    direct.drop_unfinished().await.unwrap();
    let stat = node.rpc("files/ls?arg=/objects").await;
    assert!(!stat.contains(".staging"), "{stat}");
    direct.put(&object, "again".into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_certificate_of_ones_own_is_trusted_when_its_ca_is_named_and_not_otherwise() {
    let node = Node::start(&[]);
    let dir = tempfile::tempdir().unwrap();
    let (pem, tls) = certificate(dir.path());
    let wire = Wire::secured(&node.target.api, Some(tls), |_| None).await;
    let stranger = Ipfs { api: wire.api.clone(), ..node.target.clone() };
    let fault = publish_files(&Target::Ipfs(stranger.clone()), "wf-1", &FILES).await.fault.unwrap();
    assert_eq!((fault.reason.as_str(), fault.retry), ("StorageMisconfigured", true), "{fault:?}");
    assert!(fault.message.contains("certificate"), "{}", fault.message);
    assert!(wire.asked().is_empty());

    let trusted = Target::Ipfs(Ipfs { ca: Some(pem), ..stranger.clone() });
    let report = publish_files(&trusted, "wf-1", &FILES).await;
    assert_eq!(report.fault, None);
    assert_only(&node, "wf-1", &report.published.unwrap().root.unwrap()).await;
    for ca in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let target = Ipfs { ca: Some(ca.into()), ..stranger.clone() };
        let error = ipfs::open(&target, &IpfsCredentials::default()).unwrap_err();
        assert!(matches!(error, StorageError::Misconfigured { .. }), "{error}");
    }
}
