//! A cluster in memory whose pods follow a script, and engines to drive it. Time is tokio's, paused: it jumps to the next
//! timer, so an hour takes no time and every run is the same.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use operator_engine::{
    clock::Clock,
    cluster::Cluster,
    plan::{
        Now, Plan, Policy, View,
        end::End,
        pod::PodSpec,
        pod::Task,
        seen::{Progress, Waiting, WaitingCause},
    },
    sandbox::{
        Sandbox,
        faults::{Call, Fault, Faulty},
        history::Event,
        kubelet::{Kubelet, Run, Stop},
    },
    supervisor::Supervisor,
    workflow::{
        Code, Facts, Outcome, Record, Stage, State,
        digest::Sha256,
        record::Holder,
        report::{ConfigureFault, ConfigureReport, ExecReport, PublishFault, PublishReport, Published, render},
    },
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What a scripted pod does.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Runs this long, then does what its stage is for.
    Succeed(Duration),
    /// Runs this long, then ends so.
    End(Duration, End),
    /// Never gets to run.
    Wait(WaitingCause, &'static str),
    /// Runs until it is asked to end.
    Hang,
    /// Runs for ever, whatever it is asked: its kubelet does not react.
    Deaf,
}

type Script = dyn Fn(&PodSpec) -> Act + Send + Sync;

/// The kubelet of a simulation.
pub(crate) struct Scripted {
    script: Box<Script>,
    sandbox: OnceLock<Sandbox>,
    /// What publish stored, by key.
    pub(crate) stored: Mutex<BTreeMap<String, String>>,
}

#[async_trait]
impl Kubelet for Scripted {
    async fn run(&self, run: &Run<'_>, mut stop: Stop) -> End {
        let act = (self.script)(run.spec);
        if let Act::Wait(cause, message) = act {
            (run.say)(Progress::Waiting(Waiting { cause, message: message.to_owned() }));
            stop.asked().await;
            return End::default();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        (run.say)(Progress::Running);
        if matches!(act, Act::Deaf) {
            std::future::pending::<()>().await;
        }
        let (after, end) = match act {
            Act::Succeed(after) => (after, None),
            Act::End(after, end) => (after, Some(end)),
            _ => (Duration::MAX / 4, None),
        };
        tokio::select! {
            () = tokio::time::sleep(after) => end.unwrap_or_else(|| self.success(run)),
            () = stop.asked() => {
                let report = ExecReport { exit_code: Some(143), stopped: true, wall_ms: 5, ..ExecReport::default() };
                End { exit_code: Some(143), reason: None, disrupted: false, message: render(&report), image_id: None }
            }
        }
    }
}

impl Scripted {
    fn success(&self, run: &Run<'_>) -> End {
        let message = match &run.spec.task {
            Task::Configure { .. } => render(&ConfigureReport { fault: None, files: 1, bytes: 10 }),
            Task::Algorithm { .. } => render(&ExecReport { exit_code: Some(0), wall_ms: 7, ..ExecReport::default() }),
            Task::Filter { .. } => String::new(),
            Task::Publish { facts } => render(&PublishReport { published: Some(self.store(facts)), fault: None }),
        };
        End { exit_code: Some(0), reason: Some("Completed".to_owned()), disrupted: false, message, image_id: None }
    }

    /// Stores the facts as a manifest. Times differ between runs with and without faults; nothing else may.
    fn store(&self, facts: &Facts) -> Published {
        let facts = Facts { times: BTreeMap::new(), expires_at: None, ..facts.clone() };
        let text = serde_json::to_string(&facts).unwrap();
        let (manifest, sha256) = (format!("{}/manifest.json", facts.result()), Sha256::of(&text));
        self.stored.lock().unwrap().insert(manifest.clone(), text);
        self.sandbox.get().unwrap().note(Event::Stored { manifest: manifest.clone(), sha256 });
        Published {
            store: "memory:".to_owned(),
            manifest,
            manifest_sha256: sha256,
            root: None,
            adminlogs: None,
            files: 2,
            bytes: 20,
            refused: 0,
        }
    }
}

/// tokio's clock, and a wall clock that goes with it.
pub(crate) struct SimClock(Instant);

impl Clock for SimClock {
    fn now(&self) -> Now {
        let mono = self.0.elapsed();
        let wall = Timestamp::from_second(1_700_000_000).unwrap();
        Now { mono, wall: wall + SignedDuration::try_from(mono).unwrap() }
    }
}

pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) kubelet: Arc<Scripted>,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) policy: Policy,
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A world in which every pod does its work in a second.
pub(crate) fn happy() -> World {
    scripted(|_, _, _| Act::Succeed(SECOND))
}

