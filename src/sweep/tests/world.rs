//! A cluster, two stores and three clocks, all set by hand.

use crate::{
    clock::Clock,
    cluster::archive::{Archive, Page, Turn},
    plan::{Failure, Now, action::Write, end::End, seen::WorkflowSeen},
    sandbox::{
        Sandbox,
        kubelet::{Kubelet, Run, Stop},
    },
    storage::{Removed, ResultStore, StorageError, Stored},
    sweep::{Occasion, Policy, Report, Sweeper, Swept},
    workflow::{JobId, Record, State},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;

pub(super) const HOUR: i64 = 3600;
pub(super) const DAY: i64 = 24 * HOUR;

/// Seconds from where all clocks begin.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// A clock set by hand.
#[derive(Debug, Default)]
pub(super) struct Hand {
    pub(super) mono: AtomicI64,
    pub(super) wall: AtomicI64,
}

impl Hand {
    pub(super) fn wall(&self) -> Timestamp {
        at(self.wall.load(SeqCst))
    }
}

impl Clock for Hand {
    fn now(&self) -> Now {
        let mono = Duration::from_secs(u64::try_from(self.mono.load(SeqCst)).unwrap());
        Now { mono, wall: self.wall() }
    }
}

/// Every call of any part, so that a test can end the world at one of them.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) count: AtomicUsize,
    /// The call before which the process dies; or after, but before it hears of it.
    pub(super) die: Mutex<Option<(usize, bool)>>,
    pub(super) dead: CancellationToken,
}

impl Calls {
    async fn pass<T>(&self, deed: impl Future<Output = T>) -> T {
        let index = self.count.fetch_add(1, SeqCst);
        let die = *self.die.lock().unwrap();
        match die {
            Some((at, after)) if at == index => {
                if after {
                    let _ = deed.await;
                }
                self.dead.cancel();
                std::future::pending().await
            }
            _ => deed.await,
        }
    }
}

/// What a store holds of one workflow.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Content {
    pub(super) manifest: Option<Bytes>,
    pub(super) objects: u64,
    pub(super) written: Option<Timestamp>,
}

/// Something that happens once.
type Deed = Box<dyn FnOnce() + Send>;

/// A store in memory.
pub(super) struct Shop {
    pub(super) name: String,
    pub(super) content: Mutex<BTreeMap<Stored, Content>>,
    /// Its own clock, if it has one.
    pub(super) clock: Option<Arc<Hand>>,
    pub(super) down: AtomicBool,
    /// Beside being down: that nothing was ever stored there.
    pub(super) is_new: AtomicBool,
    pub(super) deletes: AtomicBool,
    /// Deletions never end.
    pub(super) hangs: AtomicBool,
    pub(super) removing: AtomicUsize,
    pub(super) most_removing: AtomicUsize,
    pub(super) manifests: AtomicUsize,
    /// What happens while a manifest is read.
    pub(super) meanwhile: Mutex<Option<Deed>>,
    /// What happens while something is removed.
    pub(super) while_removing: Mutex<Option<Deed>>,
    pub(super) calls: Mutex<Arc<Calls>>,
}

impl Shop {
    pub(super) fn new(name: &str, clock: Option<Arc<Hand>>) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            content: Mutex::default(),
            clock,
            down: AtomicBool::new(false),
            is_new: AtomicBool::new(false),
            deletes: AtomicBool::new(true),
            hangs: AtomicBool::new(false),
            removing: AtomicUsize::new(0),
            most_removing: AtomicUsize::new(0),
            manifests: AtomicUsize::new(0),
            meanwhile: Mutex::default(),
            while_removing: Mutex::default(),
            calls: Mutex::default(),
        })
    }

    pub(super) fn put(&self, job: &str, root: Option<&str>, manifest: Option<Value>) {
        let manifest = manifest.map(|manifest| Bytes::from(manifest.to_string()));
        let stored = Stored { job: job.parse().unwrap(), root: root.map(str::to_owned) };
        let content = Content { manifest, objects: 3, written: Some(at(0)) };
        self.content.lock().unwrap().insert(stored, content);
    }

    pub(super) fn has(&self, job: &str) -> bool {
        self.content.lock().unwrap().keys().any(|stored| stored.job.as_str() == job)
    }

    fn up(&self) -> Result<(), StorageError> {
        if self.down.load(SeqCst) { Err(self.missing()) } else { Ok(()) }
    }

    fn missing(&self) -> StorageError {
        StorageError::Missing { key: "anything".to_owned(), store: self.name.clone() }
    }

    fn calls(&self) -> Arc<Calls> {
        self.calls.lock().unwrap().clone()
    }
}

impl fmt::Debug for Shop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[async_trait]
impl ResultStore for Shop {
    fn name(&self) -> &str {
        &self.name
    }