pub(crate) fn scripted(script: impl Fn(&str, Stage, u32) -> Act + Send + Sync + 'static) -> World {
    scripted_by(move |spec| script(spec.job.as_str(), spec.stage, spec.attempt))
}

pub(crate) fn scripted_by(script: impl Fn(&PodSpec) -> Act + Send + Sync + 'static) -> World {
    let kubelet = Arc::new(Scripted { script: Box::new(script), sandbox: OnceLock::new(), stored: Mutex::default() });
    let clock = Arc::new(SimClock(Instant::now()));
    let sandbox = Sandbox::new(kubelet.clone(), clock.clone());
    let _ = kubelet.sandbox.set(sandbox.clone());
    let filter_image = Some("filter:1".to_owned());
    World { sandbox, kubelet, clock, policy: Policy { filter_image, ..Policy::default() } }
}

pub(crate) const DOCUMENT: &str = r#"{"stages":[{
    "input":[{"id":"did:op:aa","url":"https://data.example/a.csv"}],
    "compute":{"maxtime":3600},
    "algorithm":{"id":"did:op:cc","rawcode":"print(1)",
        "container":{"image":"python","tag":"3.12","entrypoint":"python3 $ALGO"}},
    "output":{"metadataUri":"https://aquarius.example"}}]}"#;

/// `stages` stages, each but the first with the outputs of the one before.
pub(crate) fn chain(stages: usize) -> String {
    let mut document: serde_json::Value = serde_json::from_str(DOCUMENT).unwrap();
    let list = document["stages"].as_array_mut().unwrap();
    while list.len() < stages {
        let mut next = list[0].clone();
        next["input"] = serde_json::json!([{"previousStage": true}]);
        list.push(next);
    }
    document.to_string()
}

/// An engine's life: by which names it goes and what happens to its calls.
pub(crate) struct Life {
    pub(crate) me: Holder,
    pub(crate) cluster: Arc<Faulty>,
}

impl World {
    pub(crate) fn submit(&self, name: &str) {
        self.submit_document(name, DOCUMENT);
    }

    pub(crate) fn submit_document(&self, name: &str, document: &str) {
        assert!(self.sandbox.submit(name, BTreeMap::from([("workflow.json".to_owned(), document.into())])));
    }

    pub(crate) fn record(&self, name: &str) -> Option<Record> {
        let status = self.sandbox.workflow(name)?.status?;
        Some(Record::parse(&status).unwrap())
    }

    pub(crate) fn state(&self, name: &str) -> State {
        self.sandbox.workflow(name).unwrap().state.unwrap()
    }

    /// Monotonic time.
    pub(crate) fn clock_now(&self) -> Duration {
        self.clock.now().mono
    }

    /// Whether every workflow is at its end and nothing of any is left.
    pub(crate) fn settled(&self) -> bool {
        let left = self.sandbox.inventory();
        let done = left.workflows.iter().all(|name| self.sandbox.workflow(name).unwrap().state == Some(State::Done));
        done && left.pods.is_empty() && left.volumes.is_empty()
    }