    async fn is_new(&self) -> Result<bool, StorageError> {
        Ok(self.is_new.load(SeqCst))
    }

    async fn jobs(&self) -> Result<Vec<Stored>, StorageError> {
        self.up()?;
        self.calls().pass(async {}).await;
        Ok(self.content.lock().unwrap().keys().cloned().collect())
    }

    async fn manifest(&self, stored: &Stored) -> Result<Option<Bytes>, StorageError> {
        self.up()?;
        self.manifests.fetch_add(1, SeqCst);
        if let Some(deed) = self.meanwhile.lock().unwrap().take() {
            deed();
        }
        self.calls().pass(async {}).await;
        Ok(self.content.lock().unwrap().get(stored).and_then(|content| content.manifest.clone()))
    }

    async fn read(&self, _: &Stored, _: &str) -> Result<BoxStream<'static, Result<Bytes, StorageError>>, StorageError> {
        Err(self.missing())
    }

    async fn link(&self, _: &Stored, _: &str, _: Duration) -> Result<Option<String>, StorageError> {
        Ok(None)
    }

    async fn last_written(&self, stored: &Stored) -> Result<Option<Timestamp>, StorageError> {
        self.up()?;
        self.calls().pass(async {}).await;
        Ok(self.content.lock().unwrap().get(stored).and_then(|content| content.written))
    }

    async fn remove(&self, stored: &Stored) -> Result<Removed, StorageError> {
        self.up()?;
        if !self.deletes.load(SeqCst) {
            return Err(self.missing());
        }
        if self.hangs.load(SeqCst) {
            std::future::pending::<()>().await;
        }
        if let Some(deed) = self.while_removing.lock().unwrap().take() {
            deed();
        }
        let now = self.removing.fetch_add(1, SeqCst) + 1;
        self.most_removing.fetch_max(now, SeqCst);
        tokio::task::yield_now().await;
        let mut removed = Removed::default();
        // One object after the other, the manifest last: each is a call of its own.
        let calls = self.calls();
        loop {
            let left = calls.pass(async {
                let mut content = self.content.lock().unwrap();
                let Some(found) = content.get_mut(stored) else { return false };
                removed.objects += 1;
                removed.bytes += 100;
                if found.objects > 0 {
                    found.objects -= 1;
                    return true;
                }
                content.remove(stored);
                false
            });
            if !left.await {
                break;
            }
        }
        self.removing.fetch_sub(1, SeqCst);
        Ok(removed)
    }

    async fn now(&self) -> Result<Option<Timestamp>, StorageError> {
        self.up()?;
        Ok(self.clock.as_ref().map(|clock| clock.wall()))
    }
}

/// The sandbox, each call passing by the one that may end the world.
pub(super) struct Watched(pub(super) Sandbox, pub(super) Arc<Calls>);

#[async_trait]
impl Archive for Watched {
    async fn page(&self, limit: u32, after: Option<&str>) -> Result<Page, Failure> {
        let page = self.1.pass(self.0.page(limit, after)).await;
        assert!(page.as_ref().is_ok_and(|page| page.workflows.len() <= 500));
        page
    }
    async fn read(&self, name: &str) -> Result<Option<WorkflowSeen>, Failure> {
        self.1.pass(self.0.read(name)).await
    }
    async fn write(&self, name: &str, write: &Write) -> Result<WorkflowSeen, Failure> {
        self.1.pass(self.0.write(name, write)).await
    }
    async fn delete(&self, seen: &WorkflowSeen) -> Result<(), Failure> {
        self.1.pass(Archive::delete(&self.0, seen)).await
    }
    async fn now(&self) -> Result<Option<Timestamp>, Failure> {
        self.1.pass(self.0.now()).await
    }
    async fn turn(&self) -> Result<Turn, Failure> {
        self.1.pass(self.0.turn()).await
    }
    async fn set_turn(&self, turn: &Turn, holder: &str, memory: &str) -> Result<Turn, Failure> {
        self.1.pass(self.0.set_turn(turn, holder, memory)).await
    }
}

struct Nobody;

#[async_trait]
impl Kubelet for Nobody {
    async fn run(&self, _: &Run<'_>, _: Stop) -> End {
        End::default()
    }
}

/// Everything.
pub(super) struct World {
    pub(super) sandbox: Sandbox,
    pub(super) outputs: Arc<Shop>,
    pub(super) admin: Arc<Shop>,
    /// This machine's clock, the cluster's, and that of the store for outputs.
    pub(super) own: Arc<Hand>,
    pub(super) api: Arc<Hand>,
    pub(super) store: Arc<Hand>,
    pub(super) policy: Policy,
}

impl World {
    pub(super) fn new() -> Self {
        let [own, api, store] = std::array::from_fn(|_| Arc::<Hand>::default());
        Self {
            sandbox: Sandbox::new(Arc::new(Nobody), api.clone()),
            outputs: Shop::new("s3://outputs", Some(store.clone())),
            admin: Shop::new("s3://admin", None),
            own,
            api,
            store,
            policy: Policy {
                max_per_run: 1000,
                confirm_after: Duration::from_mins(10),
                clock_tolerance: Duration::from_mins(5),
                orphans_after: Some(Duration::from_hours(7 * 24)),
                keep_records: None,
            },
        }
    }

    pub(super) fn clocks(&self) -> [&Arc<Hand>; 3] {
        [&self.own, &self.api, &self.store]
    }

    /// Time goes by.
    pub(super) fn pass(&self, seconds: i64) {
        self.own.mono.fetch_add(seconds, SeqCst);
        self.jump(seconds);
    }

    /// All clocks jump.
    pub(super) fn jump(&self, seconds: i64) {
        for clock in self.clocks() {
            clock.wall.fetch_add(seconds, SeqCst);
        }
    }

    /// A process that sweeps.
    pub(super) fn sweeper(&self, me: &str) -> Sweeper {
        self.doomed(me, &Arc::default())
    }

    /// One whose calls are counted.
    pub(super) fn doomed(&self, me: &str, calls: &Arc<Calls>) -> Sweeper {
        for shop in [&self.outputs, &self.admin] {
            *shop.calls.lock().unwrap() = calls.clone();
        }
        let archive = Arc::new(Watched(self.sandbox.clone(), calls.clone()));
        let shops = [self.outputs.clone(), self.admin.clone()];
        let open = move || {
            let stores = shops.clone().map(|shop| shop as Arc<dyn ResultStore>);
            stores.into_iter().map(|store| ("results", Ok(store))).collect()
        };
        let second = Duration::from_secs(1);
        Sweeper::new(archive, Box::new(open), self.own.clone(), self.policy.clone(), me.to_owned(), second)
    }

    /// A finished workflow of that name, with this record.
    pub(super) fn done(&self, job: &str, results: Option<Value>) {
        self.workflow(job, State::Done, "done", results);
    }

    pub(super) fn workflow(&self, job: &str, state: State, phase: &str, results: Option<Value>) {
        register(&self.sandbox, job, state, phase, results);
    }

    /// A workflow, published into the store for outputs.
    pub(super) fn published(&self, job: &str, expires: Option<i64>) {
        self.done(job, Some(results(job, "s3://outputs", expires)));
        self.outputs.put(job, None, Some(manifest(job, expires)));
    }

    /// The record's `results`, where there are.
    pub(super) fn results_of(&self, job: &str) -> Option<Value> {
        let status = self.sandbox.workflow(job)?.status?;
        let record: Value = serde_json::from_str(&status).unwrap();
        record.get("results").cloned()
    }

    pub(super) fn is_marked(&self, job: &str) -> bool {
        self.results_of(job).is_some_and(|results| results.get("deletedAt").is_some())
    }

    /// Lets all that is past its time now be confirmed.
    pub(super) async fn confirm(&self, sweeper: &mut Sweeper) {
        sweep(sweeper).await;
        self.pass(HOUR);
    }
}

/// A workflow in that state, with a record that says so.
pub(super) fn register(sandbox: &Sandbox, job: &str, state: State, phase: &str, results: Option<Value>) {
    assert!(sandbox.submit(job, BTreeMap::new()));
    let record = json!({"code": 70, "text": "Job finished", "phase": phase, "attempt": 0,
        "document": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "holder": {"lease": "l", "identity": "i"}, "outcome": "succeeded", "results": results});
    assert!(Record::parse(&record.to_string()).is_ok(), "{record}");
    sandbox.annotate(job, Some(record.to_string()));
    sandbox.label(job, state);
}

/// A sweep on request.
pub(super) async fn sweep(sweeper: &mut Sweeper) -> Report {
    match sweeper.run(Occasion::Request, &CancellationToken::new(), &mut |_, _| {}).await.unwrap() {
        Swept::Done(report) => *report,
        other => panic!("{other:?}"),
    }
}

pub(super) fn results(job: &str, store: &str, expires: Option<i64>) -> Value {
    let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let mut results = json!({"store": store, "prefix": job, "manifest": format!("{job}/manifest.json"),
        "manifestSha256": digest, "files": 3, "bytes": 300});
    if let Some(expires) = expires {
        results["expiresAt"] = json!(at(expires));
    }
    results
}

pub(super) fn manifest(job: &str, expires: Option<i64>) -> Value {
    json!({"version": 1, "job": job, "expiresAt": expires.map(at), "files": []})
}

pub(super) fn job(name: &str) -> JobId {
    name.parse().unwrap()
}