    pub(crate) fn life(
        &self,
        lease: &str,
        identity: &str,
        script: impl Fn(Call<'_>) -> Fault + Send + Sync + 'static,
    ) -> Life {
        let me = Holder { lease: lease.to_owned(), identity: identity.to_owned() };
        Life { me, cluster: Arc::new(Faulty::new(Arc::new(self.sandbox.clone()), script)) }
    }

    pub(crate) fn engine(&self, me: Holder, cluster: Arc<dyn Cluster>) -> Supervisor {
        Supervisor::new(cluster, self.clock.clone(), self.policy.clone(), me, 8)
    }

    /// Lives one life until the world has settled (true) or the engine was killed (false).
    pub(crate) async fn live(&self, life: Life) -> bool {
        self.live_watching(life, &mut |_, _| {}).await
    }

    pub(crate) async fn live_watching(&self, life: Life, watch: &mut (dyn FnMut(&View, &Plan) + Send)) -> bool {
        let killed = life.cluster.killed.clone();
        let engine = self.engine(life.me, life.cluster);
        let stop = CancellationToken::new();
        let mut watch = |view: &View, plan: &Plan| {
            watch(view, plan);
            if self.settled() {
                stop.cancel();
            }
        };
        tokio::select! {
            ended = engine.run(stop.clone(), &mut watch) => { assert_eq!(ended, Ok(())); true }
            () = killed.cancelled() => false,
            () = tokio::time::sleep(Duration::from_hours(72)) => panic!("not settled after three days: {:?}", self.sandbox.inventory()),
        }
    }

    /// Runs one engine without faults until the world has settled, and checks the rules.
    pub(crate) async fn run(&self) {
        assert!(self.live(self.life("engine", "engine-1", |_| Fault::None)).await);
        self.check();
    }

    /// The rules that hold whatever happened.
    pub(crate) fn check(&self) {
        let broken = self.sandbox.history().violations();
        assert!(broken.is_empty(), "{broken:#?}\n{:#?}", self.sandbox.history().events());
        assert!(self.settled());
    }
}

/// What must be the same in every run, whatever happened on the way.
pub(crate) fn essence(record: &Record) -> (u16, Option<Outcome>, Option<i32>, Option<String>, Option<Sha256>) {
    let results = record.results.as_ref();
    (
        record.code.number(),
        record.outcome,
        record.exit_code,
        results.map(|results| results.manifest.clone()),
        results.map(|results| results.manifest_sha256),
    )
}

pub(crate) fn exits(code: i32) -> End {
    let report = ExecReport { exit_code: Some(code), wall_ms: 7, ..ExecReport::default() };
    End {
        exit_code: Some(code),
        reason: Some("Error".to_owned()),
        disrupted: false,
        message: render(&report),
        image_id: None,
    }
}

pub(crate) fn evicted() -> End {
    End {
        exit_code: None,
        reason: Some("Evicted".to_owned()),
        disrupted: true,
        message: "low on memory".to_owned(),
        image_id: None,
    }
}

pub(crate) fn configure_fault(code: Code) -> End {
    let fault =
        ConfigureFault { code, reason: "NotFound".to_owned(), message: "404 for https://x.example/a".to_owned() };
    let message = render(&ConfigureReport { fault: Some(fault), files: 0, bytes: 0 });
    End { exit_code: Some(1), reason: Some("Error".to_owned()), disrupted: false, message, image_id: None }
}

/// Publish found something that may not leave.
pub(crate) fn leak() -> End {
    let fault = PublishFault {
        reason: "InputCopied".to_owned(),
        message: "file 1 of 1 has it".to_owned(),
        retry: false,
        withheld: true,
    };
    let message = render(&PublishReport { published: None, fault: Some(fault) });
    End { exit_code: Some(1), reason: Some("Error".to_owned()), disrupted: false, message, image_id: None }
}

pub(crate) fn publish_fault(reason: &str, message: &str, retry: bool) -> End {
    let fault = PublishFault { reason: reason.to_owned(), message: message.to_owned(), retry, withheld: false };
    let message = render(&PublishReport { published: None, fault: Some(fault) });
    End { exit_code: Some(1), reason: Some("Error".to_owned()), disrupted: false, message, image_id: None }
}
